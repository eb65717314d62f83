"""What reading, writing and verifying a cache file share.

The layout is described in ``docs/cache-format.md``.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from fer_features.errors import FerError, install_hint

FORMAT_VERSION = 3
OLDEST_READ = 2

TEXTS = ("spec", "dataset", "key", "software", "outputs", "choices", "compression")
"""The attributes of a cache that `header_digest` covers."""

COMPRESSIONS = ("none", "gzip", "zstd")
"""Compressions of features: gzip is part of HDF5, zstd comes with the package hdf5plugin."""

USERBLOCK = 512
"""Bytes before the HDF5 content; they hold the SHA-256 of all that follows."""

_FIRST_WORDS = b"fer_features cache"
_BLOCK = 4 << 20

T = TypeVar("T")
R = TypeVar("R")


class OpenFile:
    """An object with an open file, which it closes at the end of a ``with`` block."""

    _file: Any

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def to_json(value: Any) -> str:
    """JSON that is the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def parallel(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Apply `work` to each of `items` on a few threads; for hashing, which releases the GIL."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(work, items))


def filters(compression: str) -> dict[str, Any]:
    """Arguments of h5py's `create_dataset` for a compression.

    Raises:
        FerError: hdf5plugin is needed and not installed, or there is no such compression.
    """
    match compression:
        case "none":
            return {}
        case "gzip":
            return {"compression": "gzip", "compression_opts": 1}
        case "zstd":
            try:
                import hdf5plugin
            except ImportError as error:
                raise FerError(
                    "zstd compression needs the package hdf5plugin", hint=install_hint("zstd")
                ) from error
            return {"shuffle": True, **hdf5plugin.Zstd(clevel=1)}
    raise FerError(
        f"no such compression: {compression}", hint=f"known are {', '.join(COMPRESSIONS)}"
    )


def header_digest(text: Mapping[str, str], tables: Mapping[str, NDArray[Any]]) -> str:
    """Hex SHA-256 of a cache's attributes and tables, in the order of their names."""
    digest = hashlib.sha256(to_json(dict(text)).encode())
    for name, array in sorted(tables.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def content_digest(path: Path) -> str:
    """Hex SHA-256 of the SHA-256s of each 4 MiB after the user block."""
    starts = range(USERBLOCK, path.stat().st_size, _BLOCK)
    blocks = parallel(functools.partial(_block_digest, path), starts)
    return hashlib.sha256(b"".join(blocks)).hexdigest()


def _block_digest(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.sha256(file.read(_BLOCK)).digest()


def userblock(digest: str) -> bytes:
    """The bytes before the HDF5 content: one line for people, one with `content_digest`."""
    text = (
        f"{_FIRST_WORDS.decode()}, HDF5 from byte {USERBLOCK} on\n"
        f"sha256 of the sha256s of each 4 MiB of that: {digest}\n"
    )
    return text.encode().ljust(USERBLOCK, b"\n")


def is_cache(path: Path) -> bool:
    """Whether a file begins as caches do; a damaged one may, too."""
    with path.open("rb") as file:
        return file.read(len(_FIRST_WORDS)) == _FIRST_WORDS
