"""Rows of a cache that its backbone's weights have learnt from, or from a copy of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_features.cache import Cache
from fer_features.cache.learnt import all_keys, keys_of
from fer_features.data.twin_table import TwinTable
from fer_features.runtime.image_keys import seen_by


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
    found = cache.seen()
    if found is None:
        return None
    marks = found > 0  # `Seen.marks`
    marked = marks[:, 0]
    own = marked & ~marks[:, 1] if marks.shape[1] > 1 else marked
    who = cache.rows
    learnt = seen_by(keys_of(cache), table.sha256)  # also rows that the cache does not hold
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
    learnt = seen_by(all_keys(cache.path.parent), table.sha256)
    copied: NDArray[np.bool_] = table.copied(learnt)[
        np.searchsorted(table.row, cache.rows.source_row[rows])
    ]
    return copied
