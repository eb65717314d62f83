"""Picture files: decoding to 48×48 grey levels, and how they are stored."""

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

from fer_features.data.faces import IMAGE_SIZE

_ALWAYS = ".apng .bmp .dib .gif .jfif .jpe .jpeg .jpg .mpo .pbm .pgm .png .pnm .ppm .tga .tif .tiff"
_OPTIONAL = {"avif": ".avif .avifs", "jpg_2000": ".j2k .jp2 .jpf .jpx", "webp": ".webp"}
_NEVER = ".arw .cr2 .cr3 .dng .exr .heic .heif .hif .ico .jxl .nef .orf .pcx .psd .rw2 .svg"

OTHER_PICTURES = frozenset(" ".join((*_OPTIONAL.values(), _NEVER)).split())
"""Suffixes of pictures that are not read, except those in `suffixes`."""

LONG = 1.5
"""A picture whose longer side is more than this many times its shorter side is reported."""

MAX_PIXELS = 100_000_000
"""A picture with more is refused before it is decoded: a small file can hold a huge picture."""

# What Pillow raises for files that are not pictures, truncated or inconsistent.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error)
_TOO_LARGE = f"the picture has more than {MAX_PIXELS // 1_000_000} million pixels"


@cache
def suffixes() -> frozenset[str]:
    """Suffixes of the pictures that are read, in lower case; they depend on Pillow's build."""
    built = [suffix for name, suffix in _OPTIONAL.items() if features.check(name)]
    return frozenset(" ".join((_ALWAYS, *built)).split())


@dataclass(frozen=True)
class PictureForms:
    """How pictures are stored.

    Attributes:
        sizes: number of pictures of each (width, height), the most frequent first.
        colour: number of pictures stored in colour, even if they look grey.
        long: paths of pictures whose sides differ by more than a factor of `LONG`.
    """

    sizes: dict[tuple[int, int], int]
    colour: int
    long: tuple[str, ...]

    @property
    def resized(self) -> int:
        """Number of pictures that are not 48×48."""
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


def read_form(path: Path) -> tuple[tuple[int, int], bool]:
    """A picture's (width, height), and whether it is stored in colour; reads only its header.

    Raises:
        ValueError: the file is no picture whose header can be read; the message says why.
    """
    with _opened(path) as image:
        grey = image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")
        return image.size, not grey


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Decode a picture to 48×48 grey levels.

    It is rotated as its EXIF data say and converted to grey (ITU-R 601 luma). Transparent pixels
    become black; 16-bit grey levels are scaled to 8 bits. Any other size than 48×48 is resized,
    ignoring its aspect ratio, by bilinear interpolation with antialiasing. A grey picture of 48×48
    is returned byte for byte.

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
    """A picture whose header has been read; any error becomes a `ValueError`."""
    try:
        # Pillow warns of damage that it can ignore, and of a limit below ours.
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(_TOO_LARGE)
            yield image
    except Image.DecompressionBombError as error:
        raise ValueError(_TOO_LARGE) from error
    except UnidentifiedImageError as error:
        raise ValueError("it is no picture of a known type") from error
    except _UNREADABLE as error:
        lines = (getattr(error, "strerror", None) or str(error)).splitlines()
        raise ValueError(lines[0] if lines else type(error).__name__) from error


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        # Pillow's own conversion would clip 16-bit levels above 255.
        levels = np.asarray(image)
        if image.mode == "F" or levels.min() < 0 or levels.max() > 65535:
            raise ValueError("its pixels are neither 8-bit nor 16-bit levels")
        return Image.fromarray(((levels.astype(np.uint32) + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    if image.mode not in ("L", "1"):
        # By way of RGB, so that palette and CMYK pictures are rounded like any other.
        image = image.convert("RGB")
    return image.convert("L")
