"""Pictures of faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fer_features.data.record import EMOTIONS, IMAGE_SIZE, Faces
from fer_features.report.plots.style import GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDE = 20  # faces in a line
_INCH = 0.8  # from one face to the next
_GAP, _ROOM = 4, 10  # pixels between faces, and above each for its row number
_LEFT, _TOP = 0.9, 0.5  # inches for the emotions' names and the title


def faces_grid(faces: Faces, *, title: str) -> Figure:
    """Faces in lines, a new one for each emotion, each under its row number in the source.

    A line is drawn as one image, so that hundreds of faces take a second.
    """
    places = [np.flatnonzero(faces.emotion == code) for code in range(len(EMOTIONS))]
    columns = min(_WIDE, max(map(len, places)))
    lines = [
        (name if not start else "", of_emotion[start : start + columns])
        for name, of_emotion in zip(EMOTIONS, places, strict=True)
        for start in range(0, len(of_emotion), columns)
    ]
    height, width = IMAGE_SIZE + _GAP + _ROOM, IMAGE_SIZE + _GAP
    size = (columns * _INCH, len(lines) * _INCH * height / width)  # inches
    with new_figure(size[0] + _LEFT, size[1] + _TOP) as figure:
        figure.set_layout_engine("none")
        wide, high = figure.get_size_inches()
        axes = figure.add_axes((_LEFT / wide, 0, size[0] / wide, size[1] / high))
        axes.set_axis_off()
        for at, (name, line) in enumerate(lines):
            top = at * height + _ROOM
            strip = np.full((IMAGE_SIZE, columns, width), 255, np.uint8)
            strip[:, : len(line), :IMAGE_SIZE] = faces.images[line].swapaxes(0, 1)
            extent = (0, columns * width, top + IMAGE_SIZE, top)
            pixels = strip.reshape(IMAGE_SIZE, -1)
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent)
            axes.text(-_GAP, top + IMAGE_SIZE / 2, name, ha="right", va="center")
            for column, row in enumerate(faces.row[line].tolist()):
                axes.text(
                    column * width + IMAGE_SIZE / 2,
                    top - 1,
                    str(row),
                    fontsize=7,
                    color=GREY,
                    ha="center",
                    va="bottom",
                )
        axes.set(xlim=(0, columns * width), ylim=(len(lines) * height, 0))
        figure.suptitle(title, fontsize=11, x=0.01, y=1 - 0.1 / high, ha="left")
    return figure
