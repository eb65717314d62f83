"""Many runs, one table: a pure function of their ``run.json`` files."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fer_features.errors import FerError
from fer_features.metrics import NUMBERS
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

SCORES = NUMBERS
"""The scores that a table may show."""

COLUMNS = (
    "head",
    "features",
    *(f"validation {score}" for score in SCORES),
    *(f"test {score}" for score in SCORES),
    "test accuracy low",
    "test accuracy high",
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
            label = {"head": PUBLISHED_MARK, "features": "inception_resnet_v2 imagenet"}
            rows.append({**dict.fromkeys(COLUMNS), **label, **validation})
        return rows


@dataclass(frozen=True)
class OverSeeds:
    """One head on the same features with several seeds, each with a split of its own.

    Attributes:
        title: images, task and split.
        head: the head's name.
        features: what it was fitted on.
        runs: the runs, by ascending seed.
    """

    title: str
    head: str
    features: str
    runs: tuple[Run, ...]

    def mean(self, part: str, score: str) -> float | None:
        """Mean over the seeds; None where a score is undefined."""
        values = [run.record[part][score] for run in self.runs]
        return None if None in values else statistics.fmean(values)

    def std(self, part: str, score: str) -> float | None:
        """Standard deviation over the seeds (of a sample); None where a score is undefined."""
        values = [run.record[part][score] for run in self.runs]
        return None if None in values else statistics.stdev(values)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "title": self.title,
            "head": self.head,
            "features": self.features,
            "seeds": [run.record["seed"] for run in self.runs],
            "runs": [run.record["id"] for run in self.runs],
            "mean": {f"{part} {s}": self.mean(part, s) for part in _PARTS for s in SCORES},
            "std": {f"{part} {s}": self.std(part, s) for part in _PARTS for s in SCORES},
        }


@dataclass(frozen=True)
class Flattery:
    """The same fit on a split that leaks and on one that does not.

    Attributes:
        head: the head's name.
        features: what it was fitted on.
        grouped: the run whose split keeps twins on one side.
        leaking: the run whose split does not.
    """

    head: str
    features: str
    grouped: Run
    leaking: Run

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        leak = self.leaking.record["leak"] or {}
        return {
            "head": self.head,
            "features": self.features,
            "grouped": self.grouped.record["test"]["accuracy"],
            self.leaking.record["split"]["name"]: self.leaking.record["test"]["accuracy"],
            "difference": self.leaking.record["test"]["accuracy"]
            - self.grouped.record["test"]["accuracy"],
            "split": self.leaking.record["split"]["name"],
            "by_twins": None
            if leak.get("accuracy_on_others") is None
            else self.leaking.record["test"]["accuracy"] - leak["accuracy_on_others"],
            "test_twins": leak.get("test_twins", 0),
            "accuracy_on_twins": leak.get("accuracy_on_twins"),
            "accuracy_on_others": leak.get("accuracy_on_others"),
        }


_PARTS = ("validation", "test")


def compare(runs: Iterable[Run]) -> list[Comparison]:
    """Sort runs into tables within which they may be ranked, the newest run's table first.

    Runs of different images, labels, splits or seeds never share a table: a difference between
    them would not be the heads' doing.

    Raises:
        FerError: there is no run, or a record lacks what a run must have.
    """
    groups = _grouped(runs, lambda record: [*_data(record), record["split"], record["seed"]])
    if not groups:
        raise FerError("no runs to compare", hint="fer fit --head all makes some")
    tables = [_table(group) for group in groups]
    return sorted(tables, key=lambda table: max(_created(run) for run in table.runs), reverse=True)


def over_seeds(runs: Iterable[Run]) -> list[OverSeeds]:
    """Each fit that was made with several seeds, the best mean validation accuracy first."""
    found = []
    for group in _grouped(runs, lambda record: [*_family(record), *_fit(record)]):
        newest = {run.record["seed"]: run for run in sorted(group, key=_created)}
        ordered = [newest[seed] for seed in sorted(newest)]
        if len(ordered) > 1:
            record = ordered[0].record
            found.append(
                OverSeeds(
                    title=f"{_subject(record)}, split {record['split']['name']}",
                    head=record["head"]["name"],
                    features=_features(record),
                    runs=tuple(ordered),
                )
            )
    return sorted(found, key=lambda one: -(one.mean("validation", "accuracy") or 0.0))


def flattery(runs: Iterable[Run]) -> list[Flattery]:
    """Fits that were made on a split that leaks and, with the same seed, on ``grouped``."""
    found = []
    for group in _grouped(runs, lambda record: [*_data(record), record["seed"], *_fit(record)]):
        by_split = {run.record["split"]["name"]: run for run in sorted(group, key=_created)}
        record = group[0].record
        grouped = by_split.pop("grouped", None)
        for run in by_split.values():
            if grouped is not None and run.record["leak"]:
                head = record["head"]["name"]
                found.append(Flattery(head, _features(record), grouped, run))
    return found


def of_same_data(runs: Sequence[Run]) -> list[Run]:
    """Those of the runs that are about the same images and task as the newest."""
    newest = max(runs, key=_created, default=None)
    if newest is None:
        return []
    return [run for run in runs if _data(run.record) == _data(newest.record)]


def unseen_only(runs: Sequence[Run], *, note: Callable[[str], None]) -> list[Run]:
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
        note(
            f"left out: {len(runs) - len(kept)} runs that have scored images that their weights "
            "have learnt from; --allow-seen shows them"
        )
    return kept


def scored_seen(record: dict[str, Any]) -> int:
    """How many validation and test images a run's weights have learnt from."""
    seen = record["data"].get("seen") or {}
    return int(seen.get("validation", 0) + seen.get("test", 0))


def newest_seeds(tables: Sequence[Comparison]) -> list[Comparison]:
    """Of tables that differ by their seed alone, the newest; `tables` come newest first."""
    kept: dict[str, Comparison] = {}
    for table in tables:
        kept.setdefault(json.dumps(_family(table.runs[0].record), sort_keys=True), table)
    return list(kept.values())


def _grouped(runs: Iterable[Run], key: Any) -> list[list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        try:
            groups.setdefault(json.dumps(key(run.record), sort_keys=True), []).append(run)
        except KeyError as error:
            raise FerError(f"{run.path}: the record of the run lacks {error}") from error
    return list(groups.values())


def _created(run: Run) -> str:
    return str(run.record["created"])


def _data(record: dict[str, Any]) -> list[Any]:
    """The same for the same images with the same labels."""
    return [record["data"]["digest"], record["task"]]


def _family(record: dict[str, Any]) -> list[Any]:
    return [*_data(record), record["split"]["name"], "twins" in record["data"]["dropped"]]


def _fit(record: dict[str, Any]) -> list[Any]:
    """The same for the same head on the same features, whatever the split and the seed."""
    head = record["head"]
    params = {k: v for k, v in head["params"].items() if k not in ("n_jobs", "random_state")}
    method = record["calibration"] and record["calibration"]["method"]
    wish = record["operate"] and [record["operate"]["wish"], record["operate"]["value"]]
    kept = (head["name"], head["layers"], head["views"], params, method, wish)
    return [record["cache"]["key"], *kept, record["data"]["labels"]]


def _subject(record: dict[str, Any]) -> str:
    data = record["data"]
    labels = "" if data["labels"] == "original" else f", labels {data['labels']}"
    gone = ", ".join(f"{n:,} {name}" for name, n in data["dropped"].items())
    return (
        f"{record['task']['name']}: {data['rows']:,} images of {data['name']}{labels}"
        + f" (without {gone})" * bool(gone)
    )


def _table(group: list[Run]) -> Comparison:
    runs = tuple(sorted(group, key=lambda run: -run.record["validation"]["accuracy"]))
    first = runs[0].record
    split = first["split"]
    seed = "" if split["seed"] is None else f", seed {split['seed']}"
    sizes = " / ".join(f"{split[part]:,}" for part in ("train", "validation", "test"))
    title = f"{_subject(first)}, split {split['name']}{seed} ({sizes})"
    classes = Task.from_dict(first["task"]).classes
    return Comparison(title, runs, classes == BINARY.classes, tuple(_notes(runs)))


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
    leaked = runs[0].record["split"]["leaked"]
    if any(leaked.values()):
        yield (
            f"test images with a twin in training or validation: {leaked['exact']:,} exact and "
            f"{leaked['near']:,} more near, of {runs[0].record['split']['test']:,}. That flatters "
            "every row; --split grouped avoids it."
        )
    for run in runs:
        if run.record["calibration"]:
            yield (
                f"{run.record['id']} is calibrated on the validation rows, which flatters its "
                "validation scores."
            )


def is_random(record: dict[str, Any]) -> bool:
    """Whether a run's features come from random weights."""
    return str(record["cache"]["spec"]["weights"]).startswith("random")


def base_features(record: dict[str, Any]) -> str:
    """The backbone and its weights, if it has any."""
    spec = record["cache"]["spec"]
    weights = "" if spec["weights"] == "none" else f" {spec['weights']}"
    return f"{spec['backbone']}{weights}"


def _features(record: dict[str, Any], *, layers: bool = True, precision: bool = False) -> str:
    """What a head was fitted on, in a few words."""
    words = [base_features(record)]
    words += ["+".join(record["head"]["layers"])] if layers else []
    words += [str(record["cache"]["spec"]["precision"])] if precision else []
    words += record["head"]["views"]
    return " ".join(words)


def feature_labels(records: Sequence[dict[str, Any]]) -> list[str]:
    """What each run's head was fitted on, no longer than it takes to tell them apart."""
    layers: dict[str, set[str]] = {}
    precisions: dict[str, set[str]] = {}
    for record in records:
        base = base_features(record)
        layers.setdefault(base, set()).add("+".join(record["head"]["layers"]))
        precisions.setdefault(base, set()).add(record["cache"]["spec"]["precision"])
    return [
        _features(
            record,
            layers=len(layers[base_features(record)]) > 1,
            precision=len(precisions[base_features(record)]) > 1,
        )
        for record in records
    ]


def _row(record: dict[str, Any], features: str) -> dict[str, Any]:
    low, high = record["intervals"].get("accuracy") or (None, None)
    values = {
        "head": record["head"]["name"],
        "features": features,
        "test accuracy low": low,
        "test accuracy high": high,
        "fit seconds": record["seconds"]["fit"],
        "predict seconds": record["seconds"]["predict"],
        "run": record["id"],
    }
    for part in _PARTS:
        values |= {f"{part} {score}": record[part][score] for score in SCORES}
    return {name: values[name] for name in COLUMNS}
