"""Pairs of unit vectors with a large product: among all pairs, or through inverted lists.

Inverted lists (Sivic and Zisserman, *Video Google*, 2003) are what large collections are searched
with: each vector is in the list of the nearest of some centres, and is compared with the other
vectors whose nearest centres include that one.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

PROBES = 16
"""Lists in which each vector is looked for."""

_ROUNDS = 5
_BLOCK = 1024

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Found = tuple[Ints, Ints, Floats]
"""Places of the first vectors, places of the second ones, and their products: each (P,)."""


def earlier_pairs(
    vectors: Floats, others: Floats, *, threshold: float, pool: Executor
) -> Iterator[Found]:
    """All pairs of a vector and an earlier one of `others` with a product above the threshold.

    Args:
        vectors: float32 (N, D).
        others: float32 (N, D).
        threshold: of the products.
        pool: of threads; each computes products of its own.
    """

    def block(start: int) -> list[Found]:
        stop, found = min(start + _BLOCK, len(vectors)), []
        for left in range(0, stop, _BLOCK):
            some = others[left : min(left + _BLOCK, stop)]
            row, column, score = _above(vectors[start:stop], some, threshold)
            row, column = row + start, column + left
            before = column < row
            found.append((row[before], column[before], score[before]))
        return found

    for found in pool.map(block, range(0, len(vectors), _BLOCK)):
        yield from found


class InvertedLists:
    """Unit vectors in lists, about √(16 N) of them, so that a search takes some N^1.5 products.

    Args:
        vectors: float32 (N, D), of length 1 or 0; at least `PROBES`.
    """

    def __init__(self, vectors: Floats) -> None:
        from sklearn.cluster import KMeans

        count = round((PROBES * len(vectors)) ** 0.5)
        lists = KMeans(count, init="random", n_init=1, max_iter=_ROUNDS, random_state=0)
        with threadpool_limits(1):  # sums of several threads differ from run to run
            label = lists.fit(vectors).labels_
        self._vectors = vectors
        self._members = _grouped(label, count)
        length = np.linalg.norm(lists.cluster_centers_, axis=1, keepdims=True)
        self._centres: Floats = lists.cluster_centers_ / np.maximum(length, np.float32(1e-6))

    def pairs(self, others: Floats, *, threshold: float, pool: Executor) -> Iterator[Found]:
        """Pairs of a vector and one of `others` at another place that share a list.

        Args:
            others: float32 (N, D), of length 1 or 0.
            threshold: of the products.
            pool: of threads; each computes products of its own.
        """
        starts = range(0, len(others), _BLOCK)
        nearest = pool.map(lambda start: self._probe(others[start : start + _BLOCK]), starts)
        probes = np.concatenate(list(nearest))
        visitors = _grouped(probes.ravel(), len(self._members))

        def search(number: int) -> list[Found]:
            members, found = self._members[number], []
            here = self._vectors[members]
            some = visitors[number] // PROBES
            for start in range(0, len(some), _BLOCK):
                there = some[start : start + _BLOCK]
                row, column, score = _above(here, others[there], threshold)
                row, column = members[row], there[column]
                different = row != column
                found.append((row[different], column[different], score[different]))
            return found

        for found in pool.map(search, range(len(self._members))):
            yield from found

    def _probe(self, vectors: Floats) -> Ints:
        """The nearest lists of some vectors: (N, `PROBES`)."""
        nearest: Ints = np.argpartition(vectors @ self._centres.T, -PROBES, axis=1)[:, -PROBES:]
        return nearest


def _above(vectors: Floats, others: Floats, threshold: float) -> Found:
    score = (vectors @ others.T).ravel()
    hit = np.flatnonzero(score > threshold)
    row, column = np.divmod(hit, len(others))
    return row, column, score[hit]


def _grouped(label: NDArray[np.integer], count: int) -> list[Ints]:
    """Places of each of the labels 0 to `count` - 1."""
    order = np.argsort(label, kind="stable")
    return np.split(order, np.cumsum(np.bincount(label, minlength=count))[:-1])
