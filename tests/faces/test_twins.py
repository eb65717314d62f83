import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_features.faces.twins import twin_groups


def noise(n: int, *, seed: int = 0, side: int = 12) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side), dtype=np.uint8)


def test_twins_are_found_exact_near_and_mirrored() -> None:
    images = noise(6)
    images[1] = images[0]  # the same bytes
    images[2] = images[0] // 2 + 40  # darker, with less contrast
    images[4] = images[3][:, ::-1]  # in a mirror
    twins = twin_groups(images)
    assert len(set(twins.exact[[0, 2, 3, 4, 5]])) == 5
    assert twins.exact[0] == twins.exact[1]
    assert twins.near[0] == twins.near[1] == twins.near[2]
    assert twins.near[3] == twins.near[4]
    assert len(set(twins.near[[0, 3, 5]])) == 3
    assert {frozenset(pair) for pair in twins.pairs.tolist()} == {
        frozenset({0, 2}),
        frozenset({3, 4}),
    }
    assert twins.mirrored.tolist() == [False, True]


def test_a_twin_of_a_twin_is_of_the_group() -> None:
    images = noise(3).astype(float)
    images[1] = images[0] * 0.75 + images[2] * 0.25
    images[2] = images[1] * 0.75 + images[2] * 0.25
    near = twin_groups(images.astype(np.uint8), threshold=0.93).near
    assert near[0] == near[1] == near[2]


def test_images_of_one_grey_level_have_exact_twins_only() -> None:
    images = np.array([5, 5, 9, 9], np.uint8)[:, None, None] * np.ones((4, 8, 8), np.uint8)
    twins = twin_groups(images)
    assert len(set(twins.near)) == 2
    assert twins.near[0] == twins.near[1]
    assert len(twins.pairs) == 0


def by_brute_force(images: NDArray[np.uint8], threshold: float) -> set[tuple[int, int, bool]]:
    flat = images.reshape(len(images), -1).astype(np.float64)
    mirrored = images[:, :, ::-1].reshape(len(images), -1).astype(np.float64)
    n = len(images)
    plain, turned = np.corrcoef(flat), np.corrcoef(flat, mirrored)[:n, n:]
    return {
        (i, j, how)
        for how, r in ((False, plain), (True, turned))
        for j in range(n)
        for i in range(j)
        if r[i, j] > threshold
    }


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.3, 0.6, 0.9]))
def test_the_bound_leaves_no_pair_out(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    base = noise(5, seed=seed).astype(float)
    mixed = base[rng.integers(0, 5, 60)] * 0.6 + 0.4 * noise(60, seed=seed + 1)
    flip = rng.random(60) < 0.5
    mixed[flip] = mixed[flip][:, :, ::-1]
    images = mixed.astype(np.uint8)
    twins = twin_groups(images, threshold=threshold)
    # in the order of their hashes, either may come first; mirrored pairs are the same either way
    found = {
        (*sorted(pair), how)
        for pair, how in zip(twins.pairs.tolist(), twins.mirrored.tolist(), strict=True)
    }
    assert found == by_brute_force(images, threshold)


def test_many_images_are_compared_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(50)
    images[49] = images[0] // 2
    whole = twin_groups(images)
    monkeypatch.setattr("fer_features.faces.twins._BLOCK", 7)
    told: list[int] = []
    blocks = twin_groups(images, advance=told.append)
    assert blocks.near.tolist() == whole.near.tolist()
    assert blocks.near[0] == blocks.near[49]
    assert sum(told) == 2 * 50  # once as they are, once mirrored
