"""Pictures that are faces as they are, as arrays for a model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from fer_features.data import IMAGE_SIZE
from fer_features.data.pictures import read_picture, upright_pixels
from fer_features.errors import FerError

Picture = ArrayLike | Image.Image | str | os.PathLike[str]
"""An array uint8 (H, W) or (H, W, 3), a PIL image, or a path."""

PICTURES = "pictures are paths, PIL images, or arrays uint8 (H, W) or (H, W, 3) in RGB"


def as_faces(faces: Picture | Sequence[Picture]) -> NDArray[np.uint8]:
    """Faces uint8 (N, 48, 48); see `Model.predict_proba`.

    Raises:
        FerError: one cannot be read, or is no picture.
    """
    shapes = (IMAGE_SIZE, IMAGE_SIZE), (IMAGE_SIZE**2,)
    if isinstance(faces, np.ndarray) and faces.dtype == np.uint8 and faces.shape[1:] in shapes:
        return faces.reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
    if isinstance(faces, np.ndarray) and (faces.ndim < 3 or faces.shape[2:] in ((3,), (4,))):
        raise FerError(
            f"one array of shape {faces.shape} is not a sequence of faces",
            hint="for a single picture: [picture]",
        )
    found = [_face(one, number) for number, one in enumerate(as_sequence(faces))]
    return np.stack(found) if found else np.empty((0, IMAGE_SIZE, IMAGE_SIZE), np.uint8)


def as_sequence(pictures: Any) -> Iterable[Any]:
    """Several pictures as they are, and a list of one that is a path or a PIL image.

    Raises:
        FerError: it is neither.
    """
    if isinstance(pictures, (str, os.PathLike, Image.Image)):
        return [pictures]
    if not isinstance(pictures, Iterable):
        raise FerError(f"a value of type {type(pictures).__name__} is no picture", hint=PICTURES)
    return pictures


def as_pixels(picture: Any, called: str) -> NDArray[np.uint8]:
    """A PIL image or an array as uint8 of two or three dimensions.

    Args:
        picture: the picture.
        called: what it is called in errors.

    Raises:
        FerError: it is neither.
    """
    try:
        array = upright_pixels(picture) if isinstance(picture, Image.Image) else np.asarray(picture)
    except ValueError as error:
        raise FerError(f"{called} cannot be read: {error}", hint=PICTURES) from error
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or not array.size:
        found = f"{array.dtype} of shape {array.shape}" if array.ndim else type(picture).__name__
        raise FerError(f"{called} is {found}", hint=PICTURES)
    return array


def _face(picture: Any, number: int) -> NDArray[np.uint8]:
    if isinstance(picture, (str, os.PathLike)):
        try:
            return read_picture(Path(picture))
        except (OSError, ValueError) as error:
            raise FerError(f"{picture}: {error}", hint=PICTURES) from error
    array = as_pixels(picture, f"face {number}")
    try:
        grey = Image.fromarray(array).convert("L")
    except TypeError as error:
        raise FerError(f"face {number} is of shape {array.shape}", hint=PICTURES) from error
    size = (IMAGE_SIZE, IMAGE_SIZE)
    return np.asarray(grey if grey.size == size else grey.resize(size, Image.Resampling.BILINEAR))
