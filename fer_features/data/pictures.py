"""Picture files: decoding to 48×48 grey levels or to photographs, and sources that hold them."""

from __future__ import annotations

import io
import struct
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, features

from fer_features.data.csv_rows import RowError
from fer_features.data.faces import IMAGE_SIZE, FaceIndex, Faces, FileSource
from fer_features.errors import FerError

_ALWAYS = ".apng .bmp .dib .gif .jfif .jpe .jpeg .jpg .mpo .pbm .pgm .png .pnm .ppm .tga .tif .tiff"
_OPTIONAL = {"avif": ".avif .avifs", "jpg_2000": ".j2k .jp2 .jpf .jpx", "webp": ".webp"}
_NEVER = ".arw .cr2 .cr3 .dng .exr .heic .heif .hif .ico .jxl .nef .orf .pcx .psd .rw2 .svg"

OTHER_PICTURES = frozenset(" ".join((*_OPTIONAL.values(), _NEVER)).split())
"""Suffixes of pictures that are not read, except those in `suffixes`."""

MAX_PIXELS = 100_000_000
"""A picture with more is refused before it is decoded: a small file can hold a huge picture."""

PHOTOGRAPH_PIXELS = 8_000_000
"""`read_photograph` halves a picture until it has at most as many."""

STRIP_PIXELS = 4_000_000
"""Pixels of a large picture that are converted and reduced at once."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How a picture is turned upright, by its EXIF orientation."""

# What Pillow raises for files that are not pictures, truncated or inconsistent.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error)
_TOO_LARGE = f"the picture has more than {MAX_PIXELS // 1_000_000} million pixels"


@cache
def suffixes() -> frozenset[str]:
    """Suffixes of the pictures that are read, in lower case; they depend on Pillow's build."""
    built = [suffix for name, suffix in _OPTIONAL.items() if features.check(name)]
    return frozenset(" ".join((_ALWAYS, *built)).split())


def read_form(source: Path | bytes) -> tuple[tuple[int, int], bool]:
    """A picture's (width, height), and whether it is stored in colour; reads only its header.

    Raises:
        ValueError: the file is no picture whose header can be read; the message says why.
    """
    with _opened(source) as image:
        grey = image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")
        return image.size, not grey


def read_picture(source: Path | bytes) -> NDArray[np.uint8]:
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
    with _opened(source) as image:
        grey = _to_grey(ImageOps.exif_transpose(image))
    if grey.size != (IMAGE_SIZE, IMAGE_SIZE):
        grey = grey.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
    return np.asarray(grey)


def upright_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels uint8 (H, W) or (H, W, 3) of an opened picture, treated as by `read_picture`.

    Raises:
        ValueError: it cannot be decoded, or its levels have other than 8 or 16 bits.
    """
    try:
        return np.asarray(_to_8_bits(ImageOps.exif_transpose(image)))
    except _UNREADABLE as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True)
class Photograph:
    """A decoded picture, upright as its EXIF data say.

    Attributes:
        pixels: uint8 (h, w) grey levels or (h, w, 3) RGB, reduced if the picture is large.
        scale: 1, ½, ¼ or ⅛: sides of `pixels` in those of the picture, apart from rounding up.
        width: the picture's width, upright and not reduced.
        height: its height.
    """

    pixels: NDArray[np.uint8]
    scale: float
    width: int
    height: int


def read_photograph(source: Path | bytes | BinaryIO) -> Photograph:
    """Decode a picture in its own size, grey or RGB; of an animation the first frame.

    Transparency, 16 bits and EXIF rotation are treated as in `read_picture`. A picture of more
    than `PHOTOGRAPH_PIXELS` is halved by averaging until it has no more, JPEG while it is
    decoded; of the others one copy as large as the file's own pixels is in memory.

    Raises:
        ValueError: the file is no picture that can be decoded; the message says why.
    """
    with _opened(source) as image:
        width, height = image.size
        factor = 1
        while (width // factor) * (height // factor) > PHOTOGRAPH_PIXELS:
            factor *= 2
        if factor > 1:
            image.draft(None, (width // factor, height // factor))
        turn = image.getexif().get(ExifTags.Base.Orientation, 1)
        image.load()
        drafted = round(max(width, height) / max(image.size))
        small = _reduced(image, factor // drafted)
        if turn in _TURNS:
            small = small.transpose(_TURNS[turn])
        if turn in (5, 6, 7, 8):
            width, height = height, width
    return Photograph(np.asarray(small), 1 / factor, width, height)


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """An image of 8-bit grey levels or RGB, a strip at a time, so that there is no other copy."""
    width, height = image.size
    rows = max(STRIP_PIXELS // width // factor, 1) * factor
    strips = [
        _to_8_bits(image.crop((0, top, width, min(top + rows, height)))).reduce(factor)
        for top in range(0, height, rows)
    ]
    if len(strips) == 1:
        return strips[0]
    whole = Image.new(strips[0].mode, (strips[0].width, sum(one.height for one in strips)))
    for number, strip in enumerate(strips):
        whole.paste(strip, (0, number * rows // factor))
    return whole


@contextmanager
def _opened(source: Path | bytes | BinaryIO) -> Iterator[Image.Image]:
    """A picture whose header has been read; any error becomes a `ValueError`."""
    if source == b"":
        raise ValueError("it holds no picture")
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        # Pillow warns of damage that it can ignore, and of a limit below ours.
        with warnings.catch_warnings(action="ignore"), Image.open(file) as image:
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
    return _to_8_bits(image).convert("L")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Grey levels or RGB."""
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
    # By way of RGB, so that palette and CMYK pictures are rounded like any other.
    return image.convert("L" if image.mode in ("L", "1") else "RGB")


class PictureSource(FileSource):
    """What a folder of pictures and a Parquet file have in common as a `FaceSource`."""

    @property
    def has_pictures(self) -> bool:
        """Whether the rows are picture files, in which faces can be looked for."""
        return True

    @abstractmethod
    def index_without(self, bad: Mapping[int, str]) -> FaceIndex:
        """The index without some rows; `bad` are the reasons, by row number."""

    @abstractmethod
    def files(self, rows: NDArray[np.int64]) -> Iterator[Any]:
        """Paths or contents of the picture files of `rows`, int64 (M,), ascending."""

    @abstractmethod
    def file_name(self, row: int) -> str:
        """Name of a row's file in the source, for messages; empty if it has none."""

    def index(self) -> FaceIndex:
        """Labels and row numbers of all usable rows; reads the source at the first call only.

        Pictures are decoded only with ``skip_bad``.

        Raises:
            FerError: the source cannot be used, or has no usable row.
        """
        return self._index

    def reason(self, row: int, error: Exception) -> str:
        """Why a row cannot be used, for `FaceIndex.bad`."""
        text = str(getattr(error, "strerror", None) or error)
        return ": ".join(filter(None, (self.file_name(row), text)))

    @contextmanager
    def errors(self, row: int) -> Iterator[None]:
        """Turn errors in reading a row's picture into a `FerError` that names it."""
        try:
            yield
        except (OSError, ValueError) as error:
            path = "/".join(filter(None, (self.name, self.file_name(row))))
            fix = f"{error.hint}; or" if isinstance(error, RowError) else "fix it, or"
            raise FerError(
                f"{path} (row {row}): {getattr(error, 'strerror', None) or error}",
                hint=f"{fix} leave bad pictures out: --skip-bad",
            ) from error

    def _image(self, file: Any) -> NDArray[np.uint8]:
        """Decode one of `files` to uint8 (48, 48); a `ValueError` says why it cannot be."""
        return read_picture(file)

    def _decode(self, batches: list[NDArray[np.int64]]) -> Iterator[Faces]:
        rows = self._index.row
        files = self.files(rows[np.concatenate([*batches, np.empty(0, np.int64)])])
        for places in batches:
            images = np.empty((len(places), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
            for at, row in enumerate(rows[places].tolist()):
                with self.errors(row):
                    images[at] = self._image(next(files))
            yield self._index.faces(places, images)

    @cached_property
    def _index(self) -> FaceIndex:
        listed = self.index_without({})
        if not self._skip_bad:
            return listed
        bad = {}
        for row, file in zip(listed.row.tolist(), self.files(listed.row), strict=True):
            try:
                self._image(file)
            except ValueError as error:
                bad[row] = self.reason(row, error)
        return self.index_without(bad) if bad else listed
