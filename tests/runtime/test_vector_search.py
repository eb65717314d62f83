"""Pairs of unit vectors with a large product."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_features.runtime import vector_search
from fer_features.runtime.vector_search import InvertedLists, earlier_pairs


def unit_vectors(rows: int, columns: int, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_all_earlier_pairs_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_search, "_BLOCK", 2)
    vectors = np.eye(3, dtype=np.float32)[[0, 1, 0, 2, 1]]
    with ThreadPoolExecutor(2) as pool:
        found = [*earlier_pairs(vectors, vectors, threshold=0.5, pool=pool)]
    pairs = [(int(a), int(b), float(r)) for one in found for a, b, r in zip(*one, strict=True)]
    assert sorted(pairs) == [(2, 0, 1.0), (4, 1, 1.0)]


def lists_of(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> list[tuple[int, int]]:
    with ThreadPoolExecutor(2) as pool:
        found = [*InvertedLists(vectors).pairs(others, threshold=0.8, pool=pool)]
    return [(int(a), int(b)) for one in found for a, b in zip(one[0], one[1], strict=True)]


def test_few_vectors_are_compared_with_all() -> None:
    vectors, others = unit_vectors(16, 2), unit_vectors(16, 2, seed=1)  # 16 lists, all probed
    expected = np.argwhere((vectors @ others.T > 0.8) & ~np.eye(16, dtype=bool))
    assert sorted(lists_of(vectors, others)) == [(a, b) for a, b in expected.tolist()]


def test_of_many_vectors_nearly_all_neighbours_are_found_each_once() -> None:
    vectors = unit_vectors(2000, 16)
    others = vectors[::-1] + 0.1 * unit_vectors(2000, 16, seed=1)  # that of n is near 1999 - n
    found = lists_of(vectors, others)
    assert len(set(found)) == len(found)
    near = {(place, 1999 - place) for place in range(2000)}
    assert len(near & set(found)) > 1980
    assert found == lists_of(vectors, others)
