"""The same fit with several seeds; and what a leak does to the scores of a run."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fer_features.metrics import NUMBERS
from fer_features.metrics.intervals import Interval, share_interval
from fer_features.runs.labels import (
    created,
    family_key,
    features_of,
    fit_key,
    group_runs,
    subject,
)
from fer_features.runs.run import Run

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
class TestPart:
    """Accuracy on some of a run's test images, with Wilson's 95 % interval.

    Attributes:
        n: number of images, at least 1.
        correct: how many of them the head classifies correctly.
    """

    n: int
    correct: int

    @property
    def accuracy(self) -> float:
        """0 to 1."""
        return self.correct / self.n

    @property
    def interval(self) -> Interval:
        """Its 95 % interval."""
        return share_interval(self.correct, self.n)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        low, high = self.interval
        return {"n": self.n, "accuracy": self.accuracy, "low": low, "high": high}


@dataclass(frozen=True)
class LeakEffect:
    """What a run scores on test images with a copy in training or validation, and on the others.

    Both are of one run: the difference of two runs on other test images would be chance as well.

    Attributes:
        run: the run.
        features: what its head was fitted on.
        with_copy: the test images that have a copy.
        without_copy: the others; None if there are none.
    """

    run: Run
    features: str
    with_copy: TestPart
    without_copy: TestPart | None

    @property
    def effect(self) -> float | None:
        """Accuracy on all test images less that on those without a copy."""
        if self.without_copy is None:
            return None
        return float(self.run.record["test"]["accuracy"]) - self.without_copy.accuracy

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        record = self.run.record
        return {
            "run": record["id"],
            "head": record["head"]["name"],
            "features": self.features,
            "split": record["split"]["name"],
            "seed": record["seed"],
            "test n": record["split"]["test"],
            "test accuracy": record["test"]["accuracy"],
            "with_copy": self.with_copy.to_dict(),
            "without_copy": self.without_copy and self.without_copy.to_dict(),
            "effect": self.effect,
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


def leak_effects(runs: Iterable[Run]) -> list[LeakEffect]:
    """Of each run whose split leaks, what that does to its test accuracy."""
    found = []
    for run in runs:
        leak = run.record["leak"]
        if leak:
            n = leak["test_twins"]
            others, on_others = run.record["split"]["test"] - n, leak["accuracy_on_others"]
            without = None
            if others > 0 and on_others is not None:
                without = TestPart(others, round(others * on_others))
            found.append(
                LeakEffect(
                    run,
                    features_of(run.record),
                    with_copy=TestPart(n, round(n * leak["accuracy_on_twins"])),
                    without_copy=without,
                )
            )
    return found
