"""One picture file to one face: any size, any mode, grey levels out."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fer_features.faces.record import IMAGE_SIZE

SUFFIXES = frozenset(
    (
        ".bmp",
        ".gif",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    )
)
"""What a picture's file name ends with, in lower case."""

MAX_PIXELS = 100_000_000
"""A picture with more is refused before it is unpacked: a small file can hold a vast picture."""

# What Pillow raises for files that are not pictures, are cut short, or lie about themselves.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Decode a picture and bring it to a face's size.

    It is turned upright as its EXIF data say and converted to grey (ITU-R 601 luma). What is
    transparent shows black; 16-bit grey levels are scaled to 8 bits. Any other size than 48×48 is
    resized, without regard to its aspect, by bilinear interpolation over all of the pixels
    that a new pixel covers. A grey picture of 48×48 is passed on byte for byte.

    Returns:
        uint8 (48, 48).

    Raises:
        ValueError: the file is no picture that can be decoded; the message says why.
    """
    try:
        # Pillow warns of damage that it can pass over, and of a limit that is stricter than ours.
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(_TOO_LARGE)
            grey = _to_grey(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        raise ValueError(_TOO_LARGE) from error
    except _UNREADABLE as error:
        raise ValueError(_reason(error)) from error
    if grey.size != (IMAGE_SIZE, IMAGE_SIZE):
        grey = grey.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
    return np.asarray(grey)


_TOO_LARGE = f"the picture has more than {MAX_PIXELS // 1_000_000} million pixels"


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return _deep_to_grey(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    if image.mode not in ("L", "1"):
        # By way of RGB, so that a palette or CMYK picture is rounded as any other.
        image = image.convert("RGB")
    return image.convert("L")


def _deep_to_grey(image: Image.Image) -> Image.Image:
    """16-bit grey levels; Pillow's own conversion would cut all above 255 off."""
    levels = np.asarray(image)
    if image.mode == "F" or levels.min() < 0 or levels.max() > 65535:
        raise ValueError("its pixels are neither 8-bit nor 16-bit levels")
    return Image.fromarray(((levels.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is no picture of a known form"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__
