"""Rows of a cache that its backbone's weights have learnt from, or from a copy of."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.weights_file import seen_by
from fer_features.cache import SEEN, Cache
from fer_features.data.twin_table import TwinTable
from fer_features.errors import FerError
from fer_features.runtime.files import draft_of

_PREFIX = "learnt-"


@dataclass(frozen=True, eq=False)
class SeenRows:
    """Which of N images the weights have learnt from.

    Attributes:
        own: bool (N,), the image itself.
        copy: bool (N,), not the image itself, but a copy of it: near, mirrored, registered, of the
            same family, or recognised by its signature.
    """

    own: NDArray[np.bool_]
    copy: NDArray[np.bool_]

    @property
    def any_kind(self) -> NDArray[np.bool_]:
        """Either: bool (N,)."""
        return self.own | self.copy


def seen_rows(cache: Cache, rows: NDArray[np.int64], table: TwinTable) -> SeenRows | None:
    """What the weights of a cache have learnt from; None if they do not say.

    Args:
        cache: the cache.
        rows: places of the rows in it.
        table: the copies of its data set.
    """
    if SEEN not in cache.features:
        return None
    owner, _, name = SEEN.partition("/")
    marks = cache.read(owner, name, np.arange(len(cache))) > 0  # `Seen.marks`
    marked = marks[:, 0]
    own = marked & ~marks[:, 1] if marks.shape[1] > 1 else marked
    who = cache.rows
    learnt = seen_by(_read_keys(cache), table.sha256)  # also rows that the cache does not hold
    learnt[np.searchsorted(table.row, who.source_row[marked])] = True
    copied = table.copied(learnt)[np.searchsorted(table.row, who.source_row)]
    return SeenRows(own=own[rows], copy=((copied | marked) & ~own)[rows])


def learnt_rows(cache: Cache, rows: NDArray[np.int64], table: TwinTable) -> NDArray[np.bool_]:
    """Of which rows any weights in a cache's folder have learnt a copy, or themselves: bool (N,).

    Args:
        cache: the cache.
        rows: places of the rows in it.
        table: the copies of its data set.
    """
    found = [_load_keys(path) for path in sorted(cache.path.parent.glob(f"{_PREFIX}*.npy"))]
    learnt = seen_by(np.concatenate([np.empty(0, np.uint64), *found]), table.sha256)
    copied: NDArray[np.bool_] = table.copied(learnt)[
        np.searchsorted(table.row, cache.rows.source_row[rows])
    ]
    return copied


def keep_keys(folder: Path, weights_sha256: str, keys: NDArray[np.uint64]) -> None:
    """Keep what weights have learnt from beside the caches made with them.

    Raises:
        FerError: nothing can be written there.
    """
    path = _keys_path(folder, weights_sha256)
    if path.exists():
        return
    try:
        with draft_of(path) as draft, draft.open("wb") as file:
            np.save(file, keys)
    except OSError as error:
        raise FerError(f"{path}: cannot be written: {error.strerror or error}") from error


def _keys_path(folder: Path, weights_sha256: str) -> Path:
    return Path(folder) / f"{_PREFIX}{weights_sha256[:16]}.npy"


def _read_keys(cache: Cache) -> NDArray[np.uint64]:
    return _load_keys(_keys_path(cache.path.parent, str(cache.header.spec["weights_sha256"])))


def _load_keys(path: Path) -> NDArray[np.uint64]:
    with suppress(OSError, EOFError, ValueError):
        keys: NDArray[np.uint64] = np.load(path, allow_pickle=False).astype(np.uint64)
        return keys
    return np.empty(0, np.uint64)
