"""Copies that only fit when one is shifted, scaled, mirrored or lit otherwise."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from fer_features.data.registered import INVERSE, POSES, registered_pairs


def photograph(seed: int) -> NDArray[np.float64]:
    """A made-up photograph of 96×96, with detail of all sizes, larger than what is cut out."""
    rng = np.random.default_rng(seed)
    noise = sum(
        gaussian_filter(rng.normal(size=(96, 96)), size) * size for size in (1.5, 3.0, 6.0, 12.0)
    )
    return np.asarray(noise, np.float64)


def cut(
    picture: NDArray[np.float64], *, down: int = 0, across: int = 0, scale: float = 1.0
) -> NDArray[np.uint8]:
    """48×48 grey levels from the middle of a photograph, moved and scaled."""
    scaled = zoom(picture, scale, order=1)
    top, left = (side // 2 - 24 for side in scaled.shape)
    part = scaled[top + down : top + down + 48, left + across : left + across + 48]
    return np.asarray(np.clip((part - part.mean()) / part.std() * 40 + 128, 0, 255), np.uint8)


OTHERS = np.stack([cut(photograph(seed)) for seed in range(10, 40)])


@pytest.mark.parametrize("every_pair", [50_000, 0], ids=["every pair", "inverted lists"])
@pytest.mark.parametrize(
    "moved",
    [
        cut(photograph(0), down=3, across=-4),
        cut(photograph(0), down=-6, across=6),
        cut(photograph(0), scale=1.15),
        cut(photograph(0), scale=0.87),
        cut(photograph(0), down=2, across=5, scale=1.1),
        cut(photograph(0), down=-3, across=2)[:, ::-1],
        cut(photograph(0), across=5) // 3 + 90,
        np.clip(cut(photograph(0), down=4) + np.linspace(-60, 60, 48), 0, 255).astype(np.uint8),
    ],
    ids=["shift", "far", "larger", "smaller", "both", "mirror", "faint", "lit from one side"],
)
def test_a_copy_is_found_and_nothing_else(
    moved: NDArray[np.uint8], every_pair: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_features.data.registered.EVERY_PAIR", every_pair)
    images = np.concatenate([OTHERS[:7], [cut(photograph(0))], OTHERS[7:], [moved]])
    pairs, correlation = registered_pairs(images)
    assert pairs.tolist() == [[7, len(images) - 1]]
    assert 0.84 < correlation[0] <= 1.001


def test_a_pose_and_its_inverse() -> None:
    place = POSES.index((0.93, True, 3, -6))
    assert POSES[INVERSE[place]] == (1.08, True, -3, -6)  # mirrored again, left is left
    assert POSES[INVERSE[POSES.index((1.08, False, 0, 3))]] == (0.93, False, 0, -3)
    assert [INVERSE[INVERSE[place]] for place in range(len(POSES))] == [*range(len(POSES))]


def test_images_without_content_are_copies_of_nothing() -> None:
    flat = np.full((3, 48, 48), 7, np.uint8) + np.arange(3, dtype=np.uint8)[:, None, None]
    flat[2, 20:22] += 1  # a line one grey level brighter
    ramp = np.broadcast_to(np.arange(48, dtype=np.uint8), (1, 48, 48))
    pairs, _ = registered_pairs(np.concatenate([flat, ramp, OTHERS]))
    assert pairs.tolist() == []


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_images_have_no_pairs(n: int) -> None:
    pairs, correlation = registered_pairs(OTHERS[:n])
    assert pairs.shape == (0, 2)
    assert len(correlation) == 0


def test_many_images_are_compared_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.concatenate([OTHERS, [cut(photograph(10), down=3), cut(photograph(25), across=4)]])
    whole = registered_pairs(images)[0].tolist()
    assert whole == [[0, 30], [15, 31]]
    monkeypatch.setattr("fer_features.data.registered._BLOCK", 7)
    assert registered_pairs(images)[0].tolist() == whole


def test_progress_sums_to_the_images() -> None:
    steps: list[int] = []
    registered_pairs(OTHERS, advance=steps.append)
    assert sum(steps) == len(OTHERS)
    assert len(steps) > 10
