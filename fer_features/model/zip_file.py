"""Zip files from strangers: checked before anything in them is read."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

END = struct.Struct("<4s4H2LH")
"""The last record of a zip file: places of the directory, number of entries, its size."""

ZIP64 = b"PK\x06\x07"
"""How a second record of that kind begins, for files of more than 4 GB, whose size is 20 bytes."""

MOST_BYTES = 2 << 30
"""Bytes of all entries of a zip file together."""

LARGEST_DIRECTORY = 1 << 20
"""Bytes of the directory of a zip file, which Python reads whole."""

MOST_TIMES = 100
"""How much larger than in the file an entry of more than `FREE` bytes may be."""

FREE = 1 << 20


@contextmanager
def open_zip(
    file: Path | IO[bytes],
    expected: Callable[[str], bool],
    *,
    most_entries: int = 100,
    most_bytes: int = MOST_BYTES,
) -> Iterator[zipfile.ZipFile]:
    """A zip file whose entries' names, types and sizes have been checked, and nothing else.

    Args:
        file: the file.
        expected: whether an entry of that name may be in it.
        most_entries: how many there may be.
        most_bytes: how large they may be together.

    Raises:
        ValueError: it is no zip file, or has an entry that it should not have.
    """
    _check_end(file, most_entries)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, struct.error) as error:
        raise ValueError(f"it is no zip file: {error}") from error
    with archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if len(set(names)) < len(names):
            raise ValueError("two of its entries have one name")
        if sum(entry.file_size for entry in entries) > most_bytes:
            raise ValueError(f"its content is more than {most_bytes:,} bytes")
        for entry in entries:
            _check_entry(entry)
            if not expected(entry.filename):
                raise ValueError(f"it holds {entry.filename[:80]!r}, which does not belong there")
        yield archive


def _check_end(file: Path | IO[bytes], most_entries: int) -> None:
    """Check the number of entries before Python reads a directory that may be of millions."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return _check_end(opened, most_entries)
    size = file.seek(0, 2)
    if size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    length = min(size, END.size + 20)
    file.seek(size - length)
    tail = file.read(length)
    if len(tail) < END.size or tail[-END.size :][:4] != b"PK\x05\x06":
        raise ValueError("it is no zip file, or its end is missing")
    _, disk, first, here, entries, directory, offset, comment = END.unpack(tail[-END.size :])
    odd = disk or first or comment or here != entries or offset + directory + END.size != size
    if odd or tail[: -END.size].startswith(ZIP64):
        raise ValueError("it is a zip file of another kind than this program's")
    if entries > most_entries or directory > LARGEST_DIRECTORY:
        raise ValueError(f"it has more than {most_entries} entries")
    return None


def _check_entry(entry: zipfile.ZipInfo) -> None:
    """Raise a `ValueError` for an entry that is no plain file, or a zip bomb."""
    mode = entry.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if entry.is_dir() or kind not in (0, stat.S_IFREG) or entry.flag_bits & 1:
        raise ValueError("one of its entries is no plain file")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("one of its entries is compressed in an unknown way")
    if entry.file_size > max(FREE, MOST_TIMES * entry.compress_size):
        raise ValueError(f"one of its entries would unpack to {entry.file_size:,} bytes")


def read_entry(archive: zipfile.ZipFile, name: str, *, most: int = MOST_BYTES) -> bytes:
    """An entry's content, of at most so many bytes.

    Raises:
        ValueError: it is missing, damaged or larger.
    """
    try:
        if archive.getinfo(name).file_size > most:
            raise ValueError(f"its entry {name} is too large")
        return archive.read(name)
    except ValueError:
        raise
    except KeyError as error:
        raise ValueError(f"it has no {name}") from error
    except Exception as error:  # zipfile and zlib each raise their own kinds
        raise ValueError(f"its entry {name} is damaged: {error}") from error
