"""Figures of faces: a labelled grid, and the largest groups of copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_features.config import EMOTIONS, USAGES
from fer_features.data.faces import IMAGE_SIZE, Faces
from fer_features.runtime.figures import GREY, ORANGE, new_figure
from fer_features.runtime.text import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUPS = 12
"""Groups of twins on a sheet, at most."""

IMAGES = 12
"""Images of a group, at most; the rest is counted."""

_FACE = 0.95  # inches
_TITLE_WIDE = 5  # faces that a title is as wide as
_SHORT_USAGES = {"Training": "train", "PublicTest": "public", "PrivateTest": "private"}


def twin_sheet(
    faces: Faces, group: NDArray[np.int64], exact: NDArray[np.int64], *, name: str
) -> Figure:
    """Groups of twins, a line for each, worst first; identical images stand side by side.

    Under each face are its label, its row and its official part. Labels other than the group's
    most frequent are set in bold and framed.

    Args:
        faces: all images (N).
        group: number of each image's group of twins (N,), 1 for the worst, 0 for none; at least
            one is 1.
        exact: numbers (N,), the same for identical images.
        name: of their source.
    """
    shown = range(1, min(GROUPS, int(group.max())) + 1)
    members = [np.flatnonzero(group == number) for number in shown]
    wide = max(_TITLE_WIDE, min(IMAGES, max(map(len, members))))
    with new_figure(_FACE * wide + 1.5, 1.5 * _FACE * len(members) + 0.7) as figure:
        grid = figure.subplots(len(members), wide, squeeze=False)
        for number, line, axes_line in zip(shown, members, grid, strict=True):
            for axes in axes_line:
                axes.set_axis_off()
            _one_group(axes_line[:IMAGES], faces, line, exact, number=number)
        title = f"{name}: the worst {len(members)} of {counted(group.max(), 'group')} of twins"
        if any(len(np.unique(faces.emotion[line])) > 1 for line in members):
            title += "\nframed: labels other than the group's most frequent"
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def _one_group(
    axes_line: NDArray[Any],
    faces: Faces,
    members: NDArray[np.int64],
    exact: NDArray[np.int64],
    *,
    number: int,
) -> None:
    """One line: images of the group's rarer labels come first, so that none is cut off."""
    label = faces.emotion[members]
    count = np.bincount(label, minlength=len(EMOTIONS))
    usual = int(count.argmax())
    _, first, copy = np.unique(exact[members], return_index=True, return_inverse=True)
    order = np.lexsort((faces.row[members], first[copy], count[label]))
    text = f"group {number}\n{len(members)} images,\n{len(first)} different"
    hidden = len(members) - len(axes_line)
    if hidden > 0:
        text += f"\n({hidden} not shown)"
    axes_line[0].text(
        -0.12, 0.5, text, transform=axes_line[0].transAxes, ha="right", va="center", fontsize=8
    )
    for axes, place in zip(axes_line, members[order], strict=False):
        _one_face(axes, faces, place, odd=int(faces.emotion[place]) != usual)


def _one_face(axes: Any, faces: Faces, place: int, *, odd: bool) -> None:
    axes.imshow(faces.images[place], cmap="gray", vmin=0, vmax=255)
    usage = int(faces.usage[place])
    part = f" {_SHORT_USAGES[USAGES[usage]]}" if usage >= 0 else ""
    below = {"transform": axes.transAxes, "ha": "center", "va": "top"}
    weight, label = "bold" if odd else "normal", EMOTIONS[faces.emotion[place]]
    axes.text(0.5, -0.04, label, fontsize=8, fontweight=weight, **below)
    axes.text(0.5, -0.22, f"{faces.row[place]}{part}", fontsize=6.5, color=GREY, **below)
    if odd:
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set(visible=True, color=ORANGE, linewidth=2)


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
        small: Any = {"fontsize": 7, "color": GREY}
        for at, (name, line) in enumerate(lines):
            top = at * height + _ROOM
            strip = np.full((IMAGE_SIZE, columns, width), 255, np.uint8)
            strip[:, : len(line), :IMAGE_SIZE] = faces.images[line].swapaxes(0, 1)
            extent = (0, columns * width, top + IMAGE_SIZE, top)
            pixels = strip.reshape(IMAGE_SIZE, -1)
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent)
            axes.text(-_GAP, top + IMAGE_SIZE / 2, name, ha="right", va="center")
            for column, row in enumerate(faces.row[line].tolist()):
                at_x = column * width + IMAGE_SIZE / 2
                axes.text(at_x, top - 1, str(row), ha="center", va="bottom", **small)
        axes.set(xlim=(0, columns * width), ylim=(len(lines) * height, 0))
        figure.suptitle(title, fontsize=11, x=0.01, y=1 - 0.1 / high, ha="left")
    return figure
