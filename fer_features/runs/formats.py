"""Comparisons as text that others read: JSON, CSV, Markdown, and pictures."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_features.errors import FerError
from fer_features.runs.compare import COLUMNS, PUBLISHED, Comparison
from fer_features.runs.labels import (
    UNKNOWN,
    base_features,
    is_random,
    marks,
    provenance_unknown,
    scored_seen,
)
from fer_features.runs.repeats import LeakEffect, OverSeeds
from fer_features.runs.verdicts import Verdict
from fer_features.runtime.text import file_stem, shortened

MARKDOWN = {
    "head": "head",
    "features": "features",
    "learnt from": "learnt from",
    "validation accuracy": "validation",
    "test accuracy": "test [95 %]",
    "test balanced_accuracy": "balanced",
    "test f1": "F1",
    "test roc_auc": "ROC AUC",
    "test average_precision": "AP",
    "test log_loss": "log loss",
    "test brier": "Brier",
    "test ece": "ECE",
    "fit seconds": "fit s",
}
"""The columns of a Markdown table, and their headings."""

_TEXT = ("head", "features", "learnt from", "run")


def to_json(
    tables: Sequence[Comparison],
    verdicts: Sequence[Verdict | None],
    seeds: Sequence[OverSeeds] = (),
    leaks: Sequence[LeakEffect] = (),
) -> dict[str, Any]:
    """All that there is to say, as plain JSON types."""
    return {
        "tables": [
            {
                "title": table.title,
                "rows": table.rows(),
                "learnt_from": table.learnt_from,
                "notes": list(table.notes),
                "verdict": None if verdict is None else verdict.to_dict(),
            }
            for table, verdict in zip(tables, verdicts, strict=True)
        ],
        "seeds": [one.to_dict() for one in seeds],
        "leaks": [one.to_dict() for one in leaks],
    }


def to_csv(tables: Sequence[Comparison]) -> str:
    """One CSV text; the first column names a row's table, the last its warnings in capitals."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["table", *COLUMNS, "marks"])
    for table in tables:
        rows = table.rows()
        warnings = ["; ".join(marks(run.record)) for run in table.runs]
        warnings += [""] * (len(rows) - len(warnings))  # of the published row
        for row, warning in zip(rows, warnings, strict=True):
            writer.writerow([table.title, *row.values(), warning])
    return out.getvalue()


def to_markdown(
    tables: Sequence[Comparison], verdicts: Sequence[Verdict | None] | None = None
) -> str:
    """A Markdown section for each table, with its verdict if there is one."""
    parts = []
    for table, verdict in zip(tables, verdicts or [None] * len(tables), strict=True):
        lines = [f"### {table.title}", "", f"| {' | '.join(MARKDOWN.values())} |"]
        lines.append(f"|{'|'.join(' --- ' if one in _TEXT else ' ---: ' for one in MARKDOWN)}|")
        rows = table.rows()
        if table.same_head_twice:  # only its run tells one from the other; the published has none
            rows = [{**row, "head": row["run"] or row["head"]} for row in rows]
        lines += [f"| {' | '.join(cells(row, MARKDOWN))} |" for row in rows]
        lines += [f"\n{verdict.text()}"] if verdict is not None else []
        lines += [f"\n{log}" for log in table.notes]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def cells(row: dict[str, Any], columns: Sequence[str] | dict[str, str]) -> list[str]:
    """A row's values as a person reads them: four digits for scores, seconds by their size."""
    return [_cell(name, row) for name in columns]


def _cell(name: str, row: dict[str, Any]) -> str:
    value = row[name]
    if value is None:
        return "–"
    if name.endswith("seconds"):
        return f"{value:.1f}" if value >= 0.95 else f"{value:.2g}"
    if name == "test accuracy" and row["test accuracy low"] is not None:
        return with_interval(value, [row[f"test accuracy {end}"] for end in ("low", "high")])
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def with_interval(value: float, interval: Sequence[float]) -> str:
    """A share and the ends of its interval, of which those below 1 go without their 0."""
    low, high = (f"{end:.3f}".removeprefix("0") for end in interval)
    return f"{value:.4f} [{low}, {high}]"


def figures_folder(runs_dir: Path) -> Path:
    """Where pictures of runs go by default.

    Raises:
        FerError: a link stands there, which would lead out of the runs' folder.
    """
    folder = runs_dir / "compare"
    if folder.is_symlink():
        raise FerError(
            f"{folder} is a link to {folder.readlink()}",
            hint="name the folder for the pictures with --figures",
        )
    return folder


def write_figures(tables: Sequence[Comparison], folder: Path) -> list[Path]:
    """Bars of accuracy and confusion matrices for each table, ROC and reliability, as PNG files.

    The curves need the runs' predictions, and are left out where one's cannot be read.
    """
    from fer_features.runs.figures import accuracy_bars, confusion_matrices
    from fer_features.runtime.figures import save_figure

    paths: list[Path] = []
    stems: list[str] = []
    for table in tables:
        record = table.runs[0].record
        split = record["split"]
        seed = "" if split["seed"] is None else f"-s{split['seed']}"
        stem = file_stem(
            f"{record['task']['name']}-{record['data']['digest'][:8]}-{split['name']}{seed}"
        )
        stems.append(stem)
        if stems.count(stem) > 1:  # the same split with another seed of the heads
            stem += f"-{stems.count(stem)}"
        rows = [
            _picture_row(run.record, label)
            for run, label in zip(table.runs, table.names, strict=True)
        ]
        random = sorted({base_features(one.record) for one in table.runs if is_random(one.record)})
        title = table.title + (f"\nRANDOM WEIGHTS: {', '.join(random)}" if random else "")
        title += "\nSEEN IMAGES" * any(scored_seen(one.record) for one in table.runs)
        title += f"\n{UNKNOWN}" * any(provenance_unknown(one.record) for one in table.runs)
        published = PUBLISHED["accuracy"] if table.published else None
        learnt = [f"{name}: learnt from {text}" for name, text in table.learnt_from.items()]
        bars = accuracy_bars(rows, title="\n".join([title, *learnt]), published=published)
        matrices = confusion_matrices(rows, title=f"{title}\ncounts on the test part")
        paths.append(save_figure(bars, folder / f"{stem}-accuracy.png"))
        paths.append(save_figure(matrices, folder / f"{stem}-confusion.png"))
        for name, figure in _curves(table, title).items():
            paths.append(save_figure(figure, folder / f"{stem}-{name}.png"))
    return paths


def _curves(table: Comparison, title: str) -> dict[str, Any]:
    """Figures of what the runs say of the test rows, by name; none where it cannot be read."""
    from fer_features.runs.figures import reliability_curves, roc_curves

    rows = []
    for run, label in zip(table.runs, table.names, strict=True):
        try:
            test = run.predictions().test
        except FerError:
            return {}
        scores = run.record["test"]
        positive = scores["positive"] and scores["classes"].index(scores["positive"])
        rows.append(
            {
                "label": label,
                "true": test.label,
                "probability": test.probability,
                "positive": positive,
            }
        )
    return {
        "roc": roc_curves(rows, title=title),
        "reliability": reliability_curves(rows, title=title),
    }


def _picture_row(record: dict[str, Any], label: str) -> dict[str, Any]:
    return {
        "label": "\n".join(
            textwrap.fill(shortened(line, 60), 40) for line in label.split(" on ", 1)
        ),
        "classes": [shortened(name, 24) for name in record["test"]["classes"]],
        "confusion": record["test"]["confusion"],
        "validation": record["validation"]["accuracy"],
        "test": record["test"]["accuracy"],
        "interval": record["intervals"].get("accuracy"),
    }
