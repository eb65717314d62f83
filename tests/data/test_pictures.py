"""One picture file to 48×48 grey levels."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from fer_features.data.pictures import (
    MAX_PIXELS,
    OTHER_PICTURES,
    PHOTOGRAPH_PIXELS,
    read_photograph,
    read_picture,
    suffixes,
)

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


COLOURS = np.random.default_rng(6).integers(0, 256, (30, 40, 3)).astype(np.uint8)


def test_a_photograph_keeps_its_size_and_colours(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(COLOURS))
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        photograph = read_photograph(source)
        assert (photograph.pixels == COLOURS).all()
        assert (photograph.scale, photograph.width, photograph.height) == (1, 40, 30)


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "L", "LA", "1"])
def test_photographs_of_every_mode_are_grey_or_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(COLOURS).convert(mode)
    pixels = read_photograph(save(tmp_path / "a.tif", image)).pixels
    assert pixels.dtype == np.uint8
    assert (pixels == np.asarray(image.convert("L" if mode in ("L", "1") else "RGB"))).all()


def test_transparent_pixels_of_a_photograph_are_black(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.new("RGBA", (5, 5), (200, 100, 50, 0)))
    assert (read_photograph(path).pixels == 0).all()


def test_a_photograph_of_sixteen_bits(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(FACE.astype(np.uint16) * 257))
    assert (read_photograph(path).pixels == FACE).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", Image.fromarray(COLOURS), exif=exif)
    photograph = read_photograph(path)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert (photograph.pixels == upright).all()
    assert (photograph.height, photograph.width) == upright.shape[:2]


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.fromarray(FACE), Image.fromarray(255 - FACE)]
    path = save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    pixels = read_photograph(path).pixels
    assert (pixels.reshape(48, 48, -1)[:, :, 0] == FACE).all()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_large_photograph_is_halved(tmp_path: Path, suffix: str) -> None:
    row = np.arange(4002, dtype=np.uint16) // 16
    picture = np.broadcast_to(row.astype(np.uint8), (3003, 4002))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(picture.copy()), exif=exif)
    photograph = read_photograph(path)
    assert (photograph.scale, photograph.width, photograph.height) == (0.5, 3003, 4002)
    assert photograph.pixels.shape == (2001, 1502)
    assert photograph.pixels.size <= PHOTOGRAPH_PIXELS
    halves = (row[::2] + row[1::2]) / 2
    assert np.abs(photograph.pixels - halves[:, None]).max() <= 1


def test_a_hundred_megapixels_take_bounded_memory(tmp_path: Path) -> None:
    """One copy of the decoded file, here 100 MB; the copies made of it are small."""
    path = save(tmp_path / "a.png", Image.new("L", (10_000, 10_000), 77), compress_level=1)
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from fer_features.data.pictures import read_photograph\n"
        "from fer_features.detect.detector import prepare\n"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = used(); photograph = read_photograph(Path(sys.argv[1]))\n"
        "prepare(photograph.pixels); print((used() - before) // 1024, photograph.pixels.shape)"
    )
    run = subprocess.run(  # noqa: S603  ours
        [sys.executable, "-c", program, path], check=True, capture_output=True, text=True
    )
    used, shape = run.stdout.split(" ", 1)
    assert shape.strip() == "(2500, 2500)"
    assert int(used) < 200


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(30)])
def test_what_is_no_photograph_is_refused_with_a_reason(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_photograph(content)
