"""Read a file of PyTorch's legacy format without PyTorch, and without running code of the file.

`torch.save` wrote it before version 1.6 (https://pytorch.org/docs/stable/notes/serialization.html):
five pickles (a magic number, the protocol, sizes of types, the tensors, the names of their
storages), then for each storage its number of elements and the elements.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class _Tensor(NamedTuple):
    """A tensor that is not read yet: its storage, first element, shape and strides."""

    storage: tuple[str, str]  # dtype and name
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: Any, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Knows tensors, their storages and ordered dictionaries, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise ValueError(f"the file names {module}.{name}, which is no tensor")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, dtype, name, *_ = pid
        return str(dtype), str(name)


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays by name, as `torch.save` wrote them.

    Raises:
        ValueError: the file is not of this format, is damaged, or names what is no tensor.
    """
    with path.open("rb") as file:
        try:
            magic, protocol, _, tensors, names = (_Unpickler(file).load() for _ in range(5))
            if (magic, protocol) != (MAGIC, PROTOCOL):
                raise ValueError("its first numbers are others")
            dtypes = {one.storage[1]: one.storage[0] for one in tensors.values()}
            storages = {name: _storage(file, dtypes.get(name, "<f4")) for name in names}
            return {name: _strided(one, storages[one.storage[1]]) for name, one in tensors.items()}
        except (pickle.UnpicklingError, EOFError, AttributeError, LookupError, TypeError) as error:
            raise ValueError(f"not PyTorch's legacy format: {error}") from error


def _storage(file: BinaryIO, dtype: str) -> NDArray[Any]:
    count = int.from_bytes(file.read(8), "little")
    size = count * np.dtype(dtype).itemsize
    content = file.read(size)
    if len(content) < size:
        raise EOFError("it ends too early")
    return np.frombuffer(content, dtype)


def _strided(tensor: _Tensor, storage: NDArray[Any]) -> NDArray[Any]:
    """A tensor's elements, which need not lie in the order of its axes."""
    place = np.full(tensor.shape, tensor.offset)
    for axis, (length, stride) in enumerate(zip(tensor.shape, tensor.strides, strict=True)):
        ends = (1,) * (len(tensor.shape) - axis - 1)
        place += (np.arange(length) * stride).reshape(length, *ends)
    return np.asarray(storage[place])
