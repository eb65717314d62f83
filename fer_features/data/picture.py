"""One picture file to one face: any size, any mode, grey levels out."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, features

from fer_features.data.record import IMAGE_SIZE

_ALWAYS = (
    *(".apng", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff"),
)
_WHERE_BUILT = {
    "avif": (".avif", ".avifs"),
    "jpg_2000": (".j2k", ".jp2", ".jpf", ".jpx"),
    "webp": (".webp",),
}

OTHER_PICTURES = frozenset(
    (
        *(suffix for kind in _WHERE_BUILT.values() for suffix in kind),
        *(".arw", ".cr2", ".cr3", ".dng", ".exr", ".heic", ".heif", ".hif", ".ico", ".jxl"),
        *(".nef", ".orf", ".pcx", ".psd", ".rw2", ".svg"),
    )
)
"""What names of pictures end with that are not read, but for those of `suffixes`."""

LONG = 1.5
"""A picture whose longer side is more than this many times its shorter is reported."""

MAX_PIXELS = 100_000_000
"""A picture with more is refused before it is unpacked: a small file can hold a vast picture."""

# What Pillow raises for files that are not pictures, are cut short, or lie about themselves.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error)


@cache
def suffixes() -> frozenset[str]:
    """What the names of pictures that are read end with, in lower case; by how Pillow was built."""
    built = (kind for name, kind in _WHERE_BUILT.items() if features.check(name))
    return frozenset((*_ALWAYS, *(suffix for kind in built for suffix in kind)))


@dataclass(frozen=True)
class Form:
    """How a picture is stored: width and height in pixels, and whether it has colours."""

    width: int
    height: int
    colour: bool

    @property
    def long(self) -> bool:
        """Whether it is much longer than wide, or the other way about."""
        return max(self.width, self.height) > LONG * min(self.width, self.height)


@dataclass(frozen=True)
class PictureForms:
    """How many pictures are stored.

    Attributes:
        sizes: how many there are of each (width, height), the most frequent first.
        colour: how many are stored in colour, be they grey to look at.
        long: names of those that are `Form.long`.
    """

    sizes: dict[tuple[int, int], int]
    colour: int
    long: tuple[str, ...]

    @property
    def resized(self) -> int:
        """How many have another size than a face's."""
        return sum(self.sizes.values()) - self.sizes.get((IMAGE_SIZE, IMAGE_SIZE), 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; the ten most frequent sizes as ``WIDTHxHEIGHT``."""
        widths, heights = zip(*self.sizes, strict=True)
        sizes = list(self.sizes.items())[:10]
        return {
            "sizes": {f"{width}x{height}": count for (width, height), count in sizes},
            "width": [min(widths), max(widths)],
            "height": [min(heights), max(heights)],
            "resized": self.resized,
            "colour": self.colour,
            "long": len(self.long),
            "long_example": self.long[0] if self.long else None,
        }


def read_form(path: Path) -> Form:
    """How a picture is stored, by its header.

    Raises:
        ValueError: the file is no picture whose header can be read; the message says why.
    """
    with _opened(path) as image:
        grey = image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")
        return Form(image.width, image.height, not grey)


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
    with _opened(path) as image:
        grey = _to_grey(ImageOps.exif_transpose(image))
    if grey.size != (IMAGE_SIZE, IMAGE_SIZE):
        grey = grey.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
    return np.asarray(grey)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A picture whose header has been read; whatever is wrong with it is a ValueError."""
    try:
        # Pillow warns of damage that it can pass over, and of a limit that is stricter than ours.
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(_TOO_LARGE)
            yield image
    except Image.DecompressionBombError as error:
        raise ValueError(_TOO_LARGE) from error
    except _UNREADABLE as error:
        raise ValueError(_reason(error)) from error


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
