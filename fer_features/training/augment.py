"""What a training image may look like: turned, shifted, lit otherwise, with a hole in it.

All of it is computed with the network, in the compiled step. The dice are thrown outside, by NumPy:
so that a step's are known from its number, on every Keras backend alike.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from fer_features.runtime.keras_runtime import import_keras

DICE = 9
"""Numbers from 0 to 1 that an image's changes are made of."""


@dataclass(frozen=True)
class Augmentation:
    """How far an image may be changed; each change is drawn evenly from its range.

    Attributes:
        degrees: turned by up to so many degrees, either way.
        scale: enlarged or made smaller by up to this part.
        shift: moved by up to this part of its side, across and down.
        contrast: grey levels' distance from their mean, more or less by up to this part.
        light: brighter or darker by up to this part of the range of grey levels.
        hole: side of the square, in pixels, that is painted over with the mean.
        mirror: how often left and right are exchanged.
    """

    degrees: float = 13.0
    scale: float = 0.15
    shift: float = 0.12
    contrast: float = 0.3
    light: float = 0.15
    hole: int = 14
    mirror: float = 0.5

    def to_dict(self) -> dict[str, Any]:
        """The ranges as plain JSON types."""
        return asdict(self)

    def __call__(self, images: Any, dice: Any) -> Any:
        """Images changed by dice.

        Args:
            images: float32 (N, S, S, 1), grey levels 0 to 255.
            dice: float32 (N, `DICE`), each from 0 to 1.

        Returns:
            float32 (N, S, S, 1); grey levels may lie outside of 0 to 255.
        """
        ops: Any = import_keras().ops
        moved = self._moved(images, dice)
        mean = ops.mean(moved, axis=(1, 2, 3), keepdims=True)
        stretched = (moved - mean) * _each(ops, 1 + self.contrast * _even(dice, 5))
        lit = stretched + mean + _each(ops, 255 * self.light * _even(dice, 6))
        return ops.where(self._hole(dice, int(images.shape[1])), mean, lit) if self.hole else lit

    def _moved(self, images: Any, dice: Any) -> Any:
        """Turned, scaled, shifted and mirrored about the middle; the edges are reflected."""
        ops: Any = import_keras().ops
        size = int(images.shape[1])
        angle = math.radians(self.degrees) * _even(dice, 0)
        zoom = 1 / (1 + self.scale * _even(dice, 1))
        side = ops.where(dice[:, 2] < self.mirror, -1.0, 1.0)
        across, down = (size * self.shift * _even(dice, die) for die in (3, 4))
        cos, sin = ops.cos(angle) * zoom, ops.sin(angle) * zoom
        middle = (size - 1) / 2
        # Where each pixel comes from: x' = a x + b y + c, y' = d x + e y + f
        a, b, d, e = cos * side, -sin, sin * side, cos
        c = middle + across - (a + b) * middle
        f = middle + down - (d + e) * middle
        nothing = ops.zeros_like(a)
        transform = ops.stack([a, b, c, d, e, f, nothing, nothing], axis=1)
        return ops.image.affine_transform(
            images, transform, interpolation="bilinear", fill_mode="reflect"
        )

    def _hole(self, dice: Any, size: int) -> Any:
        """Bool (N, S, S, 1): where the hole is; it may lie partly beyond an edge."""
        ops: Any = import_keras().ops
        pixel = ops.arange(size, dtype="float32")
        down = ops.abs(ops.reshape(pixel, (1, -1, 1, 1)) - _each(ops, size * dice[:, 7]))
        across = ops.abs(ops.reshape(pixel, (1, 1, -1, 1)) - _each(ops, size * dice[:, 8]))
        return ops.logical_and(down < self.hole / 2, across < self.hole / 2)


def _even(dice: Any, die: int) -> Any:
    """One of the dice, from -1 to 1: (N,)."""
    return dice[:, die] * 2 - 1


def _each(ops: Any, values: Any) -> Any:
    """A value for each image, (N,), as (N, 1, 1, 1)."""
    return ops.reshape(values, (-1, 1, 1, 1))
