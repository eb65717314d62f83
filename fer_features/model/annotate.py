"""Pictures with the faces that were found in them, and what each was predicted to be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from fer_features.errors import FerError, reason_of
from fer_features.model.decoding import Picture
from fer_features.model.predictions import Prediction

_COLOURS = {"ok": "#1f9d55", "uncertain": "#c77700", "too_small": "#6b7280"}
_KEPT = (".jpg", ".jpeg", ".png")


class Annotator:
    """Writes annotated pictures into a folder, with the inputs' folders below it.

    Args:
        folder: where to write; made if it is missing.
        inputs: the files and folders that are predicted.

    Raises:
        FerError: the folder is, or is in, an input folder, or cannot be made.
    """

    def __init__(self, folder: Path, inputs: Sequence[Path]) -> None:
        if folder.exists() and not folder.is_dir():
            raise FerError(f"--annotate {folder} is a file", hint="name a folder")
        real = [one.resolve() for one in inputs]
        within = [one if one.is_dir() else one.parent for one in real]
        if any(folder.resolve().is_relative_to(one) for one in real if one.is_dir()) or any(
            folder.resolve() == one for one in within
        ):
            raise FerError(
                f"--annotate {folder} is a folder of the inputs",
                hint="name another: nothing there is overwritten",
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FerError(
                f"--annotate {folder} cannot be made: {reason_of(error)}", hint="name another"
            ) from error
        self._folder, self._base = folder, Path(os.path.commonpath(within))

    def write(self, picture: Picture, rows: Sequence[Prediction]) -> None:
        """Write a picture with its rows' faces; one that could not be read is left out."""
        if picture.pixels is None:
            return
        path = Path(picture.source)
        inside = self._folder / (path.parent.resolve() / path.name).relative_to(self._base)
        if picture.frame is not None:
            inside = inside / f"{picture.frame:06d}.jpg"
        elif inside.suffix.lower() not in _KEPT:
            inside = inside.with_name(f"{inside.name}.png")
        inside.parent.mkdir(parents=True, exist_ok=True)
        annotated(picture, rows).save(inside, quality=92)


def annotated(picture: Picture, rows: Sequence[Prediction]) -> Image.Image:
    """A picture that could be read, in RGB, with a box and a line of text for each face."""
    image = Image.fromarray(picture.pixels).convert("RGB")  # type: ignore[arg-type]
    draw = ImageDraw.Draw(image)
    line = max(round(max(image.size) / 400), 2)
    font = ImageFont.load_default(size=max(round(max(image.size) / 75), 12))
    for row in rows:
        if row.x is None or row.y is None or row.w is None or row.h is None:
            continue
        x, y, w, h = (one / picture.scale for one in (row.x, row.y, row.w, row.h))
        colour = _COLOURS[row.status]
        draw.rectangle((x, y, x + w, y + h), outline=colour, width=line)
        _write_label(draw, _text(row), (x, y, y + h), font, colour, image.size)
    return image


def _text(row: Prediction) -> str:
    if not row.probabilities:
        return row.status.replace("_", " ")
    return f"{row.label} {max(row.probabilities):.2f}{' ?' * (row.status == 'uncertain')}"


def _write_label(
    draw: ImageDraw.ImageDraw,
    text: str,
    place: tuple[float, float, float],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    colour: str,
    size: tuple[int, int],
) -> None:
    """Write a label above a face, or below where there is no room, inside the picture."""
    x, top, bottom = place
    left, up, right, down = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, down - up + 4
    y = top - height if top >= height else min(bottom, size[1] - height)
    x = min(max(x, 0), max(size[0] - width, 0))
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + 2 - left, y + 2 - up), text, fill="white", font=font)
