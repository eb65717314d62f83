import re
from pathlib import Path

import numpy as np
import pytest
from examples import make_cache

from fer_features.cache import Cache, verify
from fer_features.errors import FerError

FLIPS = 250


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_cache(tmp_path / "one.h5", [4, 7], [9], list(range(20, 60)))


def content_of(path: Path) -> list[bytes]:
    """All that a reader can get out of a cache."""
    with Cache(path) as cache:
        rows = [np.asarray(array).tobytes() for array in vars(cache.rows).values()]
        features = [cache.read("top", output).tobytes() for output in ("pooled", "map")]
        return [*rows, *features, repr((cache.header, cache.selections, cache.software)).encode()]


def test_a_good_cache_is_good(path: Path) -> None:
    assert verify(path) == path.stat().st_size


def test_no_flipped_bit_passes_as_good_nor_gives_other_numbers(
    path: Path, rng: np.random.Generator
) -> None:
    good, whole = path.read_bytes(), content_of(path)
    detected = 0
    for place, bit in zip(
        rng.integers(len(good), size=FLIPS), rng.integers(8, size=FLIPS), strict=True
    ):
        content = bytearray(good)
        content[place] ^= 1 << int(bit)
        path.write_bytes(content)
        with pytest.raises(FerError):
            verify(path)
        try:
            assert content_of(path) == whole, f"bit {bit} of byte {place}"
        except FerError:
            detected += 1
    assert detected > FLIPS / 20  # the others hit bytes that are never read, such as free space


def test_every_byte_of_the_first_block_counts(path: Path) -> None:
    good = path.read_bytes()
    for place in range(0, 512, 7):
        content = bytearray(good)
        content[place] ^= 4
        path.write_bytes(content)
        with pytest.raises(FerError):
            verify(path)


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + b"\0", lambda c: c[:700]])
def test_a_file_of_another_length_is_damaged(path: Path, change: object) -> None:
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(FerError):
        verify(path)


def test_what_can_no_longer_be_read_is_named(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(np.array([4, -4, 7, -7], np.float32).tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(FerError, match="top/pooled"):
        verify(path)


def test_a_file_that_is_no_cache_is_an_error(path: Path) -> None:
    path.write_text("text")
    with pytest.raises(FerError, match=re.escape(str(path))):
        verify(path)
    with pytest.raises(FerError, match=r"none\.h5"):
        verify(path.with_name("none.h5"))
