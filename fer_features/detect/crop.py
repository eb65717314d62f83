"""Cropping a found face as FER2013's faces are cropped."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_features.data.faces import IMAGE_SIZE
from fer_features.detect.boxes import Face
from fer_features.errors import FerError

CROP_RULE = "retinaface-height-1"
"""Identifies how faces are found and cropped, for models; to be raised if `crop_face` changes."""

REFUSED_PX = 20
"""Faces of fewer pixels, by `side_of`, are too small for a label, and to learn from."""

LEVEL_FROM = 15.0
"""Degrees between the line of the eyes and the horizontal, beyond which the face is turned."""

DIAGONAL = 0.8
"""The height of an upright face in diagonals of its box, which is about 3 wide and 4 high.

Measured on photographs turned by 20 to 90°, it is within 2 % of the height on average, where the
box's own height is up to 28 % less.
"""


def check_crop_rule(rule: str, *, model: str) -> None:
    """Raise a `FerError` if `model` is for faces that are cut out by another rule than here."""
    if rule != CROP_RULE:
        raise FerError(
            f"{model} is for faces that are cut out by the rule {rule}, and this version cuts by "
            f"{CROP_RULE}",
            hint="install the version that made the model, or give it faces that are cut out "
            "already (--faces whole)",
        )


def crop_face(picture: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """Crop a face: a square with the height of its box, centred on it, as 48×48 grey levels.

    Where the line between the eyes is more than 15° off the horizontal, the face is turned upright
    around the box's centre, and its height is calculated from the box's diagonal. Beyond the
    picture its edge is repeated. Large faces are reduced by averaging areas, small ones enlarged
    by bilinear interpolation.

    Args:
        picture: uint8 (H, W) grey levels or (H, W, 3) RGB.
        face: in the picture's pixels.

    Returns:
        uint8 (48, 48).
    """
    roll = roll_of(face)
    turned = abs(roll) > LEVEL_FROM
    side = side_of(face)
    x, y = face.x + face.w / 2, face.y + face.h / 2
    reach = side / 2 * (math.sqrt(2) if turned else 1) + 2
    left, top = math.floor(x - reach), math.floor(y - reach)
    height, width = picture.shape[:2]
    columns = np.arange(left, math.ceil(x + reach)).clip(0, width - 1)
    rows = np.arange(top, math.ceil(y + reach)).clip(0, height - 1)
    image = Image.fromarray(picture[rows[:, None], columns]).convert("L")
    x, y = x - left, y - top
    if turned:
        image = image.rotate(roll, Image.Resampling.BILINEAR, center=(x, y))
    box = x - side / 2, y - side / 2, x + side / 2, y + side / 2
    enlarged = side < IMAGE_SIZE
    how = Image.Resampling.BILINEAR if enlarged else Image.Resampling.BOX
    return np.asarray(image.resize((IMAGE_SIZE, IMAGE_SIZE), how, box=box))


def side_of(face: Face) -> float:
    """Side of the square that a face is cropped from, in the picture's pixels."""
    turned = abs(roll_of(face)) > LEVEL_FROM
    return DIAGONAL * math.hypot(face.w, face.h) if turned else face.h


def roll_of(face: Face) -> float:
    """Degrees by which the face is turned clockwise in the picture, from the line of its eyes."""
    (x0, y0), (x1, y1) = face.landmarks[:2].tolist()
    return math.degrees(math.atan2(y1 - y0, x1 - x0))
