"""The bytes of a CSV file: plain, gzip, xz, or a member of a zip or tar archive."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from fer_features.errors import FerError

Member = str | tarfile.TarInfo | None
"""A CSV file's name in a zip archive, its place in a tar archive, or None without an archive."""

_GZIP, _XZ, _ZIP = (b"\x1f\x8b",), (b"\xfd7zXZ\x00",), (b"PK\x03\x04", b"PK\x05\x06")
_PACKED = (".gz", ".tgz", ".xz", ".txz", ".zip", ".tar")
_TAR = slice(257, 262)  # "ustar" in a tar archive's first header
_PREFERRED = ("fer2013.csv", "icml_face_data.csv")  # the tables of Kaggle's archives
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)
_BUFFER = 1 << 16  # measured: fastest for lines of 8 kB; fits a core's own cache
_AGAIN = "get the file again; the download may be incomplete"


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn errors in reading or unpacking `path` into a `FerError` that names it."""
    try:
        yield
    except (gzip.BadGzipFile, *_DAMAGE) as error:
        raise FerError(f"{path.name} is truncated or corrupt: {error}", hint=_AGAIN) from error
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
        if _starts_with(path, _ZIP):
            with zipfile.ZipFile(path) as archive:
                return _select_member(archive.namelist(), path)
        with _open_stream(path) as stream:
            head = stream.read(_TAR.stop)
            if head[_TAR] != b"ustar":
                packed = _starts_with(path, _GZIP + _XZ) or not head
                if path.suffix.lower() in _PACKED and not packed:
                    raise FerError(f"{path.name} is not a {path.suffix.lower()} file", hint=_AGAIN)
                return None
            stream.seek(0)
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                members = {one.name: one for one in tar if one.isreg()}
            while stream.read(_BUFFER):  # up to the checksum at the end of a compressed stream
                pass
        return members[_select_member(members, path)]


@contextmanager
def open_csv(path: Path, member: Member) -> Iterator[BinaryIO]:
    """Open the text of a CSV file; `member` is what `find_member` returned.

    Raises:
        FerError: the file is truncated, corrupt or encrypted.
    """
    with file_errors(path), ExitStack() as stack:
        if isinstance(member, str):
            archive = stack.enter_context(zipfile.ZipFile(path))
            packed = stack.enter_context(archive.open(member))
        else:
            stream = stack.enter_context(_open_stream(path))
            if member is None:
                yield stream
                return
            tar = stack.enter_context(tarfile.open(fileobj=stream, mode="r:"))
            packed = tar.extractfile(member)  # type: ignore[assignment]  # it is a regular file
        # A member's own `readline` is slow on lines longer than its buffer of 4 kB.
        yield stack.enter_context(io.BufferedReader(cast(io.RawIOBase, packed), _BUFFER))


def _starts_with(path: Path, magic: tuple[bytes, ...]) -> bool:
    with path.open("rb") as file:
        return file.read(6).startswith(magic)


def _open_stream(path: Path) -> BinaryIO:
    if _starts_with(path, _GZIP):
        return cast(BinaryIO, gzip.open(path))
    if _starts_with(path, _XZ):
        return cast(BinaryIO, lzma.open(path))
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
        raise FerError(f"{path.name} holds no .csv file")
    if len(tables) > 1:
        raise FerError(
            f"{path.name} holds several .csv files: {', '.join(sorted(tables))}",
            hint="unpack it, and give the path of the one to use",
        )
    return tables[0]
