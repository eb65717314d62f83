"""Images in: the `Faces` record, and one file for each kind of source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fer_features.config import EMOTIONS, USAGES
from fer_features.data.record import IMAGE_SIZE, BadRow, FaceIndex, Faces, FaceSource, read_all
from fer_features.errors import FerError

__all__ = [
    "EMOTIONS",
    "IMAGE_SIZE",
    "USAGES",
    "BadRow",
    "FaceIndex",
    "FaceSource",
    "Faces",
    "open_faces",
    "read_all",
]


def open_faces(
    data: str | Path = "sample",
    *,
    skip_bad: bool = False,
    ignore: Sequence[str] = (),
    classes: Mapping[str, str] | None = None,
) -> FaceSource:
    """Open a source of faces by its name.

    Args:
        data: ``sample`` for the built-in drawn faces, a folder of class folders, or a
            ``fer2013.csv`` (plain, or as ``.gz``, ``.xz``, ``.zip`` or in a tar archive).
        skip_bad: check every row and leave bad ones out (listed in `FaceIndex.bad`) instead of
            raising at the first.
        ignore: names of classes whose images are left out, in upper or lower case.
        classes: for names of classes, the name of the emotion that they count as. Either choice is
            part of the source's digest.

    Raises:
        FerError: there is no such file or folder, or it is not of a known form.
    """
    if str(data) == "sample":
        if ignore or classes:
            raise FerError(
                "sample has the seven classes and no others",
                hint="leave --ignore and --map out; --task chooses among the seven",
            )
        from fer_features.data.sample import SampleFaces

        return SampleFaces()
    path = Path(data).expanduser()
    if path.is_dir():
        from fer_features.data.folder import FolderFaces

        return FolderFaces(path, skip_bad=skip_bad, ignore=ignore, classes=classes)
    if path.is_file():
        from fer_features.data.csv import CsvFaces

        return CsvFaces(path, skip_bad=skip_bad, ignore=ignore, classes=classes)
    if path.exists():
        raise FerError(f"{data} is neither a regular file nor a folder")
    raise FerError(
        f"no such file or folder: {data}",
        hint="give the path of fer2013.csv, of a folder of class folders, or the word sample",
    )
