"""Augmentation of training images and maps: rotation, scale, shift, brightness, cut-out, mirroring.

It is computed with the network, in the compiled step. Its random numbers are drawn outside, by
NumPy, so that each step's are known from its number, on every Keras backend alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from fer_features.runtime.keras_runtime import import_keras

DRAWS = 10
"""Random numbers from 0 to 1 for each image."""

MIRROR = 2
"""The column of the one that exchanges left and right."""

BLEND = 9
"""The column of an image's own share where two are blended, which is not drawn uniformly."""


@dataclass(frozen=True)
class Augmentation:
    """The ranges of the changes, each drawn uniformly.

    Attributes:
        degrees: largest rotation, either way.
        scale: largest relative change of size.
        shift: largest shift across and down, as a part of the side.
        contrast: largest relative change of the grey levels' distance from their mean.
        light: largest change of brightness, as a part of the range of grey levels.
        hole: side in pixels of a square that is painted over with the mean; 0 for none.
        mirror: probability that left and right are exchanged.
    """

    degrees: float = 13.0
    scale: float = 0.15
    shift: float = 0.12
    contrast: float = 0.3
    light: float = 0.15
    hole: int = 14
    mirror: float = 0.5

    def times(self, strength: float) -> Augmentation:
        """The same with its ranges multiplied, but for the hole and the mirror."""
        names = ("degrees", "scale", "shift", "contrast", "light")
        return replace(self, **{name: strength * getattr(self, name) for name in names})

    def __call__(self, images: Any, draws: Any) -> Any:
        """Augment images.

        Args:
            images: float32 (N, S, S, C), grey levels 0 to 255 (C = 1) or maps.
            draws: float32 (N, `DRAWS`), each from 0 to 1.

        Returns:
            float32 (N, S, S, C); grey levels may lie outside of 0 to 255.
        """
        ops: Any = import_keras().ops
        still = not (self.degrees or self.scale or self.shift or self.mirror)
        moved = images if still else self._moved(images, draws)
        mean = ops.mean(moved, axis=(1, 2), keepdims=True)
        stretched = (moved - mean) * _per_image(ops, 1 + self.contrast * _signed(draws, 5))
        lit = stretched + mean + _per_image(ops, 255 * self.light * _signed(draws, 6))
        return ops.where(self._hole(draws, int(images.shape[1])), mean, lit) if self.hole else lit

    def _moved(self, images: Any, draws: Any) -> Any:
        """Rotate, scale, shift and mirror about the middle; the edges are reflected."""
        ops: Any = import_keras().ops
        size = int(images.shape[1])
        angle = math.radians(self.degrees) * _signed(draws, 0)
        zoom = 1 / (1 + self.scale * _signed(draws, 1))
        side = ops.where(draws[:, MIRROR] < self.mirror, -1.0, 1.0)
        across, down = (size * self.shift * _signed(draws, column) for column in (3, 4))
        cos, sin = ops.cos(angle) * zoom, ops.sin(angle) * zoom
        middle = (size - 1) / 2
        # The source of each pixel: x' = a x + b y + c, y' = d x + e y + f
        a, b, d, e = cos * side, -sin, sin * side, cos
        c = middle + across - (a + b) * middle
        f = middle + down - (d + e) * middle
        zero = ops.zeros_like(a)
        transform = ops.stack([a, b, c, d, e, f, zero, zero], axis=1)
        return ops.image.affine_transform(
            images, transform, interpolation="bilinear", fill_mode="reflect"
        )

    def _hole(self, draws: Any, size: int) -> Any:
        """Bool (N, S, S, 1), True in the hole, which may lie partly beyond an edge."""
        ops: Any = import_keras().ops
        pixel = ops.arange(size, dtype="float32")
        down = ops.abs(ops.reshape(pixel, (1, -1, 1, 1)) - _per_image(ops, size * draws[:, 7]))
        across = ops.abs(ops.reshape(pixel, (1, 1, -1, 1)) - _per_image(ops, size * draws[:, 8]))
        return ops.logical_and(down < self.hole / 2, across < self.hole / 2)


IMAGES = Augmentation()
MAPS = Augmentation(degrees=0, scale=0, shift=0, contrast=0, light=0, hole=3, mirror=0)
"""Of maps: the mirrored ones are in the cache."""


def blend(values: Any, others: Any, share: Any) -> Any:
    """Blend images, maps or targets with others: mixup.

    Zhang and others, *mixup: Beyond Empirical Risk Minimization*, 2018
    (https://arxiv.org/abs/1710.09412).
    """
    return share * values + (1 - share) * others


def _signed(draws: Any, column: int) -> Any:
    """One number of each image, scaled to -1 to 1: (N,)."""
    return draws[:, column] * 2 - 1


def _per_image(ops: Any, values: Any) -> Any:
    """Values (N,) as (N, 1, 1, 1)."""
    return ops.reshape(values, (-1, 1, 1, 1))
