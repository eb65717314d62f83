"""What a new cache file will hold, merged from the present cache and a journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.cache.cache import Cache
from fer_features.cache.journal import Journal
from fer_features.cache.record import Rows, RowSelection, merge_selections
from fer_features.errors import FerError

_NOWHERE = -1


@dataclass(frozen=True)
class Column:
    """One column of the new file.

    Attributes:
        shape: shape of one row.
        dtype: stored type.
        place: int64 (N,), where each row comes from: an index into the present cache; from the
            number of its rows on, into the journal; negative where it has not been computed.
    """

    shape: tuple[int, ...]
    dtype: str
    place: NDArray[np.int64]


class Contents:
    """What the new file will hold.

    A row gets what was computed for any row with an identical image.

    Args:
        cache: the present cache, if there is one.
        journal: the journal, if there is one.
        selections: selections to add to theirs.
        copies: rows to add to theirs.
        compression: one of `COMPRESSIONS`; None for that of the cache, or else none.

    Attributes:
        header: of both.
        selections: of both, each once.
        software: of both, each once.
        rows: of both, by ascending `Rows.source_row`.
        columns: by name, sorted.
        compression: of the new file.

    Raises:
        FerError: the journal is of another cache.
    """

    def __init__(
        self,
        cache: Cache | None,
        journal: Journal | None,
        selections: Sequence[RowSelection],
        copies: Sequence[Rows],
        *,
        compression: str | None,
    ) -> None:
        self._cache, self._journal = cache, journal
        headers = [one.header for one in (cache, journal) if one is not None and one.header]
        self.header = headers[0]
        if headers[0].key != headers[-1].key:
            raise FerError(
                f"the journal beside {cache.path if cache else ''} is of another cache "
                f"({headers[-1].key}, not {headers[0].key})",
                hint="move the .h5.part file away: it holds what another extraction computed",
            )
        self.compression = compression or (cache.compression if cache else "none")
        noted = list(cache.selections) if cache else []
        used = list(cache.software) if cache else []
        specs = {name: cache.row_spec(name) for name in cache.columns} if cache else {}
        stored = [cache.rows] if cache else []
        if journal is not None:
            noted.append(journal.selection)
            used.append(journal.software)
            specs |= journal.columns
            stored.append(journal.rows)
        self.selections = merge_selections([*noted, *selections])
        self.software = [one for place, one in enumerate(used) if one not in used[:place]]
        self._every = Rows.concatenate([*stored, *copies])
        _, self._first = np.unique(self._every.source_row, return_index=True)
        self.rows = self._every[self._first]
        images, self._image = np.unique(self._every.sha256, return_inverse=True)
        self._n_images = len(images)
        self.columns = {
            name: Column(shape, dtype, self._places(name))
            for name, (shape, dtype) in sorted(specs.items())
        }

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which of the columns a row has: bool (N, K)."""
        return np.stack([one.place >= 0 for one in self.columns.values()], axis=1)

    def _places(self, name: str) -> NDArray[np.int64]:
        """Where each row's entry in a column comes from."""
        n_cache = len(self._cache) if self._cache is not None else 0
        parts = []
        if self._journal is not None and name in self._journal.columns:
            parts.append(n_cache + np.arange(len(self._journal.rows)))
        if self._cache is not None:  # comes last, and so before the journal's
            parts.append(np.flatnonzero(self._cache.done([name])))
        computed = np.concatenate(parts)
        of_image = np.full(self._n_images, _NOWHERE, np.int64)
        of_image[self._image[computed]] = computed
        place = of_image[self._image[self._first]]
        own = np.searchsorted(self.rows.source_row, self._every.source_row[computed])
        place[own] = computed
        return place

    def read(self, name: str, first: int, last: int) -> NDArray[Any]:
        """Rows `first` to before `last` of a column; zero where it has not been computed."""
        column = self.columns[name]
        wanted, back = np.unique(column.place[first:last], return_inverse=True)
        n_cache = len(self._cache) if self._cache is not None else 0
        edges = np.searchsorted(wanted, (0, n_cache))
        missing, old, new = np.split(wanted, edges)
        parts = [np.zeros((len(missing), *column.shape), column.dtype)]
        if self._cache is not None and len(old):
            parts.append(self._cache.gather(name, old))
        if self._journal is not None and len(new):
            parts.append(self._journal.gather(name, new - n_cache))
        return np.concatenate(parts)[back]
