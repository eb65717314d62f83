"""The same fit more than once: with several seeds, or on splits that do and do not leak."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fer_features.metrics import NUMBERS
from fer_features.run_labels import (
    created,
    data_key,
    family_key,
    features_of,
    fit_key,
    group_runs,
    subject,
)
from fer_features.runs import Run

_PARTS = ("validation", "test")


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
            "mean": {f"{part} {s}": self.mean(part, s) for part in _PARTS for s in NUMBERS},
            "std": {f"{part} {s}": self.std(part, s) for part in _PARTS for s in NUMBERS},
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


def over_seeds(runs: Iterable[Run]) -> list[OverSeeds]:
    """Each fit that was made with several seeds, the best mean validation accuracy first."""
    found = []
    for group in group_runs(runs, lambda record: [*family_key(record), *fit_key(record)]):
        newest = {run.record["seed"]: run for run in sorted(group, key=created)}
        ordered = [newest[seed] for seed in sorted(newest)]
        if len(ordered) > 1:
            record = ordered[0].record
            found.append(
                OverSeeds(
                    title=f"{subject(record)}, split {record['split']['name']}",
                    head=record["head"]["name"],
                    features=features_of(record),
                    runs=tuple(ordered),
                )
            )
    return sorted(found, key=lambda one: -(one.mean("validation", "accuracy") or 0.0))


def flattery(runs: Iterable[Run]) -> list[Flattery]:
    """Fits that were made on a split that leaks and, with the same seed, on ``grouped``."""
    found = []
    for group in group_runs(
        runs, lambda record: [*data_key(record), record["seed"], *fit_key(record)]
    ):
        by_split = {run.record["split"]["name"]: run for run in sorted(group, key=created)}
        record = group[0].record
        grouped = by_split.pop("grouped", None)
        for run in by_split.values():
            if grouped is not None and run.record["leak"]:
                head = record["head"]["name"]
                found.append(Flattery(head, features_of(record), grouped, run))
    return found
