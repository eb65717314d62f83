"""Figures of runs: accuracy bars, confusion matrices, ROC and reliability curves."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_features.metrics.curves import ENOUGH, reliability_of, roc_of
from fer_features.runtime.figures import (
    BLUE,
    GREY,
    LINES,
    ORANGE,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sizes_curve(sizes: Sequence[Mapping[str, Any]], *, title: str) -> Figure:
    """Accuracy by number of training rows, on these rows and on the validation rows.

    Args:
        sizes: one mapping for each part of the training rows with ``rows``, ``train_accuracy`` and
            ``validation_accuracy``.
        title: whose curve it is.
    """
    rows = [one["rows"] for one in sizes]
    with new_figure(6, 3.6) as figure:
        axes = figure.subplots()
        for name, colour, marker, line in (
            ("train", BLUE, "o", "-"),
            ("validation", ORANGE, "s", "--"),
        ):
            values = [one[f"{name}_accuracy"] for one in sizes]
            label = "training" if name == "train" else name
            axes.plot(rows, values, color=colour, marker=marker, ms=4, ls=line, label=label)
        axes.set(xlabel="training images", ylabel="accuracy", xscale="log")
        axes.set_xticks(rows, [f"{n:,}" for n in rows])
        axes.minorticks_off()
        axes.legend()
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def accuracy_bars(
    rows: Sequence[Mapping[str, Any]], *, title: str, published: float | None
) -> Figure:
    """Validation and test accuracy of each run as bars, best first.

    Args:
        rows: one mapping for each run with ``label``, ``validation`` and ``test`` accuracy, and
            ``interval``, the ends of the test accuracy's 95 % interval, if it is known.
        title: what is compared.
        published: the published validation accuracy, drawn as a line; None leaves it out.
    """
    place = np.arange(len(rows))
    with new_figure(8, 1.6 + 0.62 * len(rows)) as figure:
        axes = figure.subplots()
        for name, shift, colour, hatch in (
            ("validation", -0.2, BLUE, None),
            ("test", 0.2, ORANGE, "//"),
        ):
            values = [row[name] for row in rows]
            label = name
            if name == "test" and any(row.get("interval") for row in rows):
                label = "test, with 95 % interval"
            axes.barh(
                place + shift, values, 0.38, color=colour, hatch=hatch, ec="white", label=label
            )
            known = [row.get("interval") if name == "test" else None for row in rows]
            _whiskers(axes, place + shift, values, known)
            for at, value, ends in zip(place + shift, values, known, strict=True):
                right = max(value, *ends) if ends else value
                axes.annotate(
                    f"{value:.3f}",
                    (right, at),
                    (5, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=9,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
                )
        if published is not None:
            axes.axvline(
                published, color=GREY, ls="--", lw=1, label=f"published, not re-run ({published})"
            )
        axes.set(
            yticks=place,
            yticklabels=[row["label"] for row in rows],
            xlabel="accuracy",
            xlim=(0, 1.08),
        )
        axes.set_xticks(np.arange(0, 1.01, 0.2))
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside lower center", ncols=3)
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def _whiskers(
    axes: Any,
    place: NDArray[Any],
    values: Sequence[float],
    intervals: Sequence[Sequence[float] | None],
) -> None:
    """The intervals that are known, as lines with ends."""
    for at, value, ends in zip(place, values, intervals, strict=True):
        if ends:
            low, high = ends
            reach = [[max(value - low, 0)], [max(high - value, 0)]]
            axes.errorbar(value, at, xerr=reach, color="black", lw=1.2, capsize=3)


def confusion_matrices(rows: Sequence[Mapping[str, Any]], *, title: str) -> Figure:
    """The test confusion matrix of each run: counts, and shade by share of the true class.

    Args:
        rows: one mapping for each run with ``label``, ``classes`` and ``confusion`` (K, K).
        title: what is compared.
    """
    n_classes = len(rows[0]["classes"])
    columns = min(len(rows), 3)
    lines = -(-len(rows) // columns)
    side = 2.6 if n_classes <= 3 else 4.2
    with new_figure(side * columns + 0.6, (side + 0.4) * lines + 0.5) as figure:
        grid = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, row in zip(grid, rows, strict=False):
            _one_confusion(axes, row)
        for axes in grid[len(rows) :]:
            axes.remove()
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def _one_confusion(axes: Any, row: Mapping[str, Any]) -> None:
    counts = np.asarray(row["confusion"])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (true, said), count in np.ndenumerate(counts):
        colour = "white" if share[true, said] > 0.55 else "black"
        text = f"{count}\n{share[true, said]:.0%}" if len(counts) <= 3 else f"{count}"
        axes.text(said, true, text, ha="center", va="center", color=colour, fontsize=9)
    place = range(len(counts))
    slant = {"rotation": 45, "ha": "right"} if len(counts) > 3 else {}
    axes.set_xticks(place, row["classes"], **slant)
    axes.set_yticks(place, row["classes"])
    axes.set(title=row["label"], xlabel="predicted", ylabel="true")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def roc_curves(rows: Sequence[Mapping[str, Any]], *, title: str) -> Figure:
    """True by false positive rate at every threshold, one line for each run.

    Args:
        rows: one mapping for each run with ``label``, ``true`` (n,) class codes, ``probability``
            (n, K) and ``positive``, the code of the class meant, None for the mean of all. Those
            after the sixth, and those without a curve, are not drawn.
        title: what is compared.
    """
    with new_figure(5.6, 5.8) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":", label="guessing")
        for row, look in zip(rows, LINES, strict=False):
            curve = roc_of(row["true"], row["probability"], positive=row["positive"])
            if curve is not None:
                axes.plot(*curve, label=row["label"], **{**look, "marker": None})
        axes.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
        _finish(figure, title)
    return figure


def reliability_curves(rows: Sequence[Mapping[str, Any]], *, title: str) -> Figure:
    """Accuracy by tenths of confidence, one line for each run; on the diagonal both are equal.

    Args:
        rows: one mapping for each run with ``label``, ``true`` (n,) class codes and
            ``probability`` (n, K). Those after the sixth are not drawn.
        title: what is compared.
    """
    with new_figure(5.6, 5.8) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":", label="as sure as right")
        for row, look in zip(rows, LINES, strict=False):
            found = reliability_of(row["true"], row["probability"])
            axes.plot(found.confidence, found.accuracy, label=row["label"], ms=5, **look)
        least = min((1 / row["probability"].shape[1] for row in rows), default=0)
        axes.set_xlabel(f"confidence, by tenths with {ENOUGH} images or more")
        axes.set(ylabel="accuracy", xlim=(least, 1.02), ylim=(0, 1.02))
        _finish(figure, title)
    return figure


def _finish(figure: Figure, title: str) -> None:
    """The legend below, and the title above in lines that fit."""
    figure.legend(loc="outside lower center", ncols=2, fontsize=9, handlelength=3.5)
    figure.suptitle(textwrap.fill(title, 66), fontsize=11, x=0.01, ha="left")
