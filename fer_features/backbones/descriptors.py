"""Classical descriptors: features without weights, as a baseline for every comparison.

Grey levels, gradients and local binary patterns. Each layer is a map of cells or blocks (h, w, C).
Its vector is the flattened map: a mean over a face would lose where its edges are.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.hog import Hog

REVISION = 1
"""Part of a recipe's hash: to be raised when the same recipe comes to give other numbers."""


@dataclass(frozen=True)
class Pixels:
    """The grey levels themselves, from 0 to 1."""

    def shape(self, size: int) -> tuple[int, int, int]:
        """(size, size, 1)."""
        return size, size, 1

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Grey levels of images (N, H, W): float32 (N, H, W, 1)."""
        return images[..., None].astype(np.float32) / np.float32(255)


@dataclass(frozen=True)
class Lbp:
    """Square roots of the frequencies of local binary patterns in cells.

    Ojala, Pietikäinen and Mäenpää, *Multiresolution gray-scale and rotation invariant texture
    classification with local binary patterns*, 2002 (https://doi.org/10.1109/TPAMI.2002.1017623);
    in cells of a face: Ahonen, Hadid and Pietikäinen, 2006. The distance between square roots is
    the Hellinger distance between the histograms.

    Attributes:
        cell: height and width of a cell in pixels.
        points: neighbours that a pixel is compared with.
        radius: their distance from the pixel.
        turned: whether patterns that differ by a rotation count as one, as in the paper's uniform
            patterns (``points`` + 2 of them); else there are ``points`` · (``points`` - 1) + 3.
    """

    cell: int
    points: int = 8
    radius: int = 1
    turned: bool = False

    def shape(self, size: int) -> tuple[int, int, int]:
        """(h, w, C): the cells down and across, and the patterns."""
        n = size // self.cell
        return n, n, int(pattern_codes(self.points, self.turned).max()) + 1

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Patterns of square images (N, H, W), whose last rows and columns may be in no cell."""
        n, _, patterns = self.shape(images.shape[1])
        codes = pattern_codes(self.points, self.turned)[
            binary_patterns(images, points=self.points, radius=self.radius)
        ]
        inside = codes[:, : n * self.cell, : n * self.cell]
        cell = np.arange(n * self.cell) // self.cell
        first = np.arange(len(images))[:, None, None] * n * n + cell[:, None] * n + cell
        counts = np.bincount(
            (first * patterns + inside).ravel(), minlength=len(images) * n * n * patterns
        )
        return np.sqrt(counts / self.cell**2).reshape(-1, n, n, patterns).astype(np.float32)


def binary_patterns(images: NDArray[np.uint8], *, points: int, radius: int) -> NDArray[np.int64]:
    """Which neighbours are at least as bright as each pixel, as bits: int64 (N, H, W).

    Bit k is set for the neighbour at the angle 2πk / `points`, interpolated bilinearly; beyond the
    edges all is 0. The same to the bit as in `skimage.feature.local_binary_pattern`.
    """
    _, height, width = images.shape
    padded = np.pad(images, ((0, 0), (radius, radius + 1), (radius, radius + 1))).astype(np.float64)
    patterns = np.zeros(images.shape, np.int64)

    def shifted(down: int, right: int) -> NDArray[np.float64]:
        top, left = radius + down, radius + right
        return padded[:, top : top + height, left : left + width]

    for k, angle in enumerate(2 * np.pi * np.arange(points) / points):
        # Rounded to 5 decimals, as there, so that neighbours on the axes need no interpolation.
        y, x = np.round((-radius * np.sin(angle), radius * np.cos(angle)), 5)
        row, column = math.floor(y), math.floor(x)
        neighbour = shifted(row, column)
        if y != row or x != column:
            rows, columns = np.arange(height)[:, None], np.arange(width)
            dy, dx = rows + y - (rows + row), columns + x - (columns + column)
            upper = (1 - dx) * neighbour + dx * shifted(row, column + 1)
            lower = (1 - dx) * shifted(row + 1, column) + dx * shifted(row + 1, column + 1)
            neighbour = (1 - dy) * upper + dy * lower
        patterns |= (neighbour >= shifted(0, 0)).astype(np.int64) << k
    return patterns


@cache
def pattern_codes(points: int, turned: bool) -> NDArray[np.int64]:
    """The histogram bin of each of the 2^points patterns: int64 (2^points,).

    Uniform patterns, of at most two changes between 0 and 1 around the circle, have bins of their
    own, ordered by their number of ones and then, unless `turned`, by rotation. All others share
    the last bin.
    """
    bits = np.arange(2**points)[:, None] >> np.arange(points) & 1
    ones = bits.sum(axis=1)
    uniform = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2
    if turned:
        return np.where(uniform, ones, points + 1)
    first_one, first_zero = bits.argmax(axis=1), bits.argmin(axis=1)
    rotation = np.where(bits[:, 0] == 1, ones - first_zero, points - first_one)
    codes = np.where(ones == 0, 0, 1 + (ones - 1) * points + rotation)
    full = points * (points - 1) + 1
    codes[ones == points] = full
    return np.where(uniform, codes, full + 1)


Recipe = Pixels | Lbp | Hog
"""How one layer is computed; its fields are all that its values depend on."""

HOG: dict[str, Recipe] = {
    "hog_4": Hog(cell=4),
    "hog_6": Hog(cell=6),
    "hog_8": Hog(cell=8),
    "hog_12": Hog(cell=12),
    "hog_6_skimage": Hog(cell=6, orientations=9, signed=False, linear=False),
}
"""Histograms of oriented gradients at several scales, and as scikit-image computes them."""

LBP: dict[str, Recipe] = {"lbp_8": Lbp(cell=8), "lbp_8_r2": Lbp(cell=8, radius=2)}
"""Local binary patterns in cells of 8 pixels."""

PIXELS: dict[str, Recipe] = {"pixels": Pixels()}


def recipes_sha256(recipes: Mapping[str, Recipe]) -> str:
    """Hex SHA-256 of all parameters of some recipes, which identifies their caches."""
    parameters = {name: [type(one).__name__, asdict(one)] for name, one in recipes.items()}
    text = json.dumps([REVISION, parameters], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def describe(
    images: NDArray[np.uint8], recipes: Mapping[str, Recipe], outputs: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Layers of images uint8 (N, H, W), as an engine returns them.

    Args:
        images: uint8 (N, H, W).
        recipes: the layers to compute, by name.
        outputs: ``pooled``: the flattened map, float32 (N, h·w·C); ``map``: float16 (N, h, w, C).

    Returns:
        Arrays by ``layer/pooled`` and ``layer/map``.
    """
    features: dict[str, NDArray[Any]] = {}
    for name, recipe in recipes.items():
        maps = recipe(images)
        if "pooled" in outputs:
            features[f"{name}/pooled"] = maps.reshape(len(maps), -1)
        if "map" in outputs:
            features[f"{name}/map"] = maps.astype(np.float16)
    return features
