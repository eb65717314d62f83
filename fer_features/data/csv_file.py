"""The bytes of a CSV file, however it is packed."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, cast

from fer_features.errors import FerError

Kind = Literal["plain", "gzip", "xz", "zip"]

_MAGIC: dict[bytes, Kind] = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # one without members
}
_UNREAD = {
    b"BZh": "bzip2",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
_SUFFIXES: dict[str, Kind] = {
    ".gz": "gzip",
    ".tgz": "gzip",
    ".xz": "xz",
    ".txz": "xz",
    ".zip": "zip",
}
_TAR = slice(257, 262)  # where a tar says "ustar"


@dataclass(frozen=True)
class Packing:
    """How a CSV file is packed.

    Attributes:
        kind: what the file itself is.
        member: the CSV file's name in a zip, or what a tar says of it; None if there is neither.
    """

    kind: Kind
    member: str | tarfile.TarInfo | None = None


# Members of the archives that Kaggle hands out, in the order in which they are preferred.
_PREFERRED_MEMBERS = ("fer2013.csv", "icml_face_data.csv")

_DAMAGE = (
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    tarfile.TarError,
)
_BUFFER = 1 << 16  # measured: fastest for lines of 8 kB; fits a core's own cache
_AGAIN = "get the file again; it may not have arrived whole"


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn what goes wrong in reading or unpacking `path` into a `FerError` that names it."""
    try:
        yield
    except _DAMAGE as error:
        raise FerError(f"{path.name} is truncated or corrupt: {error}", hint=_AGAIN) from error
    except OSError as error:
        raise FerError(f"{path.name} cannot be read: {error.strerror or error}") from error


def find_packing(path: Path) -> Packing:
    """How the file is packed, by its first bytes, and which member of an archive is meant.

    Raises:
        FerError: they are not what the file's suffix promises, the file cannot be read, or the
            member cannot be chosen.
    """
    with translated_errors(path), path.open("rb") as file:
        head = file.read(6)
    for magic, format_name in _UNREAD.items():
        if head.startswith(magic):
            raise FerError(
                f"{path.name} is packed as {format_name}, which is not read",
                hint="unpack it, and give the CSV file",
            )
    kind: Kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "plain")
    promised = _SUFFIXES.get(path.suffix.lower())
    if head and promised not in (None, kind):
        raise FerError(f"{path.name} is not a {promised} file", hint=_AGAIN)
    if kind == "zip":
        with translated_errors(path), zipfile.ZipFile(path) as archive:
            return Packing(kind, _choose_member(archive.namelist(), path))
    with translated_errors(path), _open_stream(path, kind) as stream:
        if stream.read(_TAR.stop)[_TAR] != b"ustar":
            if path.suffix.lower() == ".tar" and head:
                raise FerError(f"{path.name} is not a tar file", hint=_AGAIN)
            return Packing(kind)
        stream.seek(0)
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            members = {one.name: one for one in tar if one.isreg()}
        while stream.read(_BUFFER):  # to the checksum at the end of a packed stream
            pass
    return Packing(kind, members[_choose_member(list(members), path)])


def _open_stream(path: Path, kind: Kind) -> BinaryIO:
    if kind == "gzip":
        return cast(BinaryIO, gzip.open(path))
    if kind == "xz":
        return cast(BinaryIO, lzma.open(path))
    return path.open("rb", buffering=_BUFFER)


@contextmanager
def open_unpacked(path: Path, packing: Packing) -> Iterator[BinaryIO]:
    """Open the CSV text in `path` for reading from its start.

    Raises:
        FerError: the file is truncated, corrupt or locked.
    """
    with translated_errors(path), ExitStack() as stack:
        if isinstance(packing.member, str):
            archive = stack.enter_context(zipfile.ZipFile(path))
            yield stack.enter_context(_open_member(archive, packing.member, path))
            return
        stream = stack.enter_context(_open_stream(path, packing.kind))
        if packing.member is None:
            yield stream
            return
        tar = stack.enter_context(tarfile.open(fileobj=stream, mode="r:"))
        member = tar.extractfile(packing.member)  # goes straight to it, without a list of members
        yield stack.enter_context(io.BufferedReader(cast(io.RawIOBase, member), _BUFFER))


def _choose_member(members: list[str], path: Path) -> str:
    names = {name: PurePosixPath(name) for name in members}
    # Names in "._" are what macOS puts beside a file of the same name.
    tables = {
        name: one
        for name, one in names.items()
        if one.suffix.lower() == ".csv" and not one.name.startswith(".")
    }
    for wanted in _PREFERRED_MEMBERS:
        matching = [name for name, one in tables.items() if one.name.lower() == wanted]
        if len(matching) == 1:
            return matching[0]
    if len(tables) == 1:
        return next(iter(tables))
    if not tables:
        raise FerError(f"{path.name} holds no .csv file")
    raise FerError(
        f"{path.name} holds several .csv files: {', '.join(sorted(tables))}",
        hint="unpack it, and give the path of the one to use",
    )


def _open_member(archive: zipfile.ZipFile, member: str, path: Path) -> BinaryIO:
    try:
        opened = archive.open(member)
    except (RuntimeError, NotImplementedError) as error:  # locked, or packed in a rare way
        raise FerError(f"{path.name} cannot be unpacked: {error}") from error
    # A zip member's own `readline` is slow on lines longer than its buffer of 4 kB.
    return io.BufferedReader(cast(io.RawIOBase, opened), _BUFFER)
