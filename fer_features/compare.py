"""Many runs, one table: a pure function of their ``run.json`` files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_features.errors import FerError
from fer_features.runs import Run
from fer_features.tasks import BINARY, Task

PUBLISHED_MARK = "published, not re-run"

PUBLISHED: dict[str, Any] = {
    "n": 3400,
    "accuracy": 0.7944,
    "precision": 0.8065,
    "recall": 0.7747,
    "f1": 0.7903,
    "confusion": [[1384, 316], [383, 1317]],
}
"""Validation scores of the published project on the binary task; computed from its confusion
matrix (TN 1384, FP 316, FN 383, TP 1317; positive is happy)."""

COLUMNS = (
    "head",
    "features",
    "validation accuracy",
    "validation precision",
    "validation recall",
    "validation f1",
    "test accuracy",
    "test precision",
    "test recall",
    "test f1",
    "test roc_auc",
    "test log_loss",
    "fit seconds",
    "predict seconds",
    "run",
)


@dataclass(frozen=True)
class Comparison:
    """Runs that may be ranked against each other: same images, labels, split and seed.

    Attributes:
        title: what they have in common.
        runs: the runs, the best validation accuracy first.
        published: whether the published result is about the same task.
        notes: what a reader must know to read the table rightly.
    """

    title: str
    runs: tuple[Run, ...]
    published: bool
    notes: tuple[str, ...]

    @property
    def same_head_twice(self) -> bool:
        """Whether a head stands here more than once on the same features."""
        names = [(run.record["head"]["name"], _features(run.record)) for run in self.runs]
        return len(set(names)) < len(names)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each run by `COLUMNS`, and the published one at the end where it belongs."""
        rows = [_row(run.record) for run in self.runs]
        if self.published:
            validation = {f"validation {k}": v for k, v in PUBLISHED.items() if k in _SCORES}
            label = {"head": PUBLISHED_MARK, "features": "inception_resnet_v2 imagenet"}
            rows.append({**dict.fromkeys(COLUMNS), **label, **validation})
        return rows


_SCORES = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss")


def compare(runs: Iterable[Run]) -> list[Comparison]:
    """Sort runs into tables within which they may be ranked, the newest run's table first.

    Runs of different images, labels, splits or seeds never share a table: a difference between
    them would not be the heads' doing.

    Raises:
        FerError: there is no run, or a record lacks what a run must have.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_comparable(run), []).append(run)
    if not groups:
        raise FerError("no runs to compare", hint="fer fit --head all makes some")
    tables = [_table(group) for group in groups.values()]
    return sorted(tables, key=lambda table: max(_created(run) for run in table.runs), reverse=True)


def of_same_data(runs: Sequence[Run]) -> list[Run]:
    """Those of the runs that are about the same images and task as the newest."""
    newest = max(runs, key=_created, default=None)
    return [] if newest is None else [run for run in runs if _data(run) == _data(newest)]


def _created(run: Run) -> str:
    return str(run.record["created"])


def _data(run: Run) -> tuple[str, str]:
    return run.record["data"]["digest"], json.dumps(run.record["task"], sort_keys=True)


def _comparable(run: Run) -> str:
    try:
        return json.dumps([*_data(run), run.record["split"]], sort_keys=True)
    except KeyError as error:
        raise FerError(f"{run.path}: the record of the run lacks {error}") from error


def _table(group: list[Run]) -> Comparison:
    runs = tuple(sorted(group, key=lambda run: -run.record["validation"]["accuracy"]))
    first = runs[0].record
    split = first["split"]
    seed = "" if split["seed"] is None else f", seed {split['seed']}"
    sizes = " / ".join(f"{split[part]:,}" for part in ("train", "validation", "test"))
    title = (
        f"{first['task']['name']}: {first['data']['rows']:,} images of {first['data']['name']}, "
        f"split {split['name']}{seed} ({sizes})"
    )
    classes = Task.from_dict(first["task"]).classes
    return Comparison(title, runs, classes == BINARY.classes, tuple(_notes(runs)))


def _notes(runs: Sequence[Run]) -> Iterable[str]:
    random = {_features(run.record) for run in runs if _weights(run.record).startswith("random")}
    for features in sorted(random):
        yield (
            f"{features}: RANDOM WEIGHTS. The network has learned nothing; these numbers say "
            "nothing about ImageNet weights."
        )
    leaked = runs[0].record["split"]["leaked"]
    if leaked:
        yield (
            f"{leaked} of {runs[0].record['split']['test']} test images have an exact twin in "
            "training or validation, which flatters every row (--split grouped avoids it)."
        )


def _weights(record: dict[str, Any]) -> str:
    return str(record["cache"]["spec"]["weights"])


def _features(record: dict[str, Any]) -> str:
    return f"{record['cache']['spec']['backbone']} {_weights(record)}"


def _row(record: dict[str, Any]) -> dict[str, Any]:
    values = {
        "head": record["head"]["name"],
        "features": _features(record),
        "fit seconds": record["seconds"]["fit"],
        "predict seconds": record["seconds"]["predict"],
        "run": record["id"],
    }
    for part in ("validation", "test"):
        values |= {f"{part} {score}": record[part][score] for score in _SCORES}
    return {name: values[name] for name in COLUMNS}


def to_json(tables: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The tables as plain JSON types."""
    return [
        {"title": table.title, "rows": table.rows(), "notes": list(table.notes)} for table in tables
    ]


def to_csv(tables: Sequence[Comparison]) -> str:
    """One CSV text; its first column names the table that a row belongs to."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["table", *COLUMNS])
    for table in tables:
        writer.writerows([table.title, *row.values()] for row in table.rows())
    return out.getvalue()


def to_markdown(tables: Sequence[Comparison]) -> str:
    """A Markdown section for each table."""
    parts = []
    for table in tables:
        lines = [f"### {table.title}", "", f"| {' | '.join(COLUMNS)} |"]
        lines.append(f"|{'|'.join(' --- ' if one in _TEXT else ' ---: ' for one in COLUMNS)}|")
        lines += [f"| {' | '.join(cells(row))} |" for row in table.rows()]
        lines += [f"\n{note}" for note in table.notes]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


_TEXT = ("head", "features", "run")


def cells(row: dict[str, Any]) -> list[str]:
    """A row's values as a person reads them: four digits for scores, seconds by their size."""
    return [_cell(name, value) for name, value in row.items()]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name.endswith("seconds"):
        return f"{value:.1f}" if value >= 0.95 else f"{value:.2g}"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def write_figures(tables: Sequence[Comparison], folder: Path) -> list[Path]:
    """A bar chart of accuracies and the confusion matrices for each table, as PNG files."""
    from fer_features.plots import accuracy_bars, confusion_matrices, save_figure

    paths = []
    for table in tables:
        record = table.runs[0].record
        split = record["split"]
        seed = "" if split["seed"] is None else f"-s{split['seed']}"
        stem = f"{record['task']['name']}-{record['data']['digest'][:8]}-{split['name']}{seed}"
        several = len({_features(run.record) for run in table.runs}) > 1
        rows = [
            _picture_row(run.record, several=several, twice=table.same_head_twice)
            for run in table.runs
        ]
        title = table.title + ("\nRANDOM WEIGHTS" if _any_random(table) else "")
        published = PUBLISHED["accuracy"] if table.published else None
        bars = accuracy_bars(rows, title=title, published=published)
        matrices = confusion_matrices(rows, title=f"{title}\ncounts on the test part")
        paths.append(save_figure(bars, folder / f"{stem}-accuracy.png"))
        paths.append(save_figure(matrices, folder / f"{stem}-confusion.png"))
    return paths


def _any_random(table: Comparison) -> bool:
    return any(_weights(run.record).startswith("random") for run in table.runs)


def _picture_row(record: dict[str, Any], *, several: bool, twice: bool) -> dict[str, Any]:
    label = record["id"] if twice else record["head"]["name"]
    label += f"\n{_features(record)}" if several else ""
    return {
        "label": label,
        "classes": record["test"]["classes"],
        "confusion": record["test"]["confusion"],
        "validation": record["validation"]["accuracy"],
        "test": record["test"]["accuracy"],
    }
