"""One picture file to 48×48 grey levels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from fer_features.data.pictures import MAX_PIXELS, OTHER_PICTURES, read_picture, suffixes

FACE = np.random.default_rng(5).integers(0, 256, (48, 48)).astype(np.uint8)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "pgm", "gif"])
def test_a_grey_face_passes_byte_for_byte(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(FACE))
    image = read_picture(path)
    assert image.dtype == np.uint8
    assert (image == FACE).all()


def test_jpeg_and_webp_are_as_pillow_decodes_them(tmp_path: Path) -> None:
    for path, options in ((tmp_path / "a.jpg", {}), (tmp_path / "a.webp", {"lossless": True})):
        save(path, Image.fromarray(FACE), **options)
        with Image.open(path) as image:
            assert (read_picture(path) == np.asarray(image.convert("L"))).all()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_levels_stay_in_every_mode(tmp_path: Path, mode: str) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(FACE).convert(mode))
    assert (read_picture(path) == FACE).all()


def test_colour_becomes_luma(tmp_path: Path) -> None:
    # 0.299 × 200 + 0.587 × 100 + 0.114 × 50 = 124.2
    path = save(tmp_path / "a.png", Image.new("RGB", (48, 48), (200, 100, 50)))
    assert (read_picture(path) == 124).all()


def test_black_and_white_are_the_ends_of_the_scale(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(FACE > 127))
    assert (read_picture(path) == np.where(FACE > 127, 255, 0)).all()


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(FACE.astype(np.uint16) * 257))
    assert (read_picture(path) == FACE).all()


def test_floating_point_levels_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", Image.fromarray(FACE.astype(np.float32)))
    with pytest.raises(ValueError, match="16-bit"):
        read_picture(path)


def test_what_is_transparent_is_black(tmp_path: Path) -> None:
    white = np.full((48, 48), 255, np.uint8)
    alpha = np.zeros((48, 48), np.uint8)
    alpha[:, 24:] = 255
    path = save(tmp_path / "a.png", Image.fromarray(np.dstack([white, alpha]), "LA"))
    image = read_picture(path)
    assert (image[:, :24] == 0).all()
    assert (image[:, 24:] == 255).all()


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    path = save(tmp_path / "a.png", Image.fromarray(FACE), exif=exif)
    assert (read_picture(path) == FACE[::-1, ::-1]).all()


def test_shrinking_averages_over_all_pixels(tmp_path: Path) -> None:
    # Stripes one pixel wide vanish in grey; a sampler of single pixels would show black or white.
    stripes = np.zeros((480, 480), np.uint8)
    stripes[:, ::2] = 255
    image = read_picture(save(tmp_path / "a.png", Image.fromarray(stripes)))
    assert image.shape == (48, 48)
    assert abs(image.astype(int) - 127).max() <= 5  # the outermost are cut short on one side


def test_other_shapes_are_stretched(tmp_path: Path) -> None:
    image = np.zeros((20, 100), np.uint8)
    image[10:] = 200
    face = read_picture(save(tmp_path / "a.png", Image.fromarray(image)))
    assert (face[:20] == 0).all()
    assert (face[28:] == 200).all()


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(FACE))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="truncated"):
        read_picture(path)


def test_no_picture_and_no_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with pytest.raises(ValueError, match="No such file"):
        read_picture(path)
    path.write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="picture"):
        read_picture(path)


@pytest.mark.parametrize("side", [10_001, 30_000])
def test_a_vast_picture_is_refused_unopened(tmp_path: Path, side: int) -> None:
    assert side * side > MAX_PIXELS
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT")
    with pytest.raises(ValueError, match="100 million"):
        read_picture(path)


def test_damaged_metadata_do_not_matter(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(FACE), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09")
    assert read_picture(path).shape == (48, 48)


@pytest.mark.parametrize("suffix", sorted(suffixes()))
def test_every_suffix_that_is_read_can_be_read(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a{suffix}", Image.fromarray(FACE))
    assert abs(read_picture(path).astype(int) - FACE).max() < 100  # JPEG and AVIF lose some


def test_what_pillow_lacks_here_is_not_read_but_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ".heic" in OTHER_PICTURES - suffixes()
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    suffixes.cache_clear()
    assert ".avif" in OTHER_PICTURES - suffixes()
    assert ".jp2" in suffixes()
    monkeypatch.undo()
    suffixes.cache_clear()
