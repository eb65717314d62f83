"""Draws the faces of the built-in sample: head, hair, background, hand, and the photograph's look.

Only float32 +, -, ×, / and square roots, pixel by pixel: IEEE 754 rounds them the same on every
machine, so the images are the same byte for byte.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fer_features.data import IMAGE_SIZE
from tools.draw_sample.canvas import Canvas, disc, ramp, stretch, stroke
from tools.draw_sample.face_features import (
    Mouth,
    draw_brows,
    draw_eyes,
    draw_folds,
    draw_mouth,
    draw_nose,
)
from tools.draw_sample.people import Expression, Person, Setting
from tools.draw_sample.portable_random import Floats, PortableRandom

_BATCH = 32  # faces drawn at a time, so that what is worked on stays in the processor's cache


def draw_faces(emotion: NDArray[np.int8], *, seed: int) -> NDArray[np.uint8]:
    """Draw one face for each emotion: int8 (N,), places in `EMOTIONS`, to uint8 (N, 48, 48).

    The persons and settings depend on the seed only: with other emotions the same persons, in the
    same light, make other faces.
    """
    rng = PortableRandom(seed, stream=1, count=len(emotion))
    person = Person.draw(rng)
    expression = Expression.draw(rng, emotion=emotion)
    setting = Setting.draw(rng)
    images = np.empty((len(emotion), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    for start in range(0, len(emotion), _BATCH):
        part = (start, start + _BATCH)
        images[slice(*part)] = _draw_batch(
            person.rows(*part), expression.rows(*part), setting.rows(*part)
        )
    return images


def _draw_batch(person: Person, expression: Expression, setting: Setting) -> NDArray[np.uint8]:
    """Paint from back to front."""
    canvas = Canvas(setting, person)
    mouth = Mouth(canvas, person, expression)
    strands, rough = stretch(person.strands), stretch(person.rough)
    _wall(canvas, setting)
    _hair_behind(canvas, person, strands, rough)
    _body(canvas, person, setting)
    _head(canvas, person, expression, setting)
    draw_folds(canvas, mouth, person, expression)
    draw_eyes(canvas, person, expression)
    draw_brows(canvas, person, expression)
    draw_nose(canvas, person, expression)
    _beard(canvas, mouth, person, rough)
    draw_mouth(canvas, mouth, person)
    _hair_before(canvas, person, strands, rough)
    _glasses(canvas, person, setting)
    _hand(canvas, person, setting)
    _lock_and_bar(canvas, person, setting)
    return _photograph(canvas.tone, setting)


def _wall(canvas: Canvas, setting: Setting) -> None:
    """What is out of focus behind the head."""
    slope = setting.wall_slope * (canvas.u + canvas.v * setting.light_across)
    canvas.tone[...] = np.clip(setting.wall + slope + stretch(setting.blotches), 0.0, 1.0)


def _outline(canvas: Canvas, person: Person, *, grown: Floats | float) -> Floats:
    """Signed distance to the head, made larger by `grown` all round."""
    narrow = np.clip((canvas.v - 0.1) / 0.9, 0.0, 1.0)
    half = (person.width + grown * 0.7) * (1.0 - person.jaw * narrow * narrow)
    x, y = canvas.u / half, canvas.v / (1.0 + grown)
    distance: Floats = (np.sqrt(x * x + y * y) - 1.0) * person.width
    return distance


def _hair_tone(canvas: Canvas, person: Person, strands: Floats) -> Floats:
    gloss = 0.25 * disc((canvas.u + 0.2) / 0.7, (canvas.v + 0.85) / 0.35)
    tone: Floats = np.clip(person.hair * (1.0 + 0.16 * strands + gloss) + 0.02 * strands, 0.0, 1.0)
    return tone


def _hair_behind(canvas: Canvas, person: Person, strands: Floats, rough: Floats) -> None:
    """The hair that head and shoulders hide a part of."""
    volume, _, _, _, length, curl = _cut(person)
    grown = volume + curl * rough * 0.8
    # Below the ears long hair hangs straight down instead of following the jaw.
    hang = np.abs(canvas.u) - (person.width + 0.04 + volume * 0.7 + 0.04 * strands)
    shape = np.where(canvas.v > 0.0, hang, _outline(canvas, person, grown=grown))
    hair = canvas.inside(shape) * canvas.inside(canvas.v - length) * (volume > 0.0)
    canvas.paint(0.8 * _hair_tone(canvas, person, strands), hair)


def _hair_before(canvas: Canvas, person: Person, strands: Floats, rough: Floats) -> None:
    """The hair over the forehead, and its shadow on the skin."""
    volume, line, temples, parting, length, curl = _cut(person)
    u = canvas.face_u
    edge = line + temples * u * u * u * u * 2.2 - parting * u + 0.02 * rough + curl * 0.6 * strands
    whole = canvas.inside(_outline(canvas, person, grown=volume + curl * rough * 0.8))
    short = canvas.inside(canvas.v - np.maximum(length, 0.05))
    canvas.shade(0.25 * whole * ramp(canvas.face_v, edge + 0.10, edge) * (volume > 0.0))
    mask = whole * short * canvas.inside(canvas.face_v - edge) * (volume > 0.0)
    canvas.paint(_hair_tone(canvas, person, strands), mask)


def _cut(person: Person) -> tuple[Floats, ...]:
    """The columns of the haircut, each (B, 1, 1)."""
    return tuple(person.cut[:, place].reshape(-1, 1, 1) for place in range(person.cut.shape[1]))


def _body(canvas: Canvas, person: Person, setting: Setting) -> None:
    """Neck and clothes, as far as the picture shows them."""
    neck = canvas.inside(np.abs(canvas.u) - 0.42) * canvas.inside(0.5 - canvas.v)
    canvas.paint(person.skin * 0.62, neck)
    shoulder = 1.18 + 0.25 * np.maximum(np.abs(canvas.u) - 0.3, 0.0)
    canvas.paint(setting.cloth, canvas.inside(shoulder - canvas.v))


def _head(canvas: Canvas, person: Person, expression: Expression, setting: Setting) -> None:
    """Ears and the skin, lit as an ellipsoid by one lamp and the room."""
    jaw_drop = 0.07 * expression.au(26) * expression.au(25)
    covered = 1.0 - ramp(person.cut[:, 4].reshape(-1, 1, 1), 0.5, 1.0)
    ear = disc((np.abs(canvas.u) - person.width - 0.015) / 0.11, (canvas.v - 0.03) / 0.22)
    canvas.paint(person.skin * 0.72, covered * np.minimum(ear * 4.0, 1.0))
    down = setting.light_down
    lamp = 1.0 / np.sqrt(1.0 + setting.light_across * setting.light_across + down * down)
    facing = canvas.across * setting.light_across + canvas.down * down
    facing = np.maximum((facing + canvas.toward) * lamp, 0.0)
    light = setting.ambient + (1.05 - setting.ambient) * facing
    # Only the jaw drops: the crown stays where it is.
    outline = _outline(canvas, person, grown=0.0) - jaw_drop * np.maximum(canvas.v, 0.0)
    canvas.paint(np.clip(person.skin * light, 0.0, 1.0), canvas.inside(outline))


def _beard(canvas: Canvas, mouth: Mouth, person: Person, rough: Floats) -> None:
    """Beard and moustache."""
    v, u = canvas.face_v, np.abs(canvas.face_u)
    skin = canvas.inside(_outline(canvas, person, grown=0.0))
    low = ramp(v, 0.42 - 0.7 * u * u, 0.62 - 0.7 * u * u)
    tone = person.hair * (1.0 + 0.25 * rough)
    canvas.paint(tone, 0.85 * person.beard * skin * low)
    lip = stroke(v - mouth.top + mouth.upper_lip + 0.06, 0.07) * ramp(u, 0.30, 0.18)
    canvas.paint(tone, person.moustache * np.minimum(1.6 * lip, 1.0))


def _glasses(canvas: Canvas, person: Person, setting: Setting) -> None:
    """Rims with rounded corners, bridge and temples; the glass black if they are sunglasses."""
    u, v = np.abs(canvas.face_u) - person.eye_apart, canvas.face_v - person.eye_height - 0.02
    x, y = u / 0.235, v / 0.175
    rim = (np.sqrt(np.sqrt(x * x * x * x + y * y * y * y)) - 1.0) * 0.19
    canvas.paint(0.10, setting.shades * canvas.inside(rim))
    canvas.paint(0.08, 0.9 * setting.glasses * stroke(rim, 0.045))
    bridge = stroke(v + 0.05, 0.04) * (np.abs(canvas.face_u) < 0.12)
    canvas.paint(0.08, 0.9 * setting.glasses * bridge)
    temple = stroke(v + 0.06, 0.035) * (u > 0.2) * canvas.inside(np.abs(canvas.u) - person.width)
    canvas.paint(0.12, 0.8 * setting.glasses * temple)


def _hand(canvas: Canvas, person: Person, setting: Setting) -> None:
    """Four fingers at the chin or cheek."""
    u, v = canvas.u - setting.hand_across, canvas.v - setting.hand_down
    for finger in range(4):
        x = u + 0.13 * (finger - 1.5)
        tip = -0.32 + 0.05 * (finger - 1.2) * (finger - 1.2)
        long = np.maximum(np.maximum(tip - v, v - 1.0), 0.0)
        distance = np.sqrt(x * x + long * long) - 0.068
        lit = 1.0 - 0.25 * np.minimum(np.abs(x) / 0.07, 1.0)
        canvas.paint(person.skin * 0.95 * lit, setting.hand * canvas.inside(distance))
        canvas.shade(0.35 * setting.hand * stroke(distance - 0.01, 0.03))


def _lock_and_bar(canvas: Canvas, person: Person, setting: Setting) -> None:
    """A lock of hair over one eye, a black bar at the picture's side."""
    sweep = canvas.u - 0.55 + 0.275 * (canvas.v + 0.9) * (canvas.v + 0.9)
    strand = np.minimum(2.5 * stroke(sweep, 0.13), 1.0) * canvas.inside(canvas.v - 0.25)
    canvas.paint(person.hair, setting.lock * strand * (person.cut[:, :1, None] > 0.0))
    place = np.arange(IMAGE_SIZE, dtype=np.float32).reshape(1, 1, -1)
    left = (setting.bar > 0.0) * (place < 8.0 * setting.bar)
    right = (setting.bar < 0.0) * (place > IMAGE_SIZE - 1 + 8.0 * setting.bar)
    canvas.paint(0.02, np.maximum(left, right).astype(np.float32))


def _photograph(tone: Floats, setting: Setting) -> NDArray[np.uint8]:
    """Lens, exposure, film: blur, tone curve, contrast, grain, 8 bits."""
    for axis in (1, 2):
        for _ in range(2):
            wide = [(1, 1) if axis == place else (0, 0) for place in range(3)]
            edge = np.pad(tone, wide, mode="edge")
            before = np.take(edge, range(IMAGE_SIZE), axis)
            after = np.take(edge, range(2, IMAGE_SIZE + 2), axis)
            tone = tone + setting.blur * (before + after - 2.0 * tone)
    tone = np.clip(tone, 0.0, 1.0)
    # Schlick's bias curve: a gamma without a power.
    tone = tone / ((1.0 / setting.tone - 2.0) * (1.0 - tone) + 1.0)
    tone = setting.black + (setting.contrast - setting.black * setting.contrast) * tone
    exposed = np.clip(tone + setting.grain, 0.0, 1.0)
    return np.floor(exposed * 255.0 + 0.5).astype(np.uint8)
