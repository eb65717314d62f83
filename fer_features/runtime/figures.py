"""The style of all figures: colour-blind safe, legible in grey print.

Figures are made without pyplot: no global state, no window, no display needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_features.errors import FerError
from fer_features.runtime.console import silence_matplotlib
from fer_features.runtime.files import atomic_path, check_replaced

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), dark and light enough in grey.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#777777"
VERMILION, PURPLE, BLACK = "#D55E00", "#CC79A7", "#000000"

LINES: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "ls": "-", "marker": "o"},
    {"color": VERMILION, "ls": (0, (6, 2)), "marker": "s"},
    {"color": GREEN, "ls": (0, (1.5, 1.5)), "marker": "^"},
    {"color": PURPLE, "ls": (0, (6, 2, 1.5, 2)), "marker": "D"},
    {"color": BLACK, "ls": "-", "marker": "|", "lw": 1},
    {"color": ORANGE, "ls": (0, (10, 3)), "marker": "_"},
)
"""Styles of lines, which differ in dashes and markers as well as in colour."""

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.dpi": 120,
    "savefig.dpi": 120,
}


_NO_MATH: dict[Any, Any] = {"text.parse_math": False}
"""A dollar sign in a name is no formula."""


@contextmanager
def new_figure(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of that many inches, in the house style."""
    silence_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE | _NO_MATH):
        yield Figure(figsize=(width, height), layout="constrained")


_BEGINS = {
    "png": b"\x89PNG",
    "jpg": b"\xff\xd8",
    "jpeg": b"\xff\xd8",
    "pdf": b"%PDF",
    "svg": b"<?xml",
}
"""What pictures begin with, by the ending of their names; of other endings anything is replaced."""


def check_picture(path: Path) -> None:
    """Raise a `FerError` if there is something in a picture's place that is no such picture."""
    kind = path.suffix.removeprefix(".").lower()
    check_replaced(path, _BEGINS.get(kind, b""), what=f"{kind} picture")


def save_figure(figure: Figure, path: Path) -> Path:
    """Save a figure under a temporary name and rename it.

    Raises:
        FerError: the file's suffix is not a picture's, it cannot be written, or what is there is
            no picture.
    """
    import matplotlib as mpl

    known = figure.canvas.get_supported_filetypes()
    kind = path.suffix.removeprefix(".").lower()
    if kind not in known:
        raise FerError(f"{path}: not a picture's name", hint="give a name that ends in .png")
    check_picture(path)
    with atomic_path(path) as temporary, mpl.rc_context(_NO_MATH):
        figure.savefig(temporary, format=kind)
    return path


def plot_pair(axes: Any, x: Any, training: Any, validation: Any, *, size: float = 4) -> None:
    """Plot training and validation values over the same x."""
    axes.plot(x, training, color=BLUE, marker="o", ms=size, label="training")
    axes.plot(x, validation, color=ORANGE, ls="--", marker="s", ms=size, label="validation")


def learning_curves(
    history: Mapping[str, Sequence[float]], *, title: str, mark_best: bool = True
) -> Figure:
    """Loss and accuracy by epoch, training and validation.

    Args:
        history: ``loss``, ``accuracy``, ``val_loss`` and ``val_accuracy``, a value per epoch each.
        title: what was trained.
        mark_best: mark the epoch of the lowest validation loss, as the one that was kept.
    """
    epochs = np.arange(1, len(history["loss"]) + 1)
    best = int(np.argmin(history["val_loss"])) + 1
    with new_figure(9, 3.6) as figure:
        for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            plot_pair(axes, epochs, history[name], history[f"val_{name}"], size=3)
            if mark_best:
                axes.axvline(best, color=GREY, lw=1, ls=":", label=f"best epoch ({best})")
            axes.set(title=name.capitalize(), xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        figure.axes[0].legend()
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure
