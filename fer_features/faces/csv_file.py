"""The bytes of a CSV file, however it is packed."""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, cast

from fer_features.errors import FerError

Packing = Literal["plain", "gzip", "xz", "zip"]

_MAGIC: dict[bytes, Packing] = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # one without members
}
_SUFFIXES: dict[str, Packing] = {".gz": "gzip", ".xz": "xz", ".zip": "zip"}

# Members of the archives that Kaggle hands out, in the order in which they are preferred.
_PREFERRED_MEMBERS = ("fer2013.csv", "icml_face_data.csv")

_BUFFER = 1 << 16  # measured: fastest for lines of 8 kB; fits a core's own cache
_AGAIN = "get the file again; it may not have arrived whole"


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn what goes wrong in reading or unpacking `path` into a `FerError` that names it."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise FerError(f"{path.name} is truncated or corrupt: {error}", hint=_AGAIN) from error
    except OSError as error:
        raise FerError(f"{path.name} cannot be read: {error.strerror or error}") from error


def find_packing(path: Path) -> Packing:
    """How the file is packed, by its first bytes.

    Raises:
        FerError: they are not what the file's suffix promises, or the file cannot be read.
    """
    with translated_errors(path), path.open("rb") as file:
        head = file.read(6)
    found: Packing = "plain"
    for magic, packing in _MAGIC.items():
        if head.startswith(magic):
            found = packing
    promised = _SUFFIXES.get(path.suffix.lower())
    if head and promised not in (None, found):
        raise FerError(f"{path.name} is not a {promised} file", hint=_AGAIN)
    return found


@contextmanager
def open_unpacked(path: Path, packing: Packing) -> Iterator[BinaryIO]:
    """Open the CSV text in `path` for reading from its start.

    Raises:
        FerError: the file is truncated, corrupt or locked, or its member cannot be chosen.
    """
    with translated_errors(path), ExitStack() as stack:
        if packing == "gzip":
            yield cast(BinaryIO, stack.enter_context(gzip.open(path)))
        elif packing == "xz":
            yield cast(BinaryIO, stack.enter_context(lzma.open(path)))
        elif packing == "zip":
            archive = stack.enter_context(zipfile.ZipFile(path))
            member = _choose_member(archive, path)
            yield stack.enter_context(_open_member(archive, member, path))
        else:
            yield stack.enter_context(path.open("rb", buffering=_BUFFER))


def _choose_member(archive: zipfile.ZipFile, path: Path) -> str:
    names = [PurePosixPath(name) for name in archive.namelist()]
    # Names in "._" are what macOS puts beside a file of the same name.
    tables = [one for one in names if one.suffix.lower() == ".csv" and not one.name.startswith(".")]
    for wanted in _PREFERRED_MEMBERS:
        matching = [one for one in tables if one.name.lower() == wanted]
        if len(matching) == 1:
            return str(matching[0])
    if len(tables) == 1:
        return str(tables[0])
    if not tables:
        raise FerError(f"{path.name} holds no .csv file")
    raise FerError(
        f"{path.name} holds several .csv files: {', '.join(sorted(map(str, tables)))}",
        hint="unpack it, and give the path of the one to use",
    )


def _open_member(archive: zipfile.ZipFile, member: str, path: Path) -> BinaryIO:
    try:
        opened = archive.open(member)
    except (RuntimeError, NotImplementedError) as error:  # locked, or packed in a rare way
        raise FerError(f"{path.name} cannot be unpacked: {error}") from error
    # A zip member's own `readline` is slow on lines longer than its buffer of 4 kB.
    return io.BufferedReader(cast(io.RawIOBase, opened), _BUFFER)
