"""The bytes of a CSV file: plain, gzip, xz, or a member of a zip or tar archive."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from fer_features.errors import FerError
from fer_features.runtime.text import plain_text, shortened

Member = str | tarfile.TarInfo | None
"""A CSV file's name in a zip archive, its place in a tar archive, or None without an archive."""

_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\x00": lzma.open, b"BZh": bz2.open}
_PACKED = (".gz", ".tgz", ".xz", ".txz", ".bz2", ".zip", ".tar")
_PREFERRED = ("fer2013.csv", "icml_face_data.csv")  # the tables of Kaggle's archives
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)
_BUFFER = 1 << 16  # measured: fastest for lines of 8 kB; fits a core's own cache
AGAIN = "get the file again; the download may be incomplete"


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn errors in reading or unpacking `path` into a `FerError` that names it."""
    try:
        yield
    except (gzip.BadGzipFile, *_DAMAGE) as error:
        raise FerError(f"{path.name} is truncated or corrupt: {error}", hint=AGAIN) from error
    except OSError as error:
        raise FerError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except (RuntimeError, NotImplementedError) as error:  # a zip's password or rare compression
        raise FerError(f"{path.name} cannot be unpacked: {error}") from error


def find_member(path: Path) -> Member:
    """Which member of an archive is the CSV file; the type is recognised by the content.

    Of several CSV files, ``fer2013.csv`` is taken, or else ``icml_face_data.csv``.

    Raises:
        FerError: the file cannot be read, is not packed although its suffix says so, or its CSV
            file is missing or ambiguous.
    """
    with file_errors(path):
        with path.open("rb") as file:
            head = file.read(6)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _select_member(archive.namelist(), path)
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as tar:
                members = {one.name: one for one in tar if one.isreg()}
                while tar.fileobj and tar.fileobj.read(_BUFFER):  # up to a checksum at the end
                    pass
            return members[_select_member(members, path)]
        if head and path.suffix.lower() in _PACKED and not head.startswith(tuple(_OPENERS)):
            raise FerError(f"{path.name} is not a {path.suffix.lower()} file", hint=AGAIN)
    return None


@contextmanager
def open_csv(path: Path, member: Member) -> Iterator[BinaryIO]:
    """Open the text of a CSV file; `member` is what `find_member` returned.

    Raises:
        FerError: the file is truncated, corrupt or encrypted.
    """
    with file_errors(path), ExitStack() as stack:
        packed: Any
        if isinstance(member, str):
            packed = stack.enter_context(zipfile.ZipFile(path)).open(member)
        elif member is not None:
            packed = stack.enter_context(tarfile.open(path)).extractfile(member)
        else:
            yield stack.enter_context(_open_stream(path))
            return
        # A member's own `readline` is slow on lines longer than its buffer of 4 kB.
        yield stack.enter_context(io.BufferedReader(packed, _BUFFER))


def _open_stream(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        head = file.read(6)
    for magic, opener in _OPENERS.items():
        if head.startswith(magic):
            return cast(BinaryIO, opener(path))
    return path.open("rb", buffering=_BUFFER)


def _select_member(members: Iterable[str], path: Path) -> str:
    files = {name: PurePosixPath(name).name.lower() for name in members}
    # macOS adds a file "._NAME" for each NAME.
    tables = [name for name, file in files.items() if file[:1] != "." and file.endswith(".csv")]
    for preferred in _PREFERRED:
        matching = [name for name in tables if files[name] == preferred]
        if len(matching) == 1:
            return matching[0]
    if not tables:
        raise FerError(
            f"{path.name} holds no .csv file",
            hint="if it has pictures in class folders, unpack it, and give their folder",
        )
    if len(tables) > 1:
        raise FerError(
            f"{path.name} holds several .csv files: {', '.join(sorted(tables))}",
            hint="unpack it, and give the path of the one to use",
        )
    return tables[0]


def read_columns(path: Path, *names: str) -> Iterator[tuple[str, ...]]:
    """Columns of each row of a CSV file that is not blank; one row a line, as FER2013's files.

    Args:
        path: the file, which may be packed.
        names: the columns, in any case.

    Raises:
        FerError: it cannot be read, or lacks a column.
    """
    with file_errors(path), open_csv(path, find_member(path)) as file:
        texts = (line.decode("utf-8-sig", "replace") for line in file if not line.isspace())
        rows = (next(csv.reader([text]), []) for text in texts)
        header = [one.strip().lower() for one in next(rows, [])]
        for name in names:
            if header.count(name.lower()) != 1:
                raise FerError(
                    f"{path.name} has no column {plain_text(name)}, or more than one",
                    hint=f"its first line: {shortened(plain_text(', '.join(header)), 100)}",
                )
        places = [header.index(name.lower()) for name in names]
        for row in rows:
            yield tuple(row[at].strip() if at < len(row) else "" for at in places)
