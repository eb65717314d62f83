"""Classical descriptors: features that need no weights, for a baseline in every table.

Grey levels, gradients and local binary patterns. Each layer is a map of cells or blocks (h, w, C);
its vector is that map laid flat, since a mean over a face would leave only which edges are in it,
not where.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.gradients import Hog

REVISION = 1
"""To be raised when the same recipe comes to give other numbers."""


class Recipe(Protocol):
    """How one layer is computed: a frozen dataclass whose fields are all that its values depend on.

    Calling it takes images uint8 (N, size, size) and gives float32 (N, h, w, C).
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def shape(self, size: int) -> tuple[int, int, int]:
        """(h, w, C) for images of that height and width."""

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the layer."""


@dataclass(frozen=True)
class Pixels:
    """The grey levels themselves, from 0 to 1."""

    def shape(self, size: int) -> tuple[int, int, int]:
        """(size, size, 1)."""
        return size, size, 1

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Grey levels of images (N, H, W)."""
        return images[..., None].astype(np.float32) / np.float32(255)


@dataclass(frozen=True)
class Lbp:
    """Square roots of the frequencies of local binary patterns in cells.

    Ojala, Pietikäinen and Mäenpää, *Multiresolution gray-scale and rotation invariant texture
    classification with local binary patterns*, 2002 (https://doi.org/10.1109/TPAMI.2002.1017623);
    in cells of a face: Ahonen, Hadid and Pietikäinen, 2006. Square roots, since the distance
    between them is Hellinger's between the histograms.

    Attributes:
        cell: height and width of a cell in pixels.
        points: neighbours that a pixel is compared with.
        radius: how far away these are, in pixels.
        turned: whether patterns that are turned by an angle are one, as in the paper's uniform
            patterns (``points`` + 2 of them); else there are ``points`` · (``points`` - 1) + 3.
    """

    cell: int
    points: int = 8
    radius: int = 1
    turned: bool = False

    @property
    def patterns(self) -> int:
        """How many patterns there are."""
        return self.points + 2 if self.turned else self.points * (self.points - 1) + 3

    def shape(self, size: int) -> tuple[int, int, int]:
        """(h, w, C): the cells down and across, and the patterns."""
        return size // self.cell, size // self.cell, self.patterns

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Patterns of images (N, H, W), whose last rows and columns may belong to no cell."""
        from skimage.feature import local_binary_pattern  # late: it takes a second

        method = "uniform" if self.turned else "nri_uniform"
        h, w, patterns = self.shape(images.shape[1])
        row, column = (np.arange(n * self.cell) // self.cell for n in (h, w))
        first = (row[:, None] * w + column) * patterns
        out = np.empty((len(images), h * w * patterns))
        for at, image in enumerate(images):
            codes = local_binary_pattern(image, self.points, self.radius, method).astype(np.int64)
            inside = codes[: len(row), : len(column)]
            out[at] = np.bincount((first + inside).ravel(), minlength=h * w * patterns)
        return np.sqrt(out / self.cell**2).reshape(-1, h, w, patterns).astype(np.float32)


HOG: dict[str, Recipe] = {
    "hog_4": Hog(cell=4),
    "hog_6": Hog(cell=6),
    "hog_8": Hog(cell=8),
    "hog_12": Hog(cell=12),
    "hog_6_skimage": Hog(cell=6, orientations=9, signed=False, linear=False),
}
"""Histograms of oriented gradients, at several scales, and as scikit-image computes them."""

LBP: dict[str, Recipe] = {"lbp_8": Lbp(cell=8), "lbp_8_r2": Lbp(cell=8, radius=2)}
"""Local binary patterns, counted on a grid."""

PIXELS: dict[str, Recipe] = {"pixels": Pixels()}
"""What every other feature has to beat."""


def recipes_sha256(recipes: Mapping[str, Recipe]) -> str:
    """Hex SHA-256 of all that recipes say, by which caches of other recipes are told apart."""
    told = {name: [type(one).__name__, asdict(one)] for name, one in recipes.items()}
    text = json.dumps([REVISION, told], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def describe(
    images: NDArray[np.uint8], recipes: Mapping[str, Recipe], outputs: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Layers of some images, as an engine gives them: ``layer/pooled`` and ``layer/map``.

    Args:
        images: uint8 (N, H, W).
        recipes: what to compute, by name.
        outputs: ``pooled``: the map laid flat, float32 (N, h·w·C); ``map``: float16 (N, h, w, C).
    """
    found: dict[str, NDArray[Any]] = {}
    for name, recipe in recipes.items():
        maps = recipe(images)
        if "pooled" in outputs:
            found[f"{name}/pooled"] = maps.reshape(len(maps), -1)
        if "map" in outputs:
            found[f"{name}/map"] = maps.astype(np.float16)
    return found
