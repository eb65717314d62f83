"""Many runs, one table: a pure function of their ``run.json`` files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fer_features.backbones.weights import IMAGENET
from fer_features.config import SEEN_COPIES, TWINS
from fer_features.data.tasks import BINARY, Task
from fer_features.errors import FerError
from fer_features.metrics import NUMBERS
from fer_features.metrics.intervals import WITH_INTERVAL
from fer_features.runs.labels import (
    UNKNOWN,
    base_features,
    created,
    data_key,
    family_key,
    feature_labels,
    features_of,
    group_runs,
    is_random,
    learnt_from,
    provenance_unknown,
    scored_seen,
    subject,
)
from fer_features.runs.run import Run

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

PUBLISHED_ROWS = 17000
"""Images of the published task, half of them happy."""

SCORES = NUMBERS
"""The scores that a table may show."""

COLUMNS = (
    "head",
    "features",
    "learnt from",
    *(f"validation {score}" for score in SCORES),
    "test n",
    *(f"test {score}" for score in SCORES),
    *(f"test {score} {end}" for score in WITH_INTERVAL for end in ("low", "high")),
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
    def names(self) -> list[str]:
        """What tells each run from the others, in a few words."""
        rows = self.rows()[: len(self.runs)]
        pairs = [(row["head"], row["features"]) for row in rows]
        several = len({features for _, features in pairs}) > 1
        return [
            row["run"]
            if pairs.count(pair) > 1
            else " on ".join(pair)
            if several
            else str(row["head"])
            for row, pair in zip(rows, pairs, strict=True)
        ]

    @property
    def learnt_from(self) -> dict[str, str]:
        """What each backbone here has learnt from, and from how many labels."""
        found = {base_features(run.record): learnt_from(run.record) for run in self.runs}
        return {name: found[name] for name in sorted(found)}

    @property
    def same_head_twice(self) -> bool:
        """Whether a head stands here more than once on the same features."""
        rows = self.rows()[: len(self.runs)]
        return len({(row["head"], row["features"]) for row in rows}) < len(rows)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each run by `COLUMNS`, and the published one at the end where it belongs."""
        labels = feature_labels([run.record for run in self.runs])
        rows = [_row(run.record, label) for run, label in zip(self.runs, labels, strict=True)]
        if self.published:
            validation = {f"validation {k}": v for k, v in PUBLISHED.items() if k in SCORES}
            label = {
                "head": PUBLISHED_MARK,
                "features": "inception_resnet_v2 imagenet",
                "learnt from": IMAGENET,
            }
            rows.append({**dict.fromkeys(COLUMNS), **label, **validation})
        return rows


_PARTS = ("validation", "test")


def compare(runs: Iterable[Run]) -> list[Comparison]:
    """Sort runs into tables within which they may be ranked, the newest run's table first.

    Runs of different images, labels, splits or seeds never share a table: a difference between
    them would not be the heads' doing.

    Raises:
        FerError: there is no run, or a record lacks what a run must have.
    """
    groups = group_runs(runs, lambda record: [*data_key(record), record["split"], record["seed"]])
    if not groups:
        raise FerError("no runs to compare", hint="fer fit --head all makes some")
    tables = [_table(group) for group in groups]
    return sorted(tables, key=lambda table: max(created(run) for run in table.runs), reverse=True)


def of_same_data(runs: Sequence[Run]) -> list[Run]:
    """Those of the runs that are about the same images and task as the newest."""
    newest = max(runs, key=created, default=None)
    if newest is None:
        return []
    return [run for run in runs if data_key(run.record) == data_key(newest.record)]


def unseen_only(runs: Sequence[Run], *, log: Callable[[str], None]) -> list[Run]:
    """Those of the runs that have not scored images that their weights have learnt from.

    Raises:
        FerError: there were runs, and none is left.
    """
    kept = [run for run in runs if not scored_seen(run.record)]
    if runs and not kept:
        raise FerError(
            "every run has scored images that its weights have learnt from",
            hint="--allow-seen shows them all the same",
        )
    if len(kept) < len(runs):
        log(
            f"left out, for scoring images that their weights have learnt from: "
            f"{len(runs) - len(kept)} of {len(runs)} runs; --allow-seen shows them"
        )
    return kept


def newest_seeds(tables: Sequence[Comparison]) -> list[Comparison]:
    """Of tables that differ by their seed alone, the newest; `tables` come newest first."""
    kept: dict[str, Comparison] = {}
    for table in tables:
        kept.setdefault(json.dumps(family_key(table.runs[0].record), sort_keys=True), table)
    return list(kept.values())


def _table(group: list[Run]) -> Comparison:
    runs = tuple(sorted(group, key=_place))
    first = runs[0].record
    split = first["split"]
    seed = "" if split["seed"] is None else f", seed {split['seed']}"
    sizes = " / ".join(f"{split[part]:,}" for part in ("train", "validation", "test"))
    title = f"{subject(first)}, split {split['name']}{seed} ({sizes})"
    return Comparison(title, runs, _is_published_task(first), tuple(_notes(runs)))


def _is_published_task(record: dict[str, Any]) -> bool:
    """Whether a run is about the published task: 8,500 images of each class of FER2013."""
    data = record["data"]
    still_rows = (TWINS, SEEN_COPIES)  # rows that the split leaves out of its parts
    dropped = sum(n for name, n in data["dropped"].items() if name not in still_rows)
    return (
        data.get("fer2013") is True
        and Task.from_dict(record["task"]).classes == BINARY.classes
        and data["labels"] == "original"
        and data["rows"] + dropped == PUBLISHED_ROWS
    )


def _place(run: Run) -> tuple[float, str, str, str]:
    """What runs are put in order by: validation accuracy, and of equals their names."""
    record = run.record
    names = (record["head"]["name"], features_of(record, precision=True), record["id"])
    return (-record["validation"]["accuracy"], *names)


def _notes(runs: Sequence[Run]) -> Iterable[str]:
    random = {base_features(run.record) for run in runs if is_random(run.record)}
    for features in sorted(random):
        yield (
            f"{features}: RANDOM WEIGHTS. The network has learned nothing; these numbers say "
            "nothing about ImageNet weights."
        )
    for features in sorted({base_features(one.record) for one in runs if scored_seen(one.record)}):
        most = max(scored_seen(one.record) for one in runs if base_features(one.record) == features)
        yield (
            f"{features}: SEEN IMAGES. The weights have learnt from {most:,} of the images that "
            "are scored here; these numbers say nothing about new images."
        )
    unknown = {base_features(run.record) for run in runs if provenance_unknown(run.record)}
    for features in sorted(unknown):
        yield (
            f"{features}: {UNKNOWN}. Which images the weights have learnt from is not known, or "
            "copies of them cannot be recognised; they may have learnt from those scored here."
        )
    leaked = runs[0].record["split"]["leaked"]
    if any(leaked.values()):
        yield (
            f"test images with a copy in training or validation: {leaked['exact']:,} exact, "
            f"{leaked['near']:,} near and {leaked.get('registered', 0):,} shifted or scaled, of "
            f"{runs[0].record['split']['test']:,}. That flatters every row; --split grouped avoids "
            "it."
        )
    for run in runs:
        if run.record["calibration"]:
            yield (
                f"{run.record['id']} is calibrated on the validation rows, which flatters its "
                "validation scores."
            )


def _row(record: dict[str, Any], features: str) -> dict[str, Any]:
    values = {
        "head": record["head"]["name"],
        "features": features,
        "learnt from": learnt_from(record),
        "test n": record["split"]["test"],
        "fit seconds": record["seconds"]["fit"],
        "predict seconds": record["seconds"]["predict"],
        "run": record["id"],
    }
    for part in _PARTS:
        values |= {f"{part} {score}": record[part][score] for score in SCORES}
    for score in WITH_INTERVAL:
        ends = record["intervals"].get(score) or (None, None)
        values |= dict(zip((f"test {score} low", f"test {score} high"), ends, strict=True))
    return {name: values[name] for name in COLUMNS}
