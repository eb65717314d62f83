"""Classical descriptors: features that need no weights, for a baseline in every table.

Histograms of oriented gradients (Dalal and Triggs, 2005, https://doi.org/10.1109/CVPR.2005.177) and
local binary patterns (Ojala, Pietikäinen and Mäenpää, 2002,
https://doi.org/10.1109/TPAMI.2002.1017623) as scikit-image computes them, and the pixels
themselves. Each layer is a map of cells (h, w, C); its vector is that map laid flat.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Maps = NDArray[np.float32]
Layer = Callable[[Images], Maps]

PATTERNS = 59
"""Local binary patterns of eight neighbours: 58 uniform ones, and the rest."""

RECIPE = "1"
"""Part of a cache's key: to be raised when a layer computes something else under the same name."""


def pixels(images: Images) -> Maps:
    """Grey levels from 0 to 1: uint8 (N, H, W) to float32 (N, H, W, 1)."""
    levels: Maps = images.astype(np.float32)[..., None] / np.float32(255)
    return levels


def hog(images: Images, *, cell: int, orientations: int) -> Maps:
    """Histograms of oriented gradients, uint8 (N, H, W) to float32 (N, h, w, 4 × orientations).

    Each cell of `cell` × `cell` pixels has its histogram four times, as it is normalised within the
    four blocks of 2 × 2 cells that it is part of, in the order in which these lie; zeros where a
    block would reach beyond the image. That is scikit-image's descriptor, sorted by cells.
    """
    from skimage.feature import hog as of_one

    side = images.shape[1] // cell
    maps = np.zeros((len(images), side, images.shape[2] // cell, 2, 2, orientations), np.float32)
    for image, out in zip(images, maps, strict=True):
        blocks = of_one(
            image,
            orientations=orientations,
            pixels_per_cell=(cell, cell),
            cells_per_block=(2, 2),
            feature_vector=False,
        )
        for i in (0, 1):
            for j in (0, 1):
                rows, columns = blocks.shape[:2]
                out[i : i + rows, j : j + columns, i, j] = blocks[:, :, i, j]
    return maps.reshape(*maps.shape[:3], -1)


def lbp(images: Images, *, cell: int, radius: int) -> Maps:
    """Local binary patterns, uint8 (N, H, W) to float32 (N, h, w, 59).

    Square roots of how often each pattern of eight neighbours at `radius` pixels stands in a cell,
    so that a dot product of two is their Bhattacharyya coefficient.
    """
    from skimage.feature import local_binary_pattern

    side = images.shape[1] // cell
    place = np.arange(side * cell) // cell
    cells = (place[:, None] * side + place) * PATTERNS
    counts = np.empty((len(images), side * side * PATTERNS), np.float32)
    for image, out in zip(images, counts, strict=True):
        codes = local_binary_pattern(image, 8, radius, "nri_uniform").astype(np.int64)
        codes = codes[: side * cell, : side * cell]
        out[:] = np.bincount((cells + codes).ravel(), minlength=len(out))
    return np.sqrt(counts).reshape(len(images), side, side, PATTERNS)


def joined(images: Images, *, parts: Sequence[Layer]) -> Maps:
    """Layers of the same cells side by side."""
    return np.concatenate([part(images) for part in parts], axis=-1)


_HOG_8: Layer = partial(hog, cell=8, orientations=12)
_LBP_8: Layer = partial(lbp, cell=8, radius=2)

HOG_LAYERS: dict[str, Layer] = {
    "lbp_8": _LBP_8,
    "lbp_8_near": partial(lbp, cell=8, radius=1),
    "hog_6": partial(hog, cell=6, orientations=9),
    "hog_8": _HOG_8,
    "hog_lbp": partial(joined, parts=(_HOG_8, _LBP_8)),
}
"""Layers of the backbone ``hog``."""

PIXEL_LAYERS: dict[str, Layer] = {"pixels": pixels}
"""The layer of the backbone ``pixels``."""


def describe(
    images: Images, layers: dict[str, Layer], outputs: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Layers of some images, as an engine gives them: ``layer/pooled`` and ``layer/map``.

    Args:
        images: uint8 (N, H, W).
        layers: what to compute, by name.
        outputs: ``pooled``: the map laid flat, float32 (N, h·w·C); ``map``: float16 (N, h, w, C).
    """
    found = {}
    for name, layer in layers.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-image's, of images of one grey level
            maps = layer(images)
        if "pooled" in outputs:
            found[f"{name}/pooled"] = maps.reshape(len(maps), -1)
        if "map" in outputs:
            found[f"{name}/map"] = maps.astype(np.float16)
    return found
