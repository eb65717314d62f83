"""The files to predict: pictures and videos, given one by one or in folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from fer_features.data.pictures import OTHER_PICTURES, suffixes
from fer_features.detect.video import VIDEO_SUFFIXES, check_video_support
from fer_features.errors import FerError


def is_video(path: Path) -> bool:
    """Whether a file's name is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def check_inputs(inputs: Sequence[Path]) -> None:
    """Make sure that all inputs are there, before any is read.

    Raises:
        FerError: one is missing, neither a file nor a folder, or a video without PyAV.
    """
    if not inputs:
        raise FerError("nothing to predict", hint="name pictures, folders or videos")
    for path in inputs:
        if not path.exists():
            raise FerError(f"{path} does not exist", hint="name pictures, folders or videos")
        if not (path.is_file() or path.is_dir()):
            raise FerError(
                f"{path} is neither a file nor a folder", hint="name pictures, folders or videos"
            )
        if path.is_file() and is_video(path):
            check_video_support()


def list_sources(inputs: Sequence[Path]) -> Iterator[Path]:
    """The files of the inputs, in their order; of folders all pictures and videos, sorted.

    A folder is listed when its turn comes, so that only the names of one folder at each depth are
    in memory. Hidden files and folders are left out, and so is whatever else has not the name of
    a picture or video; pictures of types that cannot be read here are not, and get a row.
    """
    found = (file for one in inputs for file in (_files(one, ()) if one.is_dir() else iter((one,))))
    return (path for path, _ in groupby(found))


def _files(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """All pictures and videos in a folder, at any depth.

    Args:
        folder: a folder.
        above: device and inode of the folders that it is in: links back to one are not followed.
    """
    about = folder.stat()
    here = (about.st_dev, about.st_ino)
    if here in above:
        return
    try:
        with os.scandir(folder) as entries:
            names = sorted(one.name for one in entries if not one.name.startswith("."))
    except PermissionError:
        yield folder  # gets a row, as a file that cannot be read
        return
    wanted = suffixes() | OTHER_PICTURES | VIDEO_SUFFIXES
    for name in names:
        if (folder / name).is_dir():
            yield from _files(folder / name, (*above, here))
        elif Path(name).suffix.lower() in wanted and (folder / name).is_file():
            yield folder / name
