"""The persons, expressions and settings that the sample draws, as arrays of random numbers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fer_features.data import IMAGE_SIZE
from tools.draw_sample.portable_random import Floats, PortableRandom

ACTION_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 17, 20, 23, 25, 26)
"""FACS action units that are drawn (Ekman, Friesen & Hager, 2002)."""

# Full-strength intensity of each action unit, emotions in the order of `EMOTIONS`.
_PROTOTYPES = (
    # 1    2    4    5    6    7    9   10   12   15   17   20   23   25   26
    (0.0, 0.0, 0.9, 0.3, 0.0, 0.7, 0.2, 0.4, 0.0, 0.3, 0.3, 0.1, 0.8, 0.8, 0.4),  # angry
    (0.0, 0.0, 0.6, 0.0, 0.2, 0.5, 0.9, 0.8, 0.0, 0.7, 0.4, 0.0, 0.0, 0.5, 0.1),  # disgust
    (0.9, 0.6, 0.5, 0.8, 0.0, 0.2, 0.0, 0.1, 0.0, 0.2, 0.0, 0.9, 0.0, 0.8, 0.4),  # fear
    (0.1, 0.1, 0.0, 0.0, 0.8, 0.2, 0.0, 0.1, 0.9, 0.0, 0.0, 0.0, 0.0, 0.8, 0.3),  # happy
    (0.9, 0.0, 0.5, 0.0, 0.1, 0.3, 0.0, 0.1, 0.0, 0.9, 0.6, 0.1, 0.0, 0.6, 0.2),  # sad
    (0.9, 0.9, 0.0, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9, 1.0),  # surprise
    (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.1, 0.0, 0.0, 0.0, 0.4, 0.1),  # neutral
)

# How often each emotion parts the lips: shouting, crying and laughing all show teeth.
_LIPS_PART = (0.4, 0.35, 0.75, 0.65, 0.3, 0.9, 0.15)

# volume, hairline, temples, parting, length at the sides, curl
_HAIRCUTS = (
    (0.00, -1.40, 0.0, 0.00, -1.0, 0.00),  # bald
    (0.07, -0.68, 0.9, 0.00, -0.1, 0.02),  # short
    (0.10, -0.46, 0.4, 0.00, 0.15, 0.03),  # fringe
    (0.13, -0.60, 0.5, 0.30, 0.10, 0.03),  # parted
    (0.14, -0.60, 0.8, 0.22, 1.60, 0.03),  # long
    (0.26, -0.58, 0.7, 0.00, 0.25, 0.08),  # curly
    (0.05, -0.82, 1.3, 0.00, -0.15, 0.02),  # receding
)


@dataclass(frozen=True)
class Batchable:
    """Float32 arrays with one entry for each face, (N, 1, 1) unless documented otherwise."""

    def rows(self, start: int, stop: int) -> Self:
        """The faces `start` to `stop`, as views."""
        return type(self)(**{f.name: getattr(self, f.name)[start:stop] for f in fields(self)})


@dataclass(frozen=True)
class Person(Batchable):
    """What does not depend on the expression; lengths in halves of a head's height.

    `cut` (N, 6) is a row of the haircuts; `strands` (N, 5, 25) and `rough` (N, 13, 13) are coarse
    noise for hair.
    """

    skin: Floats
    hair: Floats
    cut: Floats
    strands: Floats
    rough: Floats
    width: Floats
    jaw: Floats
    eye_apart: Floats
    eye_size: Floats
    eye_open: Floats
    eye_height: Floats
    iris: Floats
    brow_height: Floats
    brow_thick: Floats
    brow_dark: Floats
    brow_slant: Floats
    nose_long: Floats
    nose_wide: Floats
    mouth_height: Floats
    mouth_wide: Floats
    mouth_bend: Floats
    lips: Floats
    lip_dark: Floats
    age: Floats
    lopsided: Floats
    beard: Floats
    moustache: Floats

    @classmethod
    def draw(cls, rng: PortableRandom) -> Self:
        """Draw one person for each face."""
        manly = rng.chance(0.5)
        age = rng.uniform(0.0, 1.0)
        return cls(
            skin=rng.uniform(0.48, 0.86),
            hair=np.maximum(0.04, rng.uniform(0.05, 0.45) + (age > 0.8) * rng.uniform(0.0, 0.45)),
            cut=rng.pick(_HAIRCUTS, weights=(1, 4, 3, 3, 5, 2, 2)),
            strands=rng.normal(0.0, 1.0, size=(5, 25)),
            rough=rng.normal(0.0, 1.0, size=(13, 13)),
            width=rng.uniform(0.66, 0.77),
            jaw=rng.uniform(0.05, 0.40) - 0.12 * manly,
            eye_apart=rng.normal(0.335, 0.018),
            eye_size=rng.normal(0.163, 0.012) - 0.015 * manly,
            eye_open=rng.normal(0.067, 0.010),
            eye_height=rng.normal(-0.17, 0.03),
            iris=rng.uniform(0.08, 0.42),
            brow_height=rng.normal(0.19, 0.028),
            brow_thick=rng.uniform(0.03, 0.055) + 0.018 * manly,
            brow_dark=rng.uniform(0.45, 0.9),
            brow_slant=rng.normal(0.0, 0.025),
            nose_long=rng.normal(0.40, 0.035),
            nose_wide=rng.normal(0.135, 0.015),
            mouth_height=rng.normal(0.50, 0.02),
            mouth_wide=rng.normal(0.265, 0.022),
            mouth_bend=rng.normal(0.0, 0.028),
            lips=rng.uniform(0.035, 0.075) - 0.010 * manly,
            lip_dark=rng.uniform(0.12, 0.42) - 0.08 * manly,
            age=age,
            lopsided=rng.normal(0.0, 0.25),
            beard=manly * rng.chance(0.3) * rng.uniform(0.2, 0.9),
            moustache=manly * rng.chance(0.25) * rng.uniform(0.3, 0.9),
        )


@dataclass(frozen=True)
class Expression(Batchable):
    """What the face does: intensity 0 to about 1 of each of `ACTION_UNITS`, (N, 15, 1, 1)."""

    units: Floats
    gaze: Floats
    shut: Floats

    @classmethod
    def draw(cls, rng: PortableRandom, *, emotion: NDArray[np.int8]) -> Self:
        """Draw the strength and purity of each face's expression."""
        full = np.array(_PROTOTYPES, np.float32)[emotion]
        parts = np.array(_LIPS_PART, np.float32)[emotion].reshape(-1, 1, 1)
        strength = rng.uniform(0.45, 1.2)
        parted = rng.chance(parts)
        units = []
        for place, unit in enumerate(ACTION_UNITS):
            level = full[:, place].reshape(-1, 1, 1) * strength * rng.uniform(0.55, 1.25)
            stray = rng.chance(0.12) * rng.uniform(0.0, 0.5)
            level = np.maximum(level, stray)
            units.append(level * parted if unit in (25, 26) else level)
        return cls(
            units=np.stack(units, axis=1),
            gaze=rng.normal(0.0, 0.022),
            shut=rng.chance(0.05),
        )

    def au(self, unit: int) -> Floats:
        """Intensity of action unit `unit`: (N, 1, 1)."""
        return self.units[:, ACTION_UNITS.index(unit)]


@dataclass(frozen=True)
class Setting(Batchable):
    """How the picture was taken; independent of the emotion.

    `size`, `across` and `down` are in pixels, `tilt` is the tangent of half an angle, `turn` and
    `nod` are sines; `blotches` (N, 5, 5) is noise for the wall, `grain` (N, 48, 48) the film's.
    """

    size: Floats
    across: Floats
    down: Floats
    tilt: Floats
    turn: Floats
    nod: Floats
    light_across: Floats
    light_down: Floats
    ambient: Floats
    wall: Floats
    wall_slope: Floats
    blotches: Floats
    cloth: Floats
    glasses: Floats
    shades: Floats
    hand: Floats
    hand_across: Floats
    hand_down: Floats
    lock: Floats
    bar: Floats
    contrast: Floats
    black: Floats
    tone: Floats
    blur: Floats
    grain: Floats

    @classmethod
    def draw(cls, rng: PortableRandom) -> Self:
        """Draw one setting for each face."""
        glasses = rng.chance(0.16)
        return cls(
            size=rng.normal(24.5, 0.8),
            across=rng.normal(0.0, 0.6),
            down=rng.normal(0.0, 0.6),
            tilt=rng.normal(0.0, 0.04),
            turn=rng.normal(0.0, 0.14),
            nod=rng.normal(0.0, 0.06),
            light_across=rng.normal(0.0, 0.45),
            light_down=rng.normal(-0.35, 0.3),
            ambient=rng.uniform(0.3, 0.75),
            wall=rng.uniform(0.05, 0.95),
            wall_slope=rng.normal(0.0, 0.15),
            blotches=rng.uniform(0.02, 0.35) * rng.normal(0.0, 1.0, size=(5, 5)),
            cloth=rng.uniform(0.05, 0.9),
            glasses=glasses,
            shades=glasses * rng.chance(0.15),
            hand=rng.chance(0.06),
            hand_across=rng.uniform(-0.8, 0.8),
            hand_down=rng.uniform(0.55, 0.85),
            lock=rng.chance(0.08) * rng.uniform(0.6, 1.0),
            bar=rng.chance(0.05) * rng.uniform(-1.0, 1.0),
            contrast=rng.uniform(0.7, 1.08),
            black=rng.uniform(0.0, 0.14),
            tone=rng.uniform(0.40, 0.64),
            blur=rng.uniform(0.0, 0.20),
            grain=rng.uniform(0.003, 0.02) * rng.normal(0.0, 1.0, size=(IMAGE_SIZE, IMAGE_SIZE)),
        )
