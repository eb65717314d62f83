"""Writing a cache: one writer, a journal while features are computed, then a new file.

The new file is written beside the old one, in full, and replaces it only when all of it is on the
disk: a reader sees the old cache or the new one, and a kill at any moment loses neither the old
file nor the journal. Its content depends on nothing but the features, rows and selections, so it is
the same byte for byte however often the work was interrupted.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fer_features.cache import format as file_format
from fer_features.cache.cache import Cache
from fer_features.cache.contents import Contents
from fer_features.cache.folder import NEW_SUFFIX, beside, journal_path
from fer_features.cache.journal import Journal, JournalWriter
from fer_features.cache.lock import only_writer
from fer_features.cache.record import ROW_DTYPES, Rows, RowSelection, merge_selections
from fer_features.errors import FerError, reason_of
from fer_features.runtime.progress import Advance, no_advance

CHUNK_BYTES = 1 << 20
TABLE_ROWS = 1 << 25
"""Rows of a chunk of the row metadata: HDF5 takes no chunk of 4 GiB."""
# The oldest file format in which all metadata carry checksums.
_LIBVER = (h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)


class CacheWriter:
    """The writer of a cache; made by `open_writer`.

    Attributes:
        path: the cache.
        cache: the file as it is now; None if there is none yet.
        compression: of the next file.
    """

    def __init__(self, path: Path, *, compression: str | None = None) -> None:
        self.path = path
        self.cache = Cache(path) if path.exists() else None
        self.compression = compression or (self.cache.compression if self.cache else "none")

    def images_with(self, columns: Sequence[str]) -> set[bytes]:
        """Hashes of the images of which the cache holds all of `columns`."""
        cache = self.cache
        return set(cache.rows.sha256[cache.done(columns)].tolist()) if cache else set()

    def journal(self, **about: Any) -> JournalWriter:
        """A new journal beside the cache; arguments as for `JournalWriter`."""
        return JournalWriter(journal_path(self.path), **about)

    def compact(
        self,
        *,
        selections: Sequence[RowSelection] = (),
        copies: Sequence[Rows] = (),
        recovering: bool = False,
    ) -> None:
        """Merge the journal into the cache, and remove it.

        Args:
            selections: selections of rows to add besides the journal's own.
            copies: rows whose images are identical to ones in the cache or the journal, whose
                features they get.
            recovering: keep the intact part of a journal whose end is torn.

        Raises:
            FerError: the journal is of another cache or not as it was written, or the new file
                cannot be written.
        """
        journal_file = journal_path(self.path)
        with ExitStack() as stack:
            journal = None
            if journal_file.exists():
                journal = stack.enter_context(Journal(journal_file))
                if journal.torn and not recovering:
                    raise FerError(
                        f"{journal_file} is damaged: it is not as it was written",
                        hint="the same command recovers what is intact and resumes; check the disk",
                    )
                if not len(journal) + sum(map(len, copies)):
                    journal = None  # killed before its first batch
            sources = [one for one in (self.cache, journal) if one is not None]
            if journal is not None or (sources and (selections or copies)):
                every = [*(s for one in sources for s in one.selections), *selections]
                self._replace(Contents(sources, merge_selections(every), copies))
        journal_file.unlink(missing_ok=True)

    def _replace(self, contents: Contents) -> None:
        """Write a new file and give it the cache's name."""
        kept = f"what was computed is kept in {journal_path(self.path)}"
        with new_file(
            self.path,
            contents,
            self.compression,
            hint=f"{kept}; make room, and the same command resumes",
        ) as new:
            new.replace(self.path)
        sync_folder(self.path.parent)
        self.close()
        self.cache = Cache(self.path)

    def close(self) -> None:
        """Close the file."""
        if self.cache is not None:
            self.cache.close()


@contextmanager
def open_writer(path: Path, *, compression: str | None = None) -> Iterator[CacheWriter]:
    """Lock the cache at `path` for writing, and recover its journal if there is one.

    A journal to which a mistake of the caller has let no row be written is removed.

    Args:
        path: the cache; it need not exist yet.
        compression: one of `COMPRESSIONS`; None for that of the file, or else none.

    Raises:
        FerError: another process writes it, the file or the journal cannot be used, or nothing can
            be written.
    """
    with only_writer(path):
        writer = CacheWriter(path, compression=compression)
        try:
            if journal_path(path).exists():
                writer.compact(recovering=True)
            yield writer
        except FerError:  # such as a bad row, before the first batch was written
            _remove_empty(journal_path(path))
            raise
        finally:
            writer.close()


@contextmanager
def new_file(
    path: Path, contents: Contents, compression: str, *, hint: str, advance: Advance = no_advance
) -> Iterator[Path]:
    """Write the next file of the cache at `path` beside it; it is removed after the block.

    Args:
        path: the cache.
        contents: what to write.
        compression: one of `COMPRESSIONS`.
        hint: of the error.
        advance: called with the number of rows of each column that has been written.

    Raises:
        FerError: it cannot be written.
    """
    new = beside(path, NEW_SUFFIX)
    try:
        _write(new, contents, compression, advance)
        yield new
    except OSError as error:
        raise FerError(f"{new} cannot be written: {reason_of(error)}", hint=hint) from error
    finally:
        new.unlink(missing_ok=True)


def _remove_empty(path: Path) -> None:
    """Remove a journal that holds no row, or it would be listed as an unfinished cache."""
    with suppress(FileNotFoundError):
        with Journal(path) as journal:
            empty = not len(journal)
        if empty:
            path.unlink()


def _write(path: Path, contents: Contents, compression: str, advance: Advance) -> None:
    with _create(path) as file:
        layers = dict.fromkeys(name.split("/")[0] for name in contents.columns if "/" in name)
        for group in ("rows", "choices", "features", *(f"features/{one}" for one in layers)):
            h5py.h5g.create(file.id, group.encode(), gcpl=_without_times(h5py.h5p.GROUP_CREATE))
        _write_header(file, contents, compression)
        for name in contents.columns:
            _write_column(file, name, contents, compression, advance)
    with path.open("r+b") as content, ThreadPoolExecutor(1) as other:
        synced = other.submit(os.fsync, content.fileno())  # the disk works while we hash
        block = file_format.userblock(file_format.content_digest(path))
        synced.result()
        content.write(block)
        content.flush()
        os.fsync(content.fileno())


def _create(path: Path) -> Any:
    """A new file by the low-level API: `h5py.File` would store the time in every group."""
    how = _without_times(h5py.h5p.FILE_CREATE)
    how.set_userblock(file_format.USERBLOCK)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(*_LIBVER)
    access.set_file_locking(False, True)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    return h5py.File(h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, how, access))


def _without_times(kind: Any) -> Any:
    properties = h5py.h5p.create(kind)
    properties.set_obj_track_times(False)
    return properties


def _write_header(file: Any, contents: Contents, compression: str) -> None:
    header = contents.header
    text = {
        "spec": file_format.to_json(header.spec),
        "dataset": file_format.to_json(header.dataset),
        "key": header.key,
        "software": file_format.to_json(contents.software),
        "outputs": file_format.to_json(list(contents.columns)),
        "choices": file_format.to_json([one.to_dict() for one in contents.selections]),
        "compression": compression,
    }
    rows = contents.rows
    tables = {f"rows/{name}": getattr(rows, name).astype(t) for name, t in ROW_DTYPES.items()}
    tables["rows/done"] = contents.done
    tables |= {f"choices/{one.id}": one.rows.astype("<i8") for one in contents.selections}
    file.attrs["format_version"] = file_format.FORMAT_VERSION
    for name, value in text.items():
        file.attrs[name] = value
    file.attrs["header_sha256"] = file_format.header_digest(text, tables)
    for name, array in tables.items():
        chunks = (min(len(array), TABLE_ROWS), *array.shape[1:])
        file.create_dataset(name, data=array, chunks=chunks, fletcher32=True)


def _write_column(
    file: Any, name: str, contents: Contents, compression: str, advance: Advance
) -> None:
    column, n = contents.columns[name], len(contents.rows)
    row_bytes = math.prod(column.shape) * np.dtype(column.dtype).itemsize
    step = min(n, max(1, CHUNK_BYTES // row_bytes))
    dataset = file.create_dataset(
        f"features/{name}" if "/" in name else f"rows/{name}",
        shape=(n, *column.shape),
        dtype=column.dtype,
        chunks=(step, *column.shape),
        fletcher32=True,
        **file_format.filters(compression),
    )
    for first in range(0, n, step):
        last = min(first + step, n)
        if (column.place[first:last] >= 0).any():  # HDF5 stores nothing of other chunks
            dataset[first:last] = contents.read(name, first, last)
        advance(last - first)


def sync_folder(folder: Path) -> None:
    """Put the renaming itself on the disk, where folders can be synchronised."""
    with suppress(OSError):  # some network file systems
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
