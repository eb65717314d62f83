"""Images and labels in: CSV and Parquet files, folders of pictures, the drawn sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_features.config import EMOTIONS, USAGES, DataConfig
from fer_features.data.faces import (
    IMAGE_SIZE,
    BadRow,
    FaceIndex,
    Faces,
    FaceSource,
    SampleFaces,
    pixel_sha256,
    read_all,
)
from fer_features.data.parquet_columns import is_parquet
from fer_features.errors import FerError

__all__ = [
    "EMOTIONS",
    "IMAGE_SIZE",
    "USAGES",
    "BadRow",
    "FaceIndex",
    "FaceSource",
    "Faces",
    "load_faces",
    "open_faces",
    "open_source",
    "pixel_sha256",
    "read_all",
]


def load_faces(
    data: str | Path = "sample",
    *,
    ignore: Sequence[str] = (),
    map_class: Mapping[str, str] | None = None,
    skip_bad: bool = False,
) -> Faces:
    """Load all images and labels of a source into memory (2.3 kB an image).

    Args:
        data: ``sample`` for the built-in drawn faces, a folder of class folders, a
            ``fer2013.csv`` (plain, or as ``.gz``, ``.xz``, ``.zip`` or in a tar archive), or a
            Parquet file or a folder of such files.
        ignore: class names or labels whose images are left out; case does not matter.
        map_class: the emotion that images of other classes or labels count as, by class or label.
        skip_bad: leave out rows that cannot be read instead of raising at the first.

    Returns:
        The faces: ``.images`` uint8 (N, 48, 48), ``.emotion``, ``.usage``, ``.row``, ``.sha256``.

    Raises:
        FerError: there is no such file or folder, it is not of a known form, or a row is bad.
    """
    return read_all(open_faces(data, skip_bad=skip_bad, ignore=ignore, classes=map_class))


def open_source(config: DataConfig) -> FaceSource:
    """Open the source that a configuration names; errors as for `open_faces`."""
    return open_faces(
        config.data, skip_bad=config.skip_bad, ignore=config.ignore, classes=config.classes
    )


def open_faces(
    data: str | Path = "sample",
    *,
    skip_bad: bool = False,
    ignore: Sequence[str] = (),
    classes: Mapping[str, str] | None = None,
) -> FaceSource:
    """Open a source of faces, to read its labels first and its images in batches.

    Args:
        data: as for `load_faces`.
        skip_bad: check every row and leave bad ones out (listed in `FaceIndex.bad`) instead of
            raising at the first.
        ignore: as for `load_faces`.
        classes: as `map_class` for `load_faces`.

    Raises:
        FerError: there is no such file or folder, or it is not of a known form.
    """
    if str(data) == "sample":
        if ignore or classes:
            raise FerError(
                "sample has the seven emotions and no other classes",
                hint="leave --ignore and --map out; --task selects among the seven",
            )
        return SampleFaces()
    path = Path(data).expanduser()
    options: Any = {"skip_bad": skip_bad, "ignore": ignore, "classes": classes}
    if (path.is_dir() or path.is_file()) and is_parquet(path):
        from fer_features.data.parquet import ParquetFaces

        return ParquetFaces(path, **options)
    if path.is_dir():
        from fer_features.data.folder import FolderFaces

        return FolderFaces(path, **options)
    if path.is_file():
        from fer_features.data.csv import CsvFaces
        from fer_features.data.pictures import suffixes

        if path.suffix.lower() in suffixes():
            raise FerError(
                f"{data} is a picture, and no data set",
                hint="a folder of class folders is one; fer predict answers for a picture",
            )

        return CsvFaces(path, **options)
    if path.exists():
        raise FerError(
            f"{data} is neither a regular file nor a folder",
            hint="a CSV file is read more than once: save what a pipe gives, and give that file",
        )
    if "://" in str(data):
        raise FerError(f"{data} is a URI", hint="fer extract --on ray reads those; copy the data")
    raise FerError(
        f"no such file or folder: {data}",
        hint="give the path of fer2013.csv, of a folder of class folders or of a Parquet file, or "
        "the word sample",
    )
