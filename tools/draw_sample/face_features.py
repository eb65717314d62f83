"""Eyes, brows, nose, mouth and folds of the drawn faces, moved by FACS action units.

Lengths are in halves of a head's height. What each unit does is taken from its description in
the Facial Action Coding System (Ekman, Friesen & Hager, 2002); how far, from looking at the result.
"""

from __future__ import annotations

import numpy as np

from tools.draw_sample.canvas import Canvas, disc, ramp, stroke
from tools.draw_sample.people import Expression, Person
from tools.draw_sample.portable_random import Floats


def draw_eyes(canvas: Canvas, person: Person, expression: Expression) -> None:
    """Sockets, eyeballs, lids, and the creases above and below."""
    au = expression.au
    u = np.abs(canvas.face_u) - person.eye_apart
    v = canvas.face_v - person.eye_height
    canvas.shade(0.22 * disc(u / 0.30, (v + 0.03) / 0.19))
    along = u / person.eye_size
    top, bottom = _lids(along, person, expression)
    span = canvas.inside(np.abs(u) - person.eye_size)
    _eyeball(canvas, span * canvas.inside(top - v) * canvas.inside(v - bottom), person, expression)
    canvas.paint(0.06, 0.85 * span * stroke(v - top, 0.042))
    canvas.shade(0.35 * span * stroke(v - bottom - 0.01, 0.035))
    crease = stroke(v - top + 0.055, 0.032) * ramp(np.abs(along), 1.25, 0.7)
    canvas.shade(crease * (0.28 + 0.2 * au(5)))
    bag = stroke(v - bottom - 0.07 + 0.02 * au(6), 0.04) * ramp(np.abs(along), 1.2, 0.5)
    canvas.shade(bag * np.minimum(0.08 + 0.25 * person.age + 0.3 * au(6) + 0.2 * au(7), 0.5))


def _lids(along: Floats, person: Person, expression: Expression) -> tuple[Floats, Floats]:
    """How far the lids' edges lie below the eye's middle, `along` from -1 at the nose to 1."""
    au = expression.au
    awake = 1.0 - expression.shut
    arch = np.maximum(1.0 - along * along, 0.0)
    wide = 1.0 + 0.75 * au(5) - 0.45 * au(7) - 0.25 * au(6) - 0.35 * au(9) - 0.15 * au(12)
    low = 0.62 * (1.0 - 0.55 * au(6) - 0.5 * au(7) - 0.4 * au(9) + 0.15 * au(5))
    upper = person.eye_open * awake * np.maximum(wide, 0.22)
    lower = person.eye_open * (1.26 * awake - 0.26) * np.maximum(low, 0.09)
    # AU1 with AU4 lifts the upper lid at the nose: grief's and fear's triangular eye.
    skew = 1.0 - 0.45 * np.minimum(au(1), 1.0) * au(4) * along
    return -upper * arch * skew - 0.004, lower * arch


def _eyeball(canvas: Canvas, mask: Floats, person: Person, expression: Expression) -> None:
    """The white, the iris, the pupil and a glint, where `mask` leaves the eye open."""
    # Both eyes look the same way, so the gaze is not mirrored with them.
    gaze = np.where(canvas.face_u < 0.0, -expression.gaze, expression.gaze)
    u = np.abs(canvas.face_u) - person.eye_apart - gaze
    v = canvas.face_v - person.eye_height + 0.012
    distance = np.sqrt(u * u + v * v)
    canvas.paint(np.minimum(canvas.tone * 0.4 + 0.55, 0.95), mask)
    canvas.paint(person.iris, mask * canvas.inside(distance - 0.50 * person.eye_size))
    canvas.paint(0.03, mask * canvas.inside(distance - 0.25 * person.eye_size))
    canvas.paint(0.95, 0.8 * mask * disc((u + 0.02) / 0.04, (v + 0.025) / 0.04))


def draw_brows(canvas: Canvas, person: Person, expression: Expression) -> None:
    """Eyebrows, with the furrows that raising or knitting them makes."""
    au = expression.au
    inner = 0.135 - 0.045 * au(4)
    outer = person.eye_apart + person.eye_size + 0.075
    u, v = np.abs(canvas.face_u), canvas.face_v
    along = (u - inner) / (outer - inner)
    level = _brow_level(canvas, np.clip(along, 0.0, 1.0), person, expression)
    thick = person.brow_thick * (1.0 - 0.65 * np.clip(along * along, 0.0, 1.0))
    ends = ramp(along, -0.06, 0.1) * ramp(along, 1.06, 0.8)
    brow = ends * canvas.inside(np.abs(v - level) - thick)
    canvas.paint(person.hair * 0.7, brow * person.brow_dark)
    between = ramp(v, level - 0.10, level)
    between = between * ramp(v, person.eye_height + 0.06, person.eye_height - 0.05)
    canvas.shade(0.42 * au(4) * between * stroke(u - 0.055, 0.04))
    furrow = np.minimum(0.55 * np.maximum(au(1), au(2)) * (0.35 + person.age), 0.5)
    furrow = furrow + 0.12 * person.age
    for height in (0.17, 0.28, 0.39):
        line = stroke(v - level + height + 0.1 * u * u, 0.03)
        canvas.shade(0.7 * furrow * line * ramp(u, 0.5, 0.2))


def _brow_level(canvas: Canvas, along: Floats, person: Person, expression: Expression) -> Floats:
    """How far down the brow's middle lies, `along` from 0 at the nose to 1 at the temple."""
    au = expression.au
    rest = 1.0 - along
    side = np.clip(4.0 * canvas.face_u, -1.0, 1.0)
    level = person.eye_height - person.brow_height + person.brow_slant * (1.0 - 2.0 * along)
    level = level + 0.03 * along * along - 0.13 * along * rest
    level = level - 0.13 * au(1) * rest * rest
    level = level - au(2) * (0.12 * along * (1.6 - along) - 0.03 * person.lopsided * side)
    lowered: Floats = level + au(4) * (0.13 - 0.09 * along) + 0.04 * au(9)
    return lowered


def draw_nose(canvas: Canvas, person: Person, expression: Expression) -> None:
    """Ridge, tip, wings and nostrils; AU9 wrinkles the bridge and lifts the wings."""
    au = expression.au
    u, v = canvas.face_u, canvas.face_v
    tip = person.eye_height + person.nose_long - 0.035 * au(9)
    bridge = ramp(v, person.eye_height - 0.1, person.eye_height + 0.1) * ramp(v, tip + 0.05, tip)
    canvas.shade(-0.09 * bridge * stroke(u, 0.09))
    lit = np.clip(1.0 - 1.3 * canvas.light * np.clip(8.0 * u, -1.0, 1.0), 0.2, 1.8)
    canvas.shade(0.15 * lit * bridge * stroke(np.abs(u) - 0.115, 0.075))
    canvas.shade(-0.14 * disc(u / 0.11, (v - tip + 0.02) / 0.10))
    canvas.shade(0.30 * disc(u / (person.nose_wide + 0.08), (v - tip - 0.095) / 0.085))
    wide = person.nose_wide + 0.02 * au(9) + 0.015 * au(12)
    wing = stroke(np.abs(u) - wide, 0.04) * disc(np.zeros_like(u), (v - tip - 0.03) / 0.10)
    canvas.shade(0.38 * wing)
    nostril = disc((np.abs(u) - wide * 0.5) / 0.065, (v - tip - 0.065) / 0.045)
    canvas.paint(0.10, 0.8 * nostril)
    for height in (0.02, 0.10):
        wrinkle = stroke(v - person.eye_height - height + 0.6 * np.abs(u), 0.035)
        canvas.shade(0.40 * au(9) * wrinkle * ramp(np.abs(u), 0.17, 0.08))


class Mouth:
    """Where the lips run, computed once for lips, teeth, folds and chin; all (B, 48, 48).

    Attributes:
        half: half the mouth's width, (B, 1, 1).
        along: -1 and 1 at the corners, 0 in the middle.
        line: where the lips meet.
        top, bottom: the edges of the opening, both at `line` where the lips are closed.
        upper_lip, lower_lip: the lips' thickness above `top` and below `bottom`.
        teeth, low_teeth: how far the teeth reach into the opening, (B, 1, 1).
    """

    def __init__(self, canvas: Canvas, person: Person, expression: Expression) -> None:
        au = expression.au
        stretch = 0.30 * au(12) + 0.20 * au(20) - 0.10 * au(23) - 0.22 * au(26) - 0.06 * au(17)
        self.half = person.mouth_wide * (1.0 + stretch)
        self.along = canvas.face_u / self.half
        arch = np.maximum(1.0 - self.along * self.along, 0.0)
        lift = 0.16 * au(12) - 0.11 * au(15) - 0.02 * au(20) + person.mouth_bend
        lift = lift * (1.0 + person.lopsided * np.clip(canvas.face_u * 4.0, -1.0, 1.0))
        bend = np.minimum(self.along * self.along, 1.4)
        # AU17 pushes the lower lip up in the middle; AU9 and AU10 lift the upper lip.
        self.line = person.mouth_height + 0.04 * au(26) - lift * (bend - 0.35)
        self.line = self.line - 0.035 * au(17) * arch
        opened = arch * (1.35 - 0.35 * arch)
        rise = au(25) * (0.03 + 0.045 * au(10)) + 0.02 * au(9) + 0.03 * au(26)
        self.top = self.line - rise * opened
        self.bottom = self.line + au(25) * (0.055 + 0.17 * au(26) + 0.02 * au(20)) * opened
        closed = 1.0 - np.minimum(au(25) * 2.0, 1.0)
        thin = 1.0 - np.minimum(0.60 * au(23) * closed + 0.25 * au(12) + 0.2 * au(20), 0.8)
        self.upper_lip = person.lips * thin * np.sqrt(arch)
        self.lower_lip = 1.35 * self.upper_lip
        self.teeth = 0.085 * np.minimum(au(12) + 0.8 * au(10) + 0.7 * au(20) + 0.15, 1.2)
        self.low_teeth = 0.06 * np.minimum(au(20) + 0.7 * au(23) + 0.5 * au(10), 1.0)


def draw_mouth(canvas: Canvas, mouth: Mouth, person: Person) -> None:
    """Lips, the dark between them, teeth and tongue."""
    u, v = canvas.face_u, canvas.face_v
    span = canvas.inside(np.abs(u) - mouth.half - 0.01)
    upper = canvas.inside(mouth.top - mouth.upper_lip - v) * canvas.inside(v - mouth.line)
    lower = canvas.inside(v - mouth.bottom - mouth.lower_lip) * canvas.inside(mouth.line - v)
    canvas.paint(canvas.tone * (0.92 - person.lip_dark), span * upper)
    canvas.paint(canvas.tone * (1.0 - person.lip_dark), span * lower)
    below = v - mouth.bottom - mouth.lower_lip
    canvas.shade(-0.18 * span * disc(u / 0.14, (below + 0.4 * mouth.lower_lip) / 0.05))
    gap = span * canvas.inside(mouth.top - v) * canvas.inside(v - mouth.bottom)
    gap = gap * ramp(mouth.bottom - mouth.top, 0.005, 0.04)
    canvas.paint(0.08, gap)
    canvas.paint(0.30, gap * disc(u / 0.2, (v - mouth.bottom - 0.01) / 0.11))
    bright = np.clip(1.12 - 0.5 * mouth.along * mouth.along, 0.0, 1.0)
    canvas.paint(0.90 * bright, gap * canvas.inside(v - mouth.top - mouth.teeth))
    canvas.paint(0.78 * bright, gap * canvas.inside(mouth.bottom - mouth.low_teeth - v))
    canvas.paint(0.10, 0.8 * span * stroke(v - mouth.line, 0.030) * (1.0 - gap))
    canvas.shade(0.40 * disc((np.abs(u) - mouth.half) / 0.06, (v - mouth.line) / 0.06))
    canvas.shade(0.20 * disc(u / 0.22, (below - 0.06) / 0.055))


def draw_folds(canvas: Canvas, mouth: Mouth, person: Person, expression: Expression) -> None:
    """Folds from nose to mouth, raised cheeks, crow's feet and the chin's boss."""
    au = expression.au
    u, v = np.abs(canvas.face_u), canvas.face_v
    start = person.eye_height + person.nose_long - 0.01
    along = (v - start) / (person.mouth_height + 0.06 - 0.06 * au(12) - start)
    bent = np.clip(along, 0.0, 1.2)
    reach = mouth.half + 0.055 - person.nose_wide
    middle = person.nose_wide + 0.03 + reach * bent * (1.7 - 0.7 * bent)
    depth = 0.3 * au(12) + 0.3 * au(10) + 0.2 * au(9) + 0.1 * au(15) + 0.2 * person.age
    ends = ramp(along, -0.1, 0.15) * ramp(along, 1.1, 0.6)
    canvas.shade(np.minimum(depth, 0.45) * ends * stroke(u - middle, 0.075))
    cheek = v - person.eye_height - 0.36 + 0.06 * au(6)
    raised = np.minimum(0.55 * au(6) + 0.45 * au(12), 1.0)
    canvas.shade(-0.20 * raised * disc((u - 0.40) / 0.20, cheek / 0.14))
    canvas.shade(0.16 * raised * disc((u - 0.46) / 0.24, (cheek - 0.20) / 0.12))
    beside = u - person.eye_apart - person.eye_size
    crow = np.minimum(au(6) * (0.4 + person.age), 1.0)
    crow = crow * ramp(beside, 0.0, 0.05) * ramp(beside, 0.17, 0.08)
    for slope in (-0.7, 0.0, 0.7):
        canvas.shade(0.45 * crow * stroke(v - person.eye_height - slope * beside, 0.026))
    chin = v - person.mouth_height - 0.27 - 0.10 * au(26) * au(25)
    canvas.shade(-0.10 * disc(u / 0.2, chin / 0.12))
    canvas.shade(0.22 * au(17) * stroke(chin + 0.10 + 0.8 * u * u, 0.05) * ramp(u, 0.24, 0.1))
