"""All that a cache will hold, gathered from the cache that is there and from a journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.cache.cache import Cache
from fer_features.cache.journal import Journal, JournalHeader
from fer_features.cache.record import Header, Rows, RowSelection, merge_selections
from fer_features.errors import FerError

NOWHERE = -1
"""The place of what has not been computed."""


@dataclass(frozen=True)
class Feature:
    """One feature of the new file: what a row of it is, and where each row's comes from.

    Attributes:
        shape: shape for one row.
        dtype: how it is stored.
        place: int64 (N,): a place in the old cache; from the number of its rows on, a place among
            the journal's images; `NOWHERE` where the feature has not been computed.
    """

    shape: tuple[int, ...]
    dtype: str
    place: NDArray[np.int64]


class Whole:
    """All that the new file will hold, and where it comes from."""

    def __init__(
        self,
        old: Cache | None,
        journal: Journal | None,
        also: Sequence[RowSelection],
        compression: str,
    ) -> None:
        self._old, self._journal = old, journal
        self.compression = compression
        opening = journal.opening if journal else None
        self.header = _same_header(old, opening)
        self.selections = merge_selections(
            [*(old.selections if old else ()), *([opening.choice] if opening else ()), *also]
        )
        used = [*(old.software if old else ()), *([opening.software] if opening else ())]
        self.software = [one for place, one in enumerate(used) if one not in used[:place]]
        records = journal.records if journal else []
        self._added = Rows.concatenate([one.rows for one in records])
        self._computed = np.concatenate([np.empty(0, "?"), *(one.computed for one in records)])
        every = Rows.concatenate([*([old.rows] if old else []), self._added])
        _, first = np.unique(every.source_row, return_index=True)
        self.rows = every[first]
        self._images = np.cumsum([0, *(int(one.computed.sum()) for one in records)])
        specs = {**(old.specs() if old else {}), **(opening.outputs if opening else {})}
        self.features = {
            name: Feature(shape, dtype, self._places(name))
            for name, (shape, dtype) in sorted(specs.items())
        }

    @property
    def done(self) -> NDArray[np.bool_]:
        """Bool (N, features): whether a row's feature is there."""
        columns = [one.place != NOWHERE for one in self.features.values()]
        return np.stack(columns, axis=1)

    def _places(self, name: str) -> NDArray[np.int64]:
        """Where each row's feature comes from."""
        place = np.full(len(self.rows), NOWHERE, np.int64)
        known: list[tuple[NDArray[np.bytes_], NDArray[np.int64]]] = []
        n_old = 0
        if self._old is not None:
            n_old = len(self._old)
            held = np.flatnonzero(self._old.done([name]))
            place[self._find(self._old.rows.source_row[held])] = held
            known.append((self._old.rows.sha256[held], held))
        journal = self._journal
        if journal is not None and journal.opening and name in journal.opening.outputs:
            sha256 = self._added.sha256[self._computed]
            known.append((sha256, n_old + np.arange(len(sha256))))
            at = self._find(self._added.source_row)
            missing = place[at] == NOWHERE
            place[at[missing]] = _look_up(known, self._added.sha256[missing])
        return place

    def _find(self, source_row: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self.rows.source_row, source_row).astype(np.int64)

    def read(self, name: str, first: int, last: int) -> NDArray[Any]:
        """Rows `first` to `last` (without it) of a feature; zero where it has not been computed."""
        feature = self.features[name]
        out = np.zeros((last - first, *feature.shape), feature.dtype)
        place = feature.place[first:last]
        n_old = len(self._old) if self._old is not None else 0
        for start, stop in _runs(place, n_old):
            begin, count = int(place[start]), stop - start
            if begin == NOWHERE:
                continue
            if begin < n_old:
                assert self._old is not None  # noqa: S101  n_old is 0 without it
                out[start:stop] = self._old.read_slice(name, begin, begin + count)
            else:
                self._read_journal(name, begin - n_old, out[start:stop])
        return out

    def _read_journal(self, name: str, image: int, out: NDArray[Any]) -> None:
        assert self._journal is not None  # noqa: S101  it has images
        filled = 0
        while filled < len(out):
            record = int(np.searchsorted(self._images, image + filled, side="right")) - 1
            begin = image + filled - int(self._images[record])
            end = min(
                begin + len(out) - filled, int(self._images[record + 1] - self._images[record])
            )
            out[filled : filled + end - begin] = self._journal.read(name, record, begin, end)
            filled += end - begin


def _same_header(old: Cache | None, opening: JournalHeader | None) -> Header:
    found = [one.header for one in (old, opening) if one is not None]
    if len(found) == 2 and found[0].key != found[1].key:
        raise FerError(
            f"the journal beside {old.path if old else ''} is of another cache "
            f"({found[1].key}, not {found[0].key})",
            hint="move the .h5.part file away: it holds what another extraction had computed",
        )
    return found[0]


def _look_up(
    known: Sequence[tuple[NDArray[np.bytes_], NDArray[np.int64]]], wanted: NDArray[np.bytes_]
) -> NDArray[np.int64]:
    """The first place known for each hash.

    Raises:
        FerError: there is none: the journal lacks an image that its rows are copies of.
    """
    hashes = np.concatenate([one for one, _ in known])
    places = np.concatenate([one for _, one in known])
    unique, first = np.unique(hashes, return_index=True)
    at = np.minimum(np.searchsorted(unique, wanted), max(len(unique) - 1, 0))
    if len(wanted) and not (len(unique) and (unique[at] == wanted).all()):
        raise FerError(
            "the journal of an interrupted extraction is damaged",
            hint="move the .h5.part file away; the same command computes its rows again",
        )
    return places[first[at]] if len(wanted) else np.empty(0, np.int64)


def _runs(place: NDArray[np.int64], n_old: int) -> list[tuple[int, int]]:
    """Stretches of places that follow one another in one file, or of none."""
    step = np.diff(place)
    onward = (step == 1) & (place[:-1] != NOWHERE) & (place[1:] != n_old)
    joined = onward | (step == 0) & (place[:-1] == NOWHERE)
    cuts = np.flatnonzero(~joined) + 1
    return list(zip([0, *cuts.tolist()], [*cuts.tolist(), len(place)], strict=True))
