"""From a journal and the cache that is there, if there is one, to the cache that follows.

The new file is written beside the old one, in full, and takes its name only when all of it is on
the disk: a reader sees the old cache or the new one, and a kill at any moment loses neither the old
file nor the journal. What the file holds depends on nothing but the features, rows and choices, so
it is the same to the bit however often the work was interrupted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fer_features.errors import FerError
from fer_features.store.cache import (
    FORMAT_VERSION,
    USERBLOCK,
    Cache,
    content_digest,
    filters,
    header_digest,
    userblock,
)
from fer_features.store.journal import Journal, Opening
from fer_features.store.record import (
    DRAFT_SUFFIX,
    ROW_DTYPES,
    SUFFIX,
    Choice,
    Header,
    Rows,
    merge_choices,
    to_json,
)

CHUNK_BYTES = 1 << 20
# The oldest file format in which all metadata carry checksums.
_LIBVER = (h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
_NOWHERE = -1


def fold(
    path: Path,
    journal_path: Path,
    *,
    also: Sequence[Choice] = (),
    compression: str | None = None,
) -> None:
    """Make the cache at `path` hold what its journal holds, and remove the journal.

    Args:
        path: the cache; it need not be there yet.
        journal_path: the journal; it need not be there if there is something in `also`.
        also: choices to note besides the journal's own.
        compression: one of `COMPRESSIONS`; None for that of the cache that is there, or else none.

    Raises:
        FerError: the journal is of another cache, or the new file cannot be written.
    """
    draft = path.with_name(path.name.removesuffix(SUFFIX) + DRAFT_SUFFIX)
    with ExitStack() as stack:
        old = stack.enter_context(Cache(path)) if path.exists() else None
        journal = stack.enter_context(Journal(journal_path)) if journal_path.exists() else None
        if journal is not None and not journal.records:  # killed before its first batch
            journal = None
        if journal is None and (old is None or not also):
            journal_path.unlink(missing_ok=True)
            return
        compression = compression or (old.compression if old else "none")
        whole = _Whole(old, journal, also, compression)
        try:
            _write(draft, whole)
            draft.replace(path)
        except OSError as error:
            raise FerError(
                f"{draft} cannot be written: {_reason(error)}",
                hint=f"what was computed is kept in {journal_path}; make room, and the same "
                "command goes on",
            ) from error
        finally:
            draft.unlink(missing_ok=True)
    _sync_folder(path.parent)
    journal_path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Feature:
    """One feature of the new file: what a row of it is, and where each row's comes from.

    Attributes:
        shape: shape for one row.
        dtype: how it is stored.
        place: int64 (N,): a place in the old cache; from the number of its rows on, a place among
            the journal's images; `_NOWHERE` where the feature has not been computed.
    """

    shape: tuple[int, ...]
    dtype: str
    place: NDArray[np.int64]


class _Whole:
    """All that the new file will hold, and where it comes from."""

    def __init__(
        self,
        old: Cache | None,
        journal: Journal | None,
        also: Sequence[Choice],
        compression: str,
    ) -> None:
        self._old, self._journal = old, journal
        self.compression = compression
        opening = journal.opening if journal else None
        self.header = _same_header(old, opening)
        self.choices = merge_choices(
            [*(old.choices if old else ()), *([opening.choice] if opening else ()), *also]
        )
        used = [*(old.software if old else ()), *([opening.software] if opening else ())]
        self.software = [one for place, one in enumerate(used) if one not in used[:place]]
        added = [record.rows for record in journal.records] if journal else []
        every = Rows.concatenate([*([old.rows] if old else []), *added])
        _, first = np.unique(every.source_row, return_index=True)
        self.rows = every[first]
        self._images = np.cumsum(
            [0, *(int(record.computed.sum()) for record in (journal.records if journal else ()))]
        )
        specs = {**(old.specs() if old else {}), **(opening.outputs if opening else {})}
        self.features = {
            name: _Feature(shape, dtype, self._places(name))
            for name, (shape, dtype) in sorted(specs.items())
        }

    @property
    def done(self) -> NDArray[np.bool_]:
        """Bool (N, features): whether a row's feature is there."""
        columns = [one.place != _NOWHERE for one in self.features.values()]
        return np.stack(columns, axis=1)

    def _places(self, name: str) -> NDArray[np.int64]:
        """Where each row's feature comes from."""
        place = np.full(len(self.rows), _NOWHERE, np.int64)
        known: list[tuple[NDArray[np.bytes_], NDArray[np.int64]]] = []
        n_old = 0
        if self._old is not None:
            n_old = len(self._old)
            held = np.flatnonzero(self._old.done([name]))
            place[self._find(self._old.rows.source_row[held])] = held
            known.append((self._old.rows.sha256[held], held))
        journal = self._journal
        if journal is not None and journal.opening and name in journal.opening.outputs:
            records = [(one.rows, one.computed) for one in journal.records]
            covered = Rows.concatenate([rows for rows, _ in records])
            computed = [rows.sha256[mask] for rows, mask in records]
            sha256 = np.concatenate([np.empty(0, "S64"), *computed])
            known.append((sha256, n_old + np.arange(len(sha256))))
            at = self._find(covered.source_row)
            missing = place[at] == _NOWHERE
            place[at[missing]] = _look_up(known, covered.sha256[missing])
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
            if begin == _NOWHERE:
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
            end = min(begin + len(out) - filled, int(np.diff(self._images)[record]))
            out[filled : filled + end - begin] = self._journal.read(name, record, begin, end)
            filled += end - begin


def _same_header(old: Cache | None, opening: Opening | None) -> Header:
    found = [one.header for one in (old, opening) if one is not None]
    if len(found) == 2 and found[0].key != found[1].key:
        raise FerError(
            f"the journal beside {old.path if old else ''} is of another cache "
            f"({found[1].key}, not {found[0].key})",
            hint="move or delete the .h5.part file",
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
            hint="delete the .h5.part file; the same command computes its rows again",
        )
    return places[first[at]] if len(wanted) else np.empty(0, np.int64)


def _runs(place: NDArray[np.int64], n_old: int) -> list[tuple[int, int]]:
    """Stretches of places that follow one another in one file, or of none."""
    step = np.diff(place)
    onward = (step == 1) & (place[:-1] != _NOWHERE) & (place[1:] != n_old)
    joined = onward | (step == 0) & (place[:-1] == _NOWHERE)
    cuts = np.flatnonzero(~joined) + 1
    return list(zip([0, *cuts.tolist()], [*cuts.tolist(), len(place)], strict=True))


def _write(draft: Path, whole: _Whole) -> None:
    with _create(draft) as file:
        layers = dict.fromkeys(name.split("/")[0] for name in whole.features)
        for group in ("rows", "choices", "features", *(f"features/{one}" for one in layers)):
            h5py.h5g.create(file.id, group.encode(), gcpl=_without_times(h5py.h5p.GROUP_CREATE))
        _write_header(file, whole)
        for name, feature in whole.features.items():
            _write_feature(file, name, feature, whole)
    block = userblock(content_digest(draft))
    with draft.open("r+b") as content:
        content.write(block)
        content.flush()
        os.fsync(content.fileno())


def _create(path: Path) -> Any:
    """A new file; by hand, since h5py's own way notes the time in every group."""
    how = _without_times(h5py.h5p.FILE_CREATE)
    how.set_userblock(USERBLOCK)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(*_LIBVER)
    access.set_file_locking(False, True)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    return h5py.File(h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, how, access))


def _without_times(kind: Any) -> Any:
    properties = h5py.h5p.create(kind)
    properties.set_obj_track_times(False)
    return properties


def _write_header(file: Any, whole: _Whole) -> None:
    text = {
        "spec": to_json(whole.header.spec),
        "dataset": to_json(whole.header.dataset),
        "key": whole.header.key,
        "software": to_json(whole.software),
        "outputs": to_json(list(whole.features)),
        "choices": to_json([one.to_dict() for one in whole.choices]),
        "compression": whole.compression,
    }
    arrays = {name: getattr(whole.rows, name).astype(t) for name, t in ROW_DTYPES.items()}
    arrays["done"] = whole.done
    tables = {f"rows/{name}": array for name, array in arrays.items()}
    tables |= {f"choices/{one.id}": one.rows.astype("<i8") for one in whole.choices}
    file.attrs["format_version"] = FORMAT_VERSION
    for name, value in text.items():
        file.attrs[name] = value
    file.attrs["header_sha256"] = header_digest(text, tables)
    for name, array in tables.items():
        file.create_dataset(name, data=array, chunks=array.shape, fletcher32=True)


def _write_feature(file: Any, name: str, feature: _Feature, whole: _Whole) -> None:
    n = len(feature.place)
    row_bytes = int(np.prod(feature.shape)) * np.dtype(feature.dtype).itemsize
    step = min(n, max(1, CHUNK_BYTES // row_bytes))
    dataset = file.create_dataset(
        f"features/{name}",
        shape=(n, *feature.shape),
        dtype=feature.dtype,
        chunks=(step, *feature.shape),
        fletcher32=True,
        **filters(whole.compression),
    )
    for first in range(0, n, step):
        last = min(first + step, n)
        if (feature.place[first:last] != _NOWHERE).any():  # else HDF5 keeps nothing of the chunk
            dataset[first:last] = whole.read(name, first, last)


def _reason(error: OSError) -> str:
    """Why something could not be written, in a few words: HDF5's own are many."""
    number = re.search(r"errno = (\d+)", str(error))
    if number:
        return os.strerror(int(number[1]))
    return error.strerror or str(error).splitlines()[0]


def _sync_folder(folder: Path) -> None:
    """Have the renaming itself on the disk, where folders can be synchronised."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems
        pass
    finally:
        os.close(descriptor)
