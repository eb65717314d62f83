"""What a new cache file will hold, merged from a cache and its journal, or from shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.cache.cache import Cache
from fer_features.cache.journal import Journal
from fer_features.cache.record import Rows, RowSelection
from fer_features.errors import FerError

_MISSING = -1


@dataclass(frozen=True)
class Column:
    """One column of the new file.

    Attributes:
        shape: shape of one row.
        dtype: stored type.
        place: int64 (N,), where each row comes from: an index into the rows of all sources, one
            source after the other; negative where it has not been computed.
    """

    shape: tuple[int, ...]
    dtype: str
    place: NDArray[np.int64]


class Contents:
    """What the new file will hold. A row gets all that any row with an identical image has.

    Args:
        sources: the present cache and the journal, as far as they are there; or all shards.
        selections: of the new file, each once.
        copies: rows to add to those of the sources.

    Attributes:
        header: of the sources.
        selections: of the new file.
        software: of the sources, each once.
        rows: by ascending `Rows.source_row`.
        columns: by name, sorted.

    Raises:
        FerError: the journal is of another cache.
    """

    def __init__(
        self,
        sources: Sequence[Cache | Journal],
        selections: Sequence[RowSelection],
        copies: Sequence[Rows] = (),
    ) -> None:
        self._sources = sources
        keys = [one.header.key for one in sources]
        if len(set(keys)) > 1:
            raise FerError(
                f"{sources[-1].path} belongs to another cache ({keys[-1]}, not {keys[0]})",
                hint="move it away: it holds what another extraction computed",
            )
        self.header = sources[0].header
        self.selections = tuple(selections)
        used = [text for one in sources for text in one.software]
        self.software = [one for place, one in enumerate(used) if one not in used[:place]]
        self._starts = np.cumsum([0, *map(len, sources)])
        self._every = Rows.concatenate([*(one.rows for one in sources), *copies])
        _, self._first = np.unique(self._every.source_row, return_index=True)
        self.rows = self._every[self._first]
        _, self._image = np.unique(self._every.sha256, return_inverse=True)
        specs = {name: spec for one in sources for name, spec in one.columns.items()}
        self.columns = {name: Column(*specs[name], self._places(name)) for name in sorted(specs)}

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which of the columns a row has: bool (N, K)."""
        return np.stack([one.place >= 0 for one in self.columns.values()], axis=1)

    def _places(self, name: str) -> NDArray[np.int64]:
        """Where each row of a column comes from: its own entry, else that of an identical image."""
        computed = np.flatnonzero(np.concatenate([one.done([name]) for one in self._sources]))
        of_image = np.full(self._image.max() + 1, _MISSING, np.int64)
        of_image[self._image[computed]] = computed
        place = of_image[self._image[self._first]]
        place[np.searchsorted(self.rows.source_row, self._every.source_row[computed])] = computed
        return place

    def read(self, name: str, first: int, last: int) -> NDArray[Any]:
        """Rows `first` to before `last` of a column; zero where it has not been computed."""
        column = self.columns[name]
        wanted, back = np.unique(column.place[first:last], return_inverse=True)
        missing, *found = np.split(wanted, np.searchsorted(wanted, self._starts[:-1]))
        parts = [np.zeros((len(missing), *column.shape), column.dtype)]
        for source, start, places in zip(self._sources, self._starts, found, strict=False):
            if len(places):
                parts.append(source.gather(name, places - start))
        return np.concatenate(parts)[back]
