"""Pictures, all in one house style: quiet, colour-blind safe, legible in grey print.

Figures are made without pyplot: no global state, no window, no display needed.
"""

from fer_features.report.plots.audit import twin_sheet
from fer_features.report.plots.curves import reliability_curves, roc_curves
from fer_features.report.plots.faces import faces_grid
from fer_features.report.plots.runs import (
    accuracy_bars,
    confusion_matrices,
    learning_curves,
    sizes_curve,
)
from fer_features.report.plots.style import save_figure

__all__ = [
    "accuracy_bars",
    "confusion_matrices",
    "faces_grid",
    "learning_curves",
    "reliability_curves",
    "roc_curves",
    "save_figure",
    "sizes_curve",
    "twin_sheet",
]
