"""Random numbers that are the same on every machine.

NumPy keeps PCG64's raw bits stable across versions, but not its distributions. These are computed
from the raw bits by float32 +, -, × and / only, which IEEE 754 rounds the same everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""Always float32; NumPy's annotations give float32 times a Python float a wider type."""


class PortableRandom:
    """Random numbers for `count` faces at once, each draw float32 of shape (count, 1, 1).

    Streams of one seed are independent; number them from 1.
    """

    def __init__(self, seed: int, *, stream: int, count: int) -> None:
        self._bits = np.random.PCG64((seed, stream))
        self._count = count

    def permutation(self) -> NDArray[np.int64]:
        """The numbers 0 to `count` - 1, shuffled: (count,)."""
        return np.argsort(self._bits.random_raw(self._count), kind="stable").astype(np.int64)

    def uniform(self, low: float, high: float) -> Floats:
        """Uniform over [low, high]."""
        raw = np.asarray(self._bits.random_raw(self._count)) >> np.uint64(40)
        return (low + (high - low) * (raw.astype(np.float32) / 2.0**24)).reshape(-1, 1, 1)

    def normal(self, centre: float, width: float, *, size: tuple[int, ...] = (1, 1)) -> Floats:
        """Nearly normal: the sum of four 16-bit numbers, scaled to mean and standard deviation."""
        raw = self._bits.random_raw((self._count, *size))
        parts = np.asarray(raw).view(np.uint16).reshape(self._count, *size, 4)
        total = parts[..., 0].astype(np.float32)
        for place in range(1, 4):
            total += parts[..., place]
        return centre + width * (total / 65535.0 - 2.0) * 1.7320508

    def chance(self, probability: float | Floats) -> Floats:
        """1.0 with the given probability, else 0.0."""
        return (self.uniform(0.0, 1.0) < probability).astype(np.float32)

    def pick(self, table: tuple[tuple[float, ...], ...], *, weights: tuple[int, ...]) -> Floats:
        """One row of `table` for each face, in proportion to the weights: (count, W)."""
        tickets = np.repeat(np.arange(len(table)), weights)
        drawn = np.asarray(self._bits.random_raw(self._count)) % np.uint64(len(tickets))
        return np.array(table, np.float32)[tickets[drawn.astype(np.int64)]]
