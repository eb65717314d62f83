"""Whether images are FER2013's, by a sketch of its images' keys."""

from importlib.resources import files

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_features.data import open_faces, read_all
from fer_features.data.summary import SKETCH_SIZE, is_fer2013, sketch

with files("fer_features.data").joinpath("fer2013.npy").open("rb") as _file:
    KNOWN = np.load(_file)


def hashes(keys: NDArray[np.uint64]) -> NDArray[np.bytes_]:
    """SHA-256 sums, made up after their first 64 bits."""
    return np.array([f"{key:016x}{0:048x}" for key in keys.tolist()], "S64")


def others(n: int, *, low: int = 0, high: int = 2**64 - 1) -> NDArray[np.uint64]:
    return np.random.default_rng(1).integers(low, high, n, np.uint64)


def test_the_sketch_holds_the_smallest_keys_of_many_images() -> None:
    assert (KNOWN.shape, KNOWN.dtype) == ((SKETCH_SIZE,), np.uint64)
    assert (np.diff(KNOWN.astype(object)) > 0).all()
    assert 0.02 < int(KNOWN[-1]) / 2**64 < 0.04  # 1,024 of some 34,000 different images
    rest = others(2000, low=int(KNOWN[-1]) + 1)
    mixed = np.random.default_rng(0).permutation(np.concatenate([KNOWN, rest, KNOWN[:9]]))
    assert sketch(hashes(mixed)).tolist() == KNOWN.tolist()


@pytest.mark.parametrize(("known", "expected"), [(10, True), (5, True), (4, False), (0, False)])
def test_images_are_fer2013_if_at_least_half_of_the_comparable_ones_are_known(
    known: int, expected: bool
) -> None:
    foreign = others(10 - known, high=int(KNOWN[-1]))
    rest = others(500, low=int(KNOWN[-1]) + 1)  # nothing is known of these
    assert is_fer2013(hashes(np.concatenate([KNOWN[:known], foreign, rest]))) is expected


def test_copies_of_one_image_count_once_and_few_images_are_not_enough() -> None:
    assert not is_fer2013(hashes(np.repeat(KNOWN[:4], 100)))
    assert is_fer2013(hashes(KNOWN[:5]))
    assert not is_fer2013(np.empty(0, "S64"))


def test_other_images_are_not_fer2013() -> None:
    assert not is_fer2013(hashes(others(20_000)))
    assert not is_fer2013(read_all(open_faces("sample")).sha256)
