"""Shapes as smooth masks over a batch of 48×48 pictures."""

from __future__ import annotations

import numpy as np

from fer_features.data import IMAGE_SIZE
from tools.draw_sample.people import Person, Setting
from tools.draw_sample.portable_random import Floats

HEAD_DEPTH = 0.75


def disc(x: Floats, y: Floats) -> Floats:
    """1 at the origin, falling smoothly to 0 at radius 1."""
    inside: Floats = np.maximum(1.0 - (x * x + y * y), 0.0)
    return inside * inside


def stroke(distance: Floats, width: Floats | float) -> Floats:
    """1 on a line, falling evenly to 0 at `width` to either side."""
    faded: Floats = np.maximum(1.0 - np.abs(distance) / width, 0.0)
    return faded


def ramp(value: Floats, low: Floats | float, high: Floats | float) -> Floats:
    """0 up to `low`, 1 from `high` on, smooth between; `high` may be the lesser of the two."""
    t: Floats = value - low
    t /= high - low
    np.clip(t, 0.0, 1.0, out=t)
    return t * t * (3.0 - 2.0 * t)


class Canvas:
    """A batch of pictures, grey levels 0 to 1, and where each pixel lies on the head.

    Attributes:
        tone: (B, 48, 48), what has been painted so far.
        u, v: place in the picture plane, turned with the head: (0, 0) the middle of the face,
            v = 1 the chin, in halves of the head's height.
        face_u, face_v: place on the face itself: u, v with the head's turn and nod undone.
        unit: (B, 1, 1), pixels to one unit.
        light: (B, 1, 1), where the lamp stands: below 0 to the left.
    """

    def __init__(self, setting: Setting, person: Person) -> None:
        place = np.arange(IMAGE_SIZE, dtype=np.float32) - (IMAGE_SIZE - 1) / 2
        x = (place.reshape(1, 1, -1) - setting.across) / setting.size
        y = (place.reshape(1, -1, 1) - setting.down) / setting.size
        # A rotation from the tangent of half its angle: no sine that differs between machines.
        scale = 1.0 + setting.tilt * setting.tilt
        cosine = (1.0 - setting.tilt * setting.tilt) / scale
        sine = 2.0 * setting.tilt / scale
        self.unit, self.light = setting.size, setting.light_across
        self.u: Floats = x * cosine + y * sine
        self.v: Floats = y * cosine - x * sine
        across = self.u / (person.width * 1.04)
        down = self.v / 1.04
        self.toward: Floats = np.sqrt(np.maximum(1.0 - across * across - down * down, 0.02))
        self.across, self.down = across, down
        depth = HEAD_DEPTH * self.toward
        self.face_u: Floats = self.u * _cosine(setting.turn) - depth * setting.turn
        self.face_v: Floats = self.v * _cosine(setting.nod) - depth * setting.nod
        self.tone: Floats = np.zeros_like(self.u)

    def paint(self, tone: Floats | float, mask: Floats) -> None:
        """Cover with `tone` where `mask` is 1, mix where it lies between 0 and 1."""
        self.tone += mask * (tone - self.tone)

    def shade(self, mask: Floats) -> None:
        """Darken by the share `mask`; lighten where it is negative."""
        self.tone *= 1.0 - mask

    def inside(self, distance: Floats) -> Floats:
        """Mask of a shape from its signed distance in units, its edge one pixel wide."""
        covered: Floats = np.clip(0.5 - distance * self.unit, 0.0, 1.0)
        return covered


def _cosine(sine: Floats) -> Floats:
    positive: Floats = np.sqrt(1.0 - sine * sine)
    return positive


def stretch(lattice: Floats) -> Floats:
    """Blow up coarse noise (B, h, w) to smooth noise (B, 48, 48)."""
    for axis in (1, 2):
        count = lattice.shape[axis]
        place = np.arange(IMAGE_SIZE, dtype=np.float32) * ((count - 1) / IMAGE_SIZE)
        left = place.astype(np.int64)
        part = place - left.astype(np.float32)
        part = part * part * (3.0 - 2.0 * part)
        near, far = np.take(lattice, left, axis), np.take(lattice, left + 1, axis)
        lattice = near + part.reshape((-1, 1) if axis == 1 else (1, -1)) * (far - near)
    return lattice
