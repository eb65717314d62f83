"""Pictures that are faces as they are, as arrays for a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_features.data import IMAGE_SIZE
from fer_features.data.pictures import read_picture
from fer_features.errors import FerError

_FACES = "faces are uint8 arrays (H, W) or (H, W, 3), or paths of pictures"


def as_faces(faces: Any) -> NDArray[np.uint8]:
    """Faces uint8 (N, 48, 48); see `Model.predict_proba`.

    Raises:
        FerError: one cannot be read.
    """
    if isinstance(faces, (str, Path)):
        faces = [faces]
    shapes = (IMAGE_SIZE, IMAGE_SIZE), (IMAGE_SIZE**2,)
    if isinstance(faces, np.ndarray) and faces.dtype == np.uint8 and faces.shape[1:] in shapes:
        return faces.reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
    if isinstance(faces, np.ndarray) and (faces.ndim < 3 or faces.shape[2:] in ((3,), (4,))):
        raise FerError(
            f"one array of shape {faces.shape} is not a sequence of faces",
            hint="for a single picture: [picture]",
        )
    found = [_face(one, number) for number, one in enumerate(faces)]
    return np.stack(found) if found else np.empty((0, IMAGE_SIZE, IMAGE_SIZE), np.uint8)


def _face(picture: Any, number: int) -> NDArray[np.uint8]:
    if isinstance(picture, (str, Path)):
        try:
            return read_picture(Path(picture))
        except (OSError, ValueError) as error:
            raise FerError(f"{picture}: {error}") from error
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or 0 in array.shape:
        raise FerError(
            f"face {number} is {array.dtype} of shape {array.shape}",
            hint=_FACES,
        )
    try:
        grey = Image.fromarray(array).convert("L")
    except TypeError as error:
        raise FerError(f"face {number} is of shape {array.shape}", hint=_FACES) from error
    size = (IMAGE_SIZE, IMAGE_SIZE)
    return np.asarray(grey if grey.size == size else grey.resize(size, Image.Resampling.BILINEAR))
