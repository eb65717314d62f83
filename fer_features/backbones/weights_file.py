"""The file of pretrained weights: half-precision arrays, provenance, and the images learnt from.

A line of text, the SHA-256 of the rest, and HDF5 from byte 512 on. The attribute ``provenance`` is
JSON: data, command, scores. ``network/`` and ``top/`` hold one array for each variable, by its
path: float16, or float32 if the training has not changed it. ``seen`` are the first 64 bits of the
SHA-256 of each image that was learnt from (two different images share them once in 10¹⁹ pairs).
``signatures``, since format 2, are those of the same images (`fer_features.backbones.signatures`).
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.signatures import find_copies
from fer_features.errors import UPDATE, FerError
from fer_features.runtime.files import atomic_path
from fer_features.runtime.image_keys import seen_by

FORMAT_VERSION = 2
USERBLOCK = 512
"""Bytes before the HDF5 content."""

MAGIC = "fer_features weights"
PARTS = ("network", "top")

Arrays = dict[str, NDArray[Any]]

_COUNTED = re.compile(r"(conv2d|batch_normalization|normalization)(_\d+)?/")
"""Paths with a name that Keras makes by counting the layers that the process has made so far."""


@dataclass(frozen=True)
class WeightsFile:
    """The content of a weights file.

    Attributes:
        network: the backbone's arrays by their variables' `paths`.
        top: the classifier on its pooled last layer: ``kernel`` (C, K), ``bias`` (K,).
        seen: uint64, ascending, `image_keys` of the images that were learnt from.
        provenance: data, command, scores and software, in JSON types.
        signatures: uint8 (M, 12), `signature_list` of the same images; None in files of format 1.
    """

    network: Arrays
    top: Arrays
    seen: NDArray[np.uint64]
    provenance: dict[str, Any]
    signatures: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Seen:
    """The images that weights have learnt from.

    Attributes:
        keys: uint64, ascending, their `image_keys`.
        signatures: uint8 (M, 12), their `signature_list`; None if the file has none.
    """

    keys: NDArray[np.uint64]
    signatures: NDArray[np.uint8] | None

    @classmethod
    def union(cls, parts: Sequence[Seen]) -> Seen:
        """The images of at least one of several parts; signatures of those that have them."""
        known = [one.signatures for one in parts if one.signatures is not None]
        return cls(
            np.unique(np.concatenate([one.keys for one in parts])),
            np.unique(np.concatenate(known), axis=0) if known else None,
        )

    @property
    def columns(self) -> int:
        """The number of columns of `marks`."""
        return 1 if self.signatures is None else 2

    def marks(self, images: NDArray[np.uint8], sha256: NDArray[np.bytes_]) -> NDArray[np.uint8]:
        """Which images the weights have learnt from: uint8 (N, 2), or (N, 1) without signatures.

        The first column is 1 for an image that was learnt from, the second if it is not identical,
        but a copy recognised by its signature.
        """
        exact = seen_by(self.keys, sha256)
        if self.signatures is None:
            return exact[:, None].astype(np.uint8)
        copy = np.zeros(len(exact), np.bool_)
        copy[~exact] = find_copies(images[~exact], self.signatures)
        return np.stack([exact | copy, copy], axis=1).astype(np.uint8)


def write_weights(path: Path, content: WeightsFile) -> None:
    """Write a weights file atomically.

    Raises:
        FerError: a number is too large for float16.
    """
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="v110") as file:
        file.attrs["provenance"] = json.dumps(content.provenance, allow_nan=False)
        file["seen"] = content.seen.astype("<u8")
        if content.signatures is not None:
            file["signatures"] = content.signatures
        for part in PARTS:
            for name, array in getattr(content, part).items():
                if not np.isfinite(array).all():
                    raise FerError(f"{part}/{name}: a weight is not finite in float16")
                file[f"{part}/{name}"] = array
    raw = buffer.getvalue()
    with atomic_path(path) as temporary:
        temporary.write_bytes(userblock(raw) + raw)


def userblock(raw: bytes, version: int = FORMAT_VERSION) -> bytes:
    """The first 512 bytes: a line on what the file is, and the SHA-256 of its HDF5 content."""
    digest = hashlib.sha256(raw).hexdigest()
    text = f"{MAGIC} {version}, HDF5 from byte {USERBLOCK} on\nsha256 of that: {digest}\n"
    return text.encode().ljust(USERBLOCK, b"\n")


def is_weights_file(path: Path) -> bool:
    """Whether `write_weights` wrote a file, and not Keras."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC.encode()
    except OSError:
        return False


def read_weights(path: Path) -> WeightsFile:
    """Read a weights file, after a check of every byte.

    Raises:
        FerError: it cannot be read, is damaged, or a newer version wrote it.
    """
    import h5py

    try:
        content = path.read_bytes()
    except OSError as error:
        raise FerError(f"{path}: the weights cannot be read: {error.strerror or error}") from error
    head, raw = content[:USERBLOCK], content[USERBLOCK:]
    version = re.match(rf"{MAGIC} (\d+)".encode(), head)
    if version is None:
        raise FerError(f"{path}: no weights file of fer train", hint="fer train makes one")
    if int(version[1]) > FORMAT_VERSION:
        raise FerError(
            f"{path}: weights format {int(version[1])} is newer than this program's "
            f"{FORMAT_VERSION}",
            hint=UPDATE,
        )
    if head != userblock(raw, int(version[1])):
        raise FerError(f"{path} is damaged", hint="fetch or train it again")
    arrays: dict[str, Arrays] = {part: {} for part in PARTS}

    def read_array(path: str, item: Any) -> None:
        part, _, name = path.partition("/")
        if part in arrays and isinstance(item, h5py.Dataset):
            arrays[part][name] = item[:]

    with h5py.File(io.BytesIO(raw), "r") as file:
        file.visititems(read_array)
        return WeightsFile(
            **arrays,
            seen=file["seen"][:].astype(np.uint64),
            provenance=json.loads(file.attrs["provenance"]),
            signatures=file["signatures"][:] if "signatures" in file else None,
        )


def trained_size(content: WeightsFile) -> int | None:
    """Height and width of the images that a network was trained on, if not its usual ones."""
    size = content.provenance.get("identity", {}).get("size")
    return None if size is None else int(size)


def paths(variables: Iterable[Any]) -> list[str]:
    """The paths of Keras variables, with layers that Keras counts counted in this network alone."""
    found: list[str] = []
    places: dict[tuple[str, str], int] = {}
    for path in (one.path for one in variables):
        if counted := _COUNTED.match(path):
            kind = counted[1]
            of_kind = sum(one == kind for one, _ in places)
            place = places.setdefault((kind, counted[0]), of_kind)
            path = f"{kind}_{place}/{path[counted.end() :]}"
        found.append(path)
    return found


def arrays_of(variables: Sequence[Any], *, unchanged: Collection[int] = ()) -> Arrays:
    """Keras variables by their `paths`: float32 if their `id` is in `unchanged`, else float16."""
    from fer_features.runtime.keras_runtime import import_keras

    to_numpy = import_keras().ops.convert_to_numpy
    return {
        path: to_numpy(one.value).astype(np.float32 if id(one) in unchanged else np.float16)
        for path, one in zip(paths(variables), variables, strict=True)
    }


def assign(variables: Sequence[Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Assign arrays to the variables of those `paths`, all or none.

    Raises:
        ValueError: the paths or shapes differ.
    """
    known = dict(zip(paths(variables), variables, strict=True))
    expected = {(path, tuple(one.shape)) for path, one in known.items()}
    odd = sorted(expected ^ {(name, array.shape) for name, array in arrays.items()})
    if odd:
        raise ValueError(f"{odd[0][0]} {odd[0][1]} is not in both the file and the network")
    for path, one in known.items():
        one.assign(arrays[path].astype(np.float32))
