"""Figures of runs: accuracy bars, confusion matrices, ROC and reliability curves."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_features.errors import FerError
from fer_features.runs.predictions import ENOUGH, Part
from fer_features.runs.published import PUBLISHED, PUBLISHED_MARK
from fer_features.runs.schema import Size
from fer_features.runs.table import ComparisonTable
from fer_features.runtime.figures import (
    BLUE,
    GREY,
    LINES,
    ORANGE,
    new_figure,
    plot_pair,
    save_figure,
)
from fer_features.runtime.text import file_stem, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLE: dict[str, Any] = {"fontsize": 11, "x": 0.01, "ha": "left"}


def sizes_curve(sizes: Sequence[Size], *, title: str) -> Figure:
    """Accuracy by number of training rows, on these rows and on the validation rows."""
    rows = [one.rows for one in sizes]
    with new_figure(6, 3.6) as figure:
        axes = figure.subplots()
        train = [one.train_accuracy for one in sizes]
        plot_pair(axes, rows, train, [one.validation_accuracy for one in sizes])
        axes.set(xlabel="training images", ylabel="accuracy", xscale="log")
        axes.set_xticks(rows, [f"{n:,}" for n in rows])
        axes.minorticks_off()
        axes.legend()
        figure.suptitle(title, **_TITLE)
    return figure


def accuracy_bars(table: ComparisonTable, *, title: str) -> Figure:
    """Validation and test accuracy of each run, with the test accuracy's 95 % interval."""
    records = [run.record for run in table.runs]
    place = np.arange(len(records))
    test = np.array([one.test.accuracy for one in records])
    ends = np.array([one.intervals.get("accuracy") or (np.nan, np.nan) for one in records])
    known = bool(np.isfinite(ends).any())
    reach = np.maximum([test - ends[:, 0], ends[:, 1] - test], 0) if known else None
    bars = (
        (-0.2, [one.validation.accuracy for one in records], "validation", BLUE, None, None),
        (0.2, test, "test" + ", with 95 % interval" * known, ORANGE, "//", reach),
    )
    with new_figure(8, 1.6 + 0.62 * len(records)) as figure:
        axes = figure.subplots()
        for shift, values, label, colour, hatch, error in bars:
            look: Any = {"color": colour, "hatch": hatch, "ec": "white", "ecolor": "black"}
            drawn = axes.barh(
                place + shift, values, 0.38, label=label, xerr=error, capsize=3, **look
            )
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
            axes.bar_label(drawn, fmt="%.3f", padding=5, fontsize=9, bbox=box)
        if table.published:
            value = PUBLISHED["accuracy"]
            axes.axvline(value, color=GREY, ls="--", lw=1, label=f"{PUBLISHED_MARK} ({value})")
        axes.set(yticks=place, yticklabels=_labels(table), xlabel="accuracy", xlim=(0, 1.08))
        axes.set_xticks(np.arange(0, 1.01, 0.2))
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside lower center", ncols=3)
        figure.suptitle(title, **_TITLE)
    return figure


def confusion_matrices(table: ComparisonTable, *, title: str) -> Figure:
    """The test confusion matrix of each run: counts, and shade by share of the true class."""
    n, n_classes = len(table.runs), len(table.runs[0].record.task.classes)
    columns, lines = min(n, 3), -(-n // 3)
    side = 2.6 if n_classes <= 3 else 4.2
    with new_figure(side * columns + 0.6, (side + 0.4) * lines + 0.5) as figure:
        grid = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, run, label in zip(grid, table.runs, _labels(table), strict=False):
            test = run.record.test
            names = [shortened(name, 24) for name in test.classes]
            _draw_confusion(axes, np.array(test.confusion), names)
            axes.set(title=label, xlabel="predicted", ylabel="true")
        for axes in grid[n:]:
            axes.remove()
        figure.suptitle(title, **_TITLE)
    return figure


def _draw_confusion(axes: Any, counts: Any, names: Sequence[str]) -> None:
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(names) <= 3
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (true, predicted), count in np.ndenumerate(counts):
        of_class = share[true, predicted]
        colour = "white" if of_class > 0.55 else "black"
        text = f"{count}\n{of_class:.0%}" if few else f"{count}"
        axes.text(predicted, true, text, ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(names)), names, **({} if few else {"rotation": 45, "ha": "right"}))
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def roc_curves(parts: dict[str, Part], *, positive: int | None, title: str) -> Figure:
    """True by false positive rate at every threshold, one line for each run.

    Args:
        parts: predictions by the run's name. Those after the sixth, and those without a curve, are
            not drawn.
        positive: the code of the class meant; None for the mean of all.
        title: what is compared.
    """
    with _curve_axes("guessing", title) as (figure, axes):
        for (name, part), look in zip(parts.items(), LINES, strict=False):
            if (curve := part.roc(positive)) is not None:
                axes.plot(*curve, label=name, **{**look, "marker": None})
        axes.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    return figure


def reliability_curves(parts: dict[str, Part], *, title: str) -> Figure:
    """Accuracy by tenths of confidence, one line for each run; on the diagonal both are equal.

    Args:
        parts: predictions by the run's name. Those after the sixth are not drawn.
        title: what is compared.
    """
    with _curve_axes("calibrated", title) as (figure, axes):
        for (name, part), look in zip(parts.items(), LINES, strict=False):
            axes.plot(*part.reliability(), label=name, ms=5, **look)
        least = min((1 / part.probability.shape[1] for part in parts.values()), default=0)
        axes.set_xlabel(f"confidence, by tenths with {ENOUGH} images or more")
        axes.set(ylabel="accuracy", xlim=(least, 1.02), ylim=(0, 1.02))
    return figure


@contextmanager
def _curve_axes(diagonal: str, title: str) -> Iterator[tuple[Figure, Any]]:
    """A figure and its axes with a named diagonal; legend and title are added at the end."""
    with new_figure(5.6, 5.8) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":", label=diagonal)
        yield figure, axes
        figure.legend(loc="outside lower center", ncols=2, fontsize=9, handlelength=3.5)
        figure.suptitle(textwrap.fill(title, 66), **_TITLE)


def _labels(table: ComparisonTable) -> list[str]:
    """The runs' names in lines that fit beside an axis."""
    return [
        "\n".join(textwrap.fill(shortened(line, 60), 40) for line in name.split(" on ", 1))
        for name in table.names
    ]


def write_figures(tables: Sequence[ComparisonTable], folder: Path) -> list[Path]:
    """Accuracy bars, confusion matrices, ROC and reliability curves of each table, as PNG files.

    The curves need the runs' predictions, and are left out where those of a run cannot be read.

    Raises:
        FerError: a file cannot be written.
    """
    paths: list[Path] = []
    stems: list[str] = []
    for table in tables:
        record = table.runs[0].record
        seed = "" if record.split.seed is None else f"-s{record.split.seed}"
        of = f"{record.task.name}-{record.data.digest[:8]}-{record.split.name}{seed}"
        stems.append(file_stem(of))
        again = stems.count(stems[-1])  # the same split with another seed of the heads
        stem = stems[-1] + f"-{again}" * (again > 1)
        for name, figure in _figures_of(table).items():
            paths.append(save_figure(figure, folder / f"{stem}-{name}.png"))
    return paths


def _figures_of(table: ComparisonTable) -> dict[str, Figure]:
    warnings = [f"{mark}: {', '.join(names)}" for mark, names in table.marks.items()]
    title = "\n".join([table.title, *warnings])
    figures = {
        "accuracy": accuracy_bars(table, title="\n".join([title, *table.sources])),
        "confusion": confusion_matrices(table, title=f"{title}\ncounts on the test part"),
    }
    try:
        parts = {
            name: run.predictions().test for name, run in zip(table.names, table.runs, strict=True)
        }
    except FerError:
        return figures
    scores = table.runs[0].record.test
    positive = None if scores.positive is None else scores.classes.index(scores.positive)
    return figures | {
        "roc": roc_curves(parts, positive=positive, title=title),
        "reliability": reliability_curves(parts, title=title),
    }
