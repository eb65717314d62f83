"""The same fit with several seeds; and the effect of a leaking split on a run's scores."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from fer_features.config import SEEN_COPIES, TWINS
from fer_features.metrics import NUMBERS
from fer_features.metrics.intervals import Interval, share_interval
from fer_features.runs.record import RunRecord
from fer_features.runs.run import Run

_SCORES = [(part, score) for part in ("validation", "test") for score in NUMBERS]


@dataclass(frozen=True)
class OverSeeds:
    """One head on the same features with several seeds, each with a split of its own.

    Attributes:
        title: images, task and split.
        head: the head's name.
        features: the features that it was fitted on.
        runs: the runs, by ascending seed.
    """

    title: str
    head: str
    features: str
    runs: tuple[Run, ...]

    def mean_std(self, part: str, score: str) -> tuple[float, float] | None:
        """Mean and (sample) standard deviation over the seeds; None where a score is undefined."""
        values = [getattr(getattr(run.record, part), score) for run in self.runs]
        return None if None in values else (statistics.fmean(values), statistics.stdev(values))

    def cell(self, part: str, score: str, digits: int = 4) -> str:
        """Mean and standard deviation for people."""
        found = self.mean_std(part, score)
        return "–" if found is None else " ± ".join(f"{one:.{digits}f}" for one in found)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        scores = {" ".join(one): self.mean_std(*one) or (None, None) for one in _SCORES}
        return {
            "title": self.title,
            "head": self.head,
            "features": self.features,
            "seeds": [run.record.seed for run in self.runs],
            "runs": [run.record.id for run in self.runs],
            "mean": {name: mean for name, (mean, _) in scores.items()},
            "std": {name: std for name, (_, std) in scores.items()},
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
    """Scores of a run on test images with a copy in training or validation, and on the others.

    Both are of one run: the difference of two runs on other test images would be chance as well.

    Attributes:
        run: the run.
        with_copy: the test images that have a copy.
        without_copy: the others; None if there are none.
    """

    run: Run
    with_copy: TestPart
    without_copy: TestPart | None

    @property
    def effect(self) -> float | None:
        """Accuracy on all test images less that on those without a copy."""
        if self.without_copy is None:
            return None
        return self.run.record.test.accuracy - self.without_copy.accuracy

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        record = self.run.record
        return {
            "run": record.id,
            "head": record.head.name,
            "features": record.features(),
            "split": record.split.name,
            "seed": record.seed,
            "test n": record.split.test,
            "test accuracy": record.test.accuracy,
            "with_copy": self.with_copy.to_dict(),
            "without_copy": self.without_copy and self.without_copy.to_dict(),
            "effect": self.effect,
        }


def family_key(record: RunRecord) -> list[Any]:
    """The same for the same images and labels on the same kind of split, whatever the seed."""
    left_out = [name for name in (TWINS, SEEN_COPIES) if name in record.data.dropped]
    return [record.data.digest, record.task, record.split.name, left_out]


def _fit_key(record: RunRecord) -> list[Any]:
    """The same for the same head on the same features, whatever the split and the seed."""
    head, calibration, operate = record.head, record.calibration, record.operate
    params = {k: v for k, v in head.params.items() if k not in ("n_jobs", "random_state")}
    options = [calibration and calibration.method, operate and [operate.target, operate.value]]
    # Where each seed takes the better way to combine views, they are seeds of one fit.
    views = [head.views, "best" if head.combined else head.combine]
    kept = [head.name, head.layers, head.features, *views, params, *options]
    return [record.cache.key, *kept, record.data.labels]


def same_fits(runs: Iterable[Run]) -> list[tuple[Run, ...]]:
    """The runs of each fit, by ascending seed; the best mean validation accuracy first."""
    groups: dict[bytes, dict[int, Run]] = {}
    for run in sorted(runs, key=lambda run: run.record.created):  # the newest of a seed is kept
        key = [family_key(run.record), _fit_key(run.record)]
        encoded = msgspec.json.encode(key, order="sorted")
        groups.setdefault(encoded, {})[run.record.seed] = run
    found = [tuple(group[seed] for seed in sorted(group)) for group in groups.values()]
    return sorted(found, key=_mean_accuracy, reverse=True)


def _mean_accuracy(same: Sequence[Run]) -> float:
    return statistics.fmean(run.record.validation.accuracy for run in same)


def over_seeds(runs: Iterable[Run]) -> list[OverSeeds]:
    """Each fit that was made with several seeds, the best mean validation accuracy first."""
    found = []
    for same in same_fits(runs):
        if len(same) > 1:
            record = same[0].record
            title = f"{record.data_title}, split {record.split.name}"
            found.append(OverSeeds(title, record.head.name, record.features(), same))
    return found


def leak_effects(runs: Iterable[Run]) -> list[LeakEffect]:
    """For each run whose split leaks, the effect on its test accuracy."""
    found = []
    for run in runs:
        if (leak := run.record.leak) is None:
            continue
        n = leak.test_twins
        others, on_others = run.record.split.test - n, leak.accuracy_on_others
        without = None
        if others > 0 and on_others is not None:
            without = TestPart(others, round(others * on_others))
        found.append(LeakEffect(run, TestPart(n, round(n * leak.accuracy_on_twins)), without))
    return found
