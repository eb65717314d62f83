"""Rows of a cache that backbones were trained on, or on copies of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_features.cache import Cache
from fer_features.cache.learnt import all_keys, keys_of
from fer_features.data.twin_table import TwinTable
from fer_features.runtime.image_keys import seen_by

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SeenRows:
    """Which of N images the backbone was trained on.

    Attributes:
        own: bool (N,), the image itself.
        copy: bool (N,), not the image itself, but a copy of it: near, mirrored, registered, of the
            same family, or recognised by its signature.
    """

    own: Mask
    copy: Mask

    @property
    def any_kind(self) -> Mask:
        """Either: bool (N,)."""
        return self.own | self.copy


def seen_rows(cache: Cache, rows: NDArray[np.int64], table: TwinTable) -> SeenRows | None:
    """Which rows the backbone of a cache was trained on; None if its weights do not record it.

    Args:
        cache: the cache.
        rows: indices of the rows in it.
        table: the copies of its data set.
    """
    marks = cache.seen()
    if marks is None:
        return None
    marked = marks[:, 0] > 0
    own = marked & ~(marks[:, 1:] > 0).any(axis=1)  # the second column: only by its signature
    place = np.searchsorted(table.row, cache.rows.source_row)
    learnt = seen_by(keys_of(cache), table.sha256)  # also rows that the cache does not hold
    learnt[place[marked]] = True
    copied = table.copied(learnt)[place]
    return SeenRows(own=own[rows], copy=((copied | marked) & ~own)[rows])


def learnt_rows(cache: Cache, rows: NDArray[np.int64], table: TwinTable) -> Mask:
    """Rows that any backbone in a cache's folder was trained on, or on a copy of: bool (N,).

    Args:
        cache: the cache.
        rows: indices of the rows in it.
        table: the copies of its data set.
    """
    learnt = seen_by(all_keys(cache.path.parent), table.sha256)
    return table.copied(learnt)[np.searchsorted(table.row, cache.rows.source_row[rows])]
