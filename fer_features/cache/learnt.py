"""Keys of the images that weights were trained on, saved beside the caches made with them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features.cache.cache import Cache
from fer_features.runtime.files import atomic_path

_PREFIX = "learnt-"


def all_keys(folder: Path) -> NDArray[np.uint64]:
    """Keys of the training images of all weights whose features a folder holds."""
    found = [_load_keys(path) for path in sorted(Path(folder).glob(f"{_PREFIX}*.npy"))]
    return np.concatenate([np.empty(0, np.uint64), *found])


def save_keys(folder: Path, weights_sha256: str, keys: NDArray[np.uint64]) -> None:
    """Save the keys of the images that weights were trained on.

    Raises:
        FerError: nothing can be written there.
    """
    path = _keys_path(folder, weights_sha256)
    if path.exists():
        return
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, keys)


def _keys_path(folder: Path, weights_sha256: str) -> Path:
    return Path(folder) / f"{_PREFIX}{weights_sha256[:16]}.npy"


def keys_of(cache: Cache) -> NDArray[np.uint64]:
    """Keys of the images that the weights of a cache were trained on; none if not saved."""
    return _load_keys(_keys_path(cache.path.parent, str(cache.header.spec["weights_sha256"])))


def _load_keys(path: Path) -> NDArray[np.uint64]:
    with suppress(OSError, EOFError, ValueError):
        keys: NDArray[np.uint64] = np.load(path, allow_pickle=False).astype(np.uint64)
        return keys
    return np.empty(0, np.uint64)
