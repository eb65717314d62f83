"""From a journal and the cache that is there, if there is one, to the cache that follows.

The new file is written beside the old one, in full, and takes its name only when all of it is on
the disk: a reader sees the old cache or the new one, and a kill at any moment loses neither the old
file nor the journal. What the file holds depends on nothing but the features, rows and choices, so
it is the same to the bit however often the work was interrupted.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py

from fer_features.cache.cache import (
    FORMAT_VERSION,
    USERBLOCK,
    Cache,
    content_digest,
    filters,
    header_digest,
    userblock,
)
from fer_features.cache.contents import NOWHERE, Feature, Whole
from fer_features.cache.journal import Journal
from fer_features.cache.record import (
    DRAFT_SUFFIX,
    ROW_DTYPES,
    RowSelection,
    beside,
    row_bytes,
    to_json,
)
from fer_features.errors import FerError, reason_of

CHUNK_BYTES = 1 << 20
# The oldest file format in which all metadata carry checksums.
_LIBVER = (h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)


def fold(
    path: Path,
    journal_path: Path,
    *,
    also: Sequence[RowSelection] = (),
    compression: str | None = None,
    fresh: bool = False,
) -> None:
    """Make the cache at `path` hold what its journal holds, and remove the journal.

    Args:
        path: the cache; it need not be there yet.
        journal_path: the journal; it need not be there if there is something in `also`.
        also: choices to note besides the journal's own.
        compression: one of `COMPRESSIONS`; None for that of the cache that is there, or else none.
        fresh: whether this process has just written the journal to its end.

    Raises:
        FerError: the journal is of another cache, or the new file cannot be written.
    """
    draft = beside(path, DRAFT_SUFFIX)
    with ExitStack() as stack:
        old = stack.enter_context(Cache(path)) if path.exists() else None
        journal = (
            stack.enter_context(Journal(journal_path, fresh=fresh))
            if journal_path.exists()
            else None
        )
        if journal is not None and not journal.records:  # killed before its first batch
            journal = None
        if journal is None and (old is None or not also):
            journal_path.unlink(missing_ok=True)
            return
        compression = compression or (old.compression if old else "none")
        whole = Whole(old, journal, also, compression)
        aside = stack.enter_context(ThreadPoolExecutor(1))
        try:
            checked = aside.submit(journal.check) if journal is not None else None
            _write(draft, whole)
            if checked is not None:
                checked.result()
            draft.replace(path)
        except OSError as error:
            raise FerError(
                f"{draft} cannot be written: {reason_of(error)}",
                hint=f"what was computed is kept in {journal_path}; make room, and the same "
                "command goes on",
            ) from error
        finally:
            draft.unlink(missing_ok=True)
    _sync_folder(path.parent)
    journal_path.unlink(missing_ok=True)


def _write(draft: Path, whole: Whole) -> None:
    with _create(draft) as file:
        layers = dict.fromkeys(name.split("/")[0] for name in whole.features)
        for group in ("rows", "choices", "features", *(f"features/{one}" for one in layers)):
            h5py.h5g.create(file.id, group.encode(), gcpl=_without_times(h5py.h5p.GROUP_CREATE))
        _write_header(file, whole)
        for name, feature in whole.features.items():
            _write_feature(file, name, feature, whole)
    with draft.open("r+b") as content, ThreadPoolExecutor(1) as aside:
        synced = aside.submit(os.fsync, content.fileno())  # the disk works while we hash
        block = userblock(content_digest(draft))
        synced.result()
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


def _write_header(file: Any, whole: Whole) -> None:
    text = {
        "spec": to_json(whole.header.spec),
        "dataset": to_json(whole.header.dataset),
        "key": whole.header.key,
        "software": to_json(whole.software),
        "outputs": to_json(list(whole.features)),
        "choices": to_json([one.to_dict() for one in whole.selections]),
        "compression": whole.compression,
    }
    arrays = {name: getattr(whole.rows, name).astype(t) for name, t in ROW_DTYPES.items()}
    arrays["done"] = whole.done
    tables = {f"rows/{name}": array for name, array in arrays.items()}
    tables |= {f"choices/{one.id}": one.rows.astype("<i8") for one in whole.selections}
    file.attrs["format_version"] = FORMAT_VERSION
    for name, value in text.items():
        file.attrs[name] = value
    file.attrs["header_sha256"] = header_digest(text, tables)
    for name, array in tables.items():
        file.create_dataset(name, data=array, chunks=array.shape, fletcher32=True)


def _write_feature(file: Any, name: str, feature: Feature, whole: Whole) -> None:
    n = len(feature.place)
    step = min(n, max(1, CHUNK_BYTES // row_bytes(feature.shape, feature.dtype)))
    dataset = file.create_dataset(
        f"features/{name}",
        shape=(n, *feature.shape),
        dtype=feature.dtype,
        chunks=(step, *feature.shape),
        fletcher32=True,
        **filters(whole.compression),
    )
    # HDF5 keeps nothing of a chunk that is not written.
    firsts = [at for at in range(0, n, step) if (feature.place[at : at + step] != NOWHERE).any()]
    with ThreadPoolExecutor(1) as reader:  # the next chunk is read while one is written
        ahead = deque(reader.submit(whole.read, name, at, min(at + step, n)) for at in firsts[:2])
        for place, at in enumerate(firsts):
            values = ahead.popleft().result()
            for following in firsts[place + 2 : place + 3]:
                last = min(following + step, n)
                ahead.append(reader.submit(whole.read, name, following, last))
            dataset[at : at + step] = values


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
