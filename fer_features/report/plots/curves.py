"""Pictures of probabilities: ROC curves and reliability curves."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fer_features.metrics.curves import ENOUGH, reliability_of, roc_of
from fer_features.report.plots.style import GREY, LINES, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
