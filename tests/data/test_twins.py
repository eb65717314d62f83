from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_features.data import twins as module
from fer_features.data.twins import (
    KINDS,
    Groups,
    Twins,
    every_pair,
    find_twins,
    near_pairs,
)
from fer_features.runtime.progress import Advance


def noise(n: int, *, seed: int = 0, side: int = 48) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side), dtype=np.uint8)


def named(twins: Twins) -> set[tuple[int, int, str]]:
    return {
        (a, b, KINDS[kind])
        for (a, b), kind in zip(twins.pairs.tolist(), twins.kind.tolist(), strict=True)
    }


def test_twins_are_found_exact_near_and_mirrored() -> None:
    images = noise(6)
    images[1] = images[0]  # the same bytes
    images[2] = images[0] // 2 + 40  # darker, with less contrast
    images[4] = images[3][:, ::-1]  # in a mirror
    twins = find_twins(images)
    groups = twins.groups
    assert len(set(groups.exact[[0, 2, 3, 4, 5]])) == 5
    assert groups.exact[0] == groups.exact[1]
    assert groups.near[0] == groups.near[1] == groups.near[2]
    assert groups.near[3] == groups.near[4]
    assert len(set(groups.near[[0, 3, 5]])) == 3
    assert groups.linked.tolist() == groups.near.tolist()
    assert named(twins) == {(0, 2, "near"), (3, 4, "mirrored")}
    assert twins.correlation == pytest.approx([1, 1], abs=1e-3)


def test_a_registered_copy_is_linked_and_not_near() -> None:
    images = noise(4)
    images[3] = np.roll(images[0], (3, -2), axis=(0, 1))
    twins = find_twins(images)
    assert named(twins) == {(0, 3, "registered")}
    assert twins.groups.linked[0] == twins.groups.linked[3]
    assert twins.groups.near[0] != twins.groups.near[3]


def test_images_of_one_family_are_linked_whatever_they_show() -> None:
    twins = find_twins(noise(5), family=np.array([7, -1, 7, -1, 7]))
    assert named(twins) == {(0, 2, "family"), (0, 4, "family"), (2, 4, "family")}
    assert len(set(twins.groups.linked[[0, 2, 4]])) == 1
    assert len(set(twins.groups.linked)) == 3
    assert abs(twins.correlation).max() < 0.2


def test_a_twin_of_a_twin_is_of_the_group() -> None:
    images = noise(3).astype(float)
    images[1] = images[0] * 0.75 + images[2] * 0.25
    images[2] = images[1] * 0.75 + images[2] * 0.25
    near = find_twins(images.astype(np.uint8), threshold=0.93).groups.near
    assert near[0] == near[1] == near[2]


def test_images_of_one_grey_level_have_exact_twins_only() -> None:
    images = np.array([5, 5, 9, 9], np.uint8)[:, None, None] * np.ones((4, 48, 48), np.uint8)
    twins = find_twins(images)
    assert len(set(twins.groups.linked)) == 2
    assert twins.groups.near[0] == twins.groups.near[1]
    assert len(twins.pairs) == 0


def test_every_pair_holds_the_copies_of_copies_once_under_their_first_kind() -> None:
    twins = Twins(
        groups=Groups(np.array([0, 1, 0, 2]), np.array([0, 0, 0, 1]), np.zeros(4, np.int64)),
        pairs=np.array([[0, 1], [1, 3], [0, 2], [0, 1]]),  # 0 and 2 are the same bytes
        kind=np.array([1, 3, 4, 4], np.uint8),
        correlation=np.array([0.95, 0.9, 1, 0.95], np.float32),
    )
    pairs, kind, correlation = every_pair(twins)
    assert pairs.tolist() == [[0, 1], [0, 2], [1, 2], [1, 3]]
    assert [KINDS[one] for one in kind] == ["near", "exact", "near", "registered"]
    assert correlation == pytest.approx([0.95, 1, 0.95, 0.9])


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
    base = noise(5, seed=seed, side=12).astype(float)
    mixed = base[rng.integers(0, 5, 60)] * 0.6 + 0.4 * noise(60, seed=seed + 1, side=12)
    flip = rng.random(60) < 0.5
    mixed[flip] = mixed[flip][:, :, ::-1]
    images = mixed.astype(np.uint8)
    plain, _, mirrored, _ = near_pairs(images, threshold)
    found = {(*pair, False) for pair in plain.tolist()}
    found |= {(*pair, True) for pair in mirrored.tolist()}
    assert found == by_brute_force(images, threshold)


def test_many_images_are_compared_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(50)
    images[49] = images[0] // 2
    whole = find_twins(images)
    monkeypatch.setattr(module, "_BLOCK", 7)
    steps: list[int] = []

    @contextmanager
    def progress(title: str, total: int, unit: str) -> Iterator[Advance]:
        assert (total, unit) == (3 * 50, "images")  # as they are, mirrored, and registered
        yield steps.append

    blocks = find_twins(images, progress=progress)
    assert blocks.groups.near.tolist() == whole.groups.near.tolist()
    assert blocks.groups.near[0] == blocks.groups.near[49]
    assert sum(steps) == 3 * 50
