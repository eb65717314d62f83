"""Pictures of faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fer_features.faces.record import EMOTIONS, Faces
from fer_features.plots.style import GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def faces_grid(faces: Faces, *, title: str) -> Figure:
    """A grid of faces, one line for each emotion, each with its row number in the source."""
    lines = [np.flatnonzero(faces.emotion == code) for code in range(len(EMOTIONS))]
    present = [(name, places) for name, places in zip(EMOTIONS, lines, strict=True) if len(places)]
    columns = max(len(places) for _, places in present)
    with new_figure(1.0 * columns + 1.2, 1.2 * len(present) + 0.5) as figure:
        grid = figure.subplots(len(present), columns, squeeze=False)
        for axes_line, (name, places) in zip(grid, present, strict=True):
            for axes in axes_line:
                axes.set_axis_off()
            for axes, place in zip(axes_line, places, strict=False):
                axes.imshow(faces.images[place], cmap="gray", vmin=0, vmax=255)
                axes.set_title(str(faces.row[place]), fontsize=7, color=GREY, loc="center", pad=2)
            axes_line[0].text(
                -0.15, 0.5, name, transform=axes_line[0].transAxes, ha="right", va="center"
            )
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure
