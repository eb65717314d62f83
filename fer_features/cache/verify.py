"""Whether every byte of a cache is as it was written."""

from __future__ import annotations

from pathlib import Path

from fer_features.cache.cache import USERBLOCK, Cache, content_digest, userblock
from fer_features.cache.faults import damaged_hint
from fer_features.errors import FerError


def verify(path: Path) -> int:
    """Read a cache from end to end and compare it with the SHA-256 that it carries.

    Returns:
        How many bytes were read.

    Raises:
        FerError: there is no such cache, or a byte of it has changed; the message names the
            features that can no longer be read, if any.
    """
    if not path.is_file():
        raise FerError(f"no such cache: {path}", hint="fer extract makes one")
    with path.open("rb") as file:
        block = file.read(USERBLOCK)
    if block == userblock(content_digest(path)):  # before HDF5 sees any of it
        Cache(path).close()
        return path.stat().st_size
    with Cache(path) as cache:  # a foreign file, an older one or a torn one is told as such
        damaged = [name for name in cache.features if not _readable(cache, name)]
    told = f": {', '.join(damaged)} cannot be read" if damaged else ""
    raise FerError(f"{path} is damaged{told}: it is not what was written", hint=damaged_hint(path))


def _readable(cache: Cache, name: str) -> bool:
    step = 256
    try:
        for first in range(0, len(cache), step):
            cache.read_slice(name, first, first + step)
    except FerError:
        return False
    return True
