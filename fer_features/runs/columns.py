"""The columns of a table of runs, for text, Markdown, CSV, JSON and HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fer_features.metrics import NUMBERS
from fer_features.metrics.intervals import WITH_INTERVAL


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: its name in CSV and JSON.
        heading: its heading for people; empty where only CSV and JSON have it.
        wide: only in the wide table.
        text: set to the left; the others hold numbers.
    """

    key: str
    heading: str = ""
    wide: bool = False
    text: bool = False

    def cell(self, row: dict[str, Any]) -> str:
        """A row's value for people: four digits for scores, seconds by their size."""
        value = row[self.key]
        if value is None:
            return "–"
        if self.key.endswith("seconds"):
            return f"{value:.1f}" if value >= 0.95 else f"{value:.2g}"
        if self.key == "test accuracy" and row["test accuracy low"] is not None:
            return with_interval(value, (row["test accuracy low"], row["test accuracy high"]))
        return f"{value:.4f}" if isinstance(value, float) else str(value)


_TEST = {
    "accuracy": "test acc [95 %]",
    "balanced_accuracy": "balanced",
    "precision": "prec",
    "recall": "rec",
    "f1": "F1",
    "roc_auc": "AUC",
    "average_precision": "AP",
    "log_loss": "log loss",
    "brier": "Brier",
    "ece": "ECE",
}
_WIDE = ("precision", "recall", "average_precision", "brier")

COLUMNS = (
    Column("head", "head", text=True),
    Column("features", "features", text=True),
    Column("learnt from", "learnt from", wide=True, text=True),
    *(Column(f"validation {name}", "val acc" * (name == "accuracy")) for name in NUMBERS),
    Column("test n", "test n", wide=True),
    *(Column(f"test {name}", _TEST[name], wide=name in _WIDE) for name in NUMBERS),
    *(Column(f"test {name} {end}") for name in WITH_INTERVAL for end in ("low", "high")),
    Column("fit seconds", "fit s"),
    Column("predict seconds", "pred s", wide=True),
    Column("run", "run", wide=True, text=True),
)


def shown_columns(*, wide: bool = False) -> list[Column]:
    """The columns that are drawn, in their order."""
    return [one for one in COLUMNS if one.heading and (wide or not one.wide)]


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """A share and the ends of its interval, of which those below 1 go without their 0."""
    low, high = (f"{end:.3f}".removeprefix("0") for end in interval)
    return f"{value:.4f} [{low}, {high}]"
