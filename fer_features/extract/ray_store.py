"""Data and shards in an object store, or on any file system that pyarrow knows by a URI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fer_features.errors import FerError, install_hint, reason_of


def is_uri(text: str) -> bool:
    """Whether a text is a URI, as of `Store`, and no path."""
    return "://" in text


class Store:
    """A folder or file of a store; read and written whole, file by file.

    Args:
        uri: such as ``s3://bucket/folder``, ``gs://…`` or ``file:///folder``.

    Raises:
        FerError: pyarrow is not installed, or does not know such a store; and from all methods:
            the store cannot be read or written.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        try:
            from pyarrow import fs
        except ImportError as error:
            raise FerError(f"{uri}: pyarrow is needed", hint=install_hint("ray")) from error
        self._fs: Any = fs
        try:
            self._files, self._path = fs.FileSystem.from_uri(self.uri)
        except (ValueError, OSError) as error:
            raise FerError(f"{uri}: {error}", hint="s3://, gs:// or file:///, say") from error

    def names(self) -> list[str]:
        """The names of the files of the folder; none if it is not there."""
        selector = self._fs.FileSelector(self._path, allow_not_found=True)
        try:
            found = self._files.get_file_info(selector)
        except OSError as error:
            raise self._error("read", error) from error
        return [one.base_name for one in found if one.is_file]

    def fetch(self, folder: Path, name: str = "") -> Path:
        """Copy a file of the folder, or all that the URI names, into a local folder."""
        source = f"{self._path}/{name}" if name else self._path
        target = folder / Path(source).name
        folder.mkdir(parents=True, exist_ok=True)
        local = self._fs.LocalFileSystem()
        try:
            if self._files.get_file_info(source).type == self._fs.FileType.NotFound:
                raise FerError(f"{self.uri}{'/' if name else ''}{name}: no such file or folder")
            self._fs.copy_files(source, str(target), self._files, local)
        except OSError as error:
            raise self._error("read", error) from error
        return target

    def put(self, path: Path) -> None:
        """Copy a local file into the folder; it appears there when all of it is there."""
        target, local = f"{self._path}/{path.name}", self._fs.LocalFileSystem()
        new = f"{target}.new"
        try:
            self._files.create_dir(self._path)
            self._fs.copy_files(str(path), new, local, self._files)
            self._files.move(new, target)
        except OSError as error:
            raise self._error("written", error) from error

    def remove(self) -> None:
        """Delete the folder with all that is in it."""
        try:
            if self._files.get_file_info(self._path).type != self._fs.FileType.NotFound:
                self._files.delete_dir(self._path)
        except OSError as error:
            raise self._error("written", error) from error

    def _error(self, what: str, error: OSError) -> FerError:
        return FerError(f"{self.uri} cannot be {what}: {reason_of(error)}")
