"""The run record, and its folder."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fer_features import __version__
from fer_features.config import FitConfig
from fer_features.fit.calibration import Calibrator, Threshold
from fer_features.fit.command import command
from fer_features.fit.data_record import PARTS, cache_record, data_record
from fer_features.fit.dataset import Problem
from fer_features.fit.features import Reader
from fer_features.fit.resample import Sizes
from fer_features.metrics import Scores
from fer_features.metrics.intervals import score_intervals
from fer_features.runs import schema as runs
from fer_features.runs.predictions import Part, Predictions
from fer_features.runs.record import RunRecord
from fer_features.runs.run import Run, Save
from fer_features.runs.run import write_run as write
from fer_features.runtime.progress import Log, no_log
from fer_features.runtime.text import plain_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fer_features.cache import Cache


@dataclass
class Fitted:
    """A head that has been fitted, and what its run records.

    Attributes:
        name: the head's name.
        head: the head.
        problem: the rows it was fitted to.
        reader: where its features came from.
        probability: by part, ``validation`` and ``test``, float64 (n, K), calibrated if asked for.
        scores: by part.
        plain: by part, before calibration; None without.
        calibrator: the calibration; None without.
        operating: the threshold that was chosen; None if not requested or unattainable.
        unmet: why no threshold reaches the requested value; empty otherwise.
        cv: scores of a cross-validation; None without.
        sizes: the learning curve by training-set size; None without.
        seconds: read, fit, predict.
    """

    name: str
    head: Any
    problem: Problem
    reader: Reader
    probability: dict[str, NDArray[np.float64]]
    scores: dict[str, Scores]
    plain: dict[str, Scores] | None = None
    calibrator: Calibrator | None = None
    operating: Threshold | None = None
    unmet: str = ""
    cv: dict[str, Any] | None = None
    sizes: Sizes | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def rows(self, part: str) -> NDArray[np.int64]:
        """Places of a part's rows among those of the problem, int64 (n,)."""
        found: NDArray[np.int64] = getattr(self.problem.split, part)
        return found

    def label(self, part: str) -> NDArray[np.int64]:
        """True class codes of a part's rows, int64 (n,)."""
        return self.problem.dataset.y[self.rows(part)]


def write_run(fitted: Fitted, cache: Cache, config: FitConfig, *, log: Log = no_log) -> Run:
    """Write a run's folder: record, model, predictions, and the curves if there are any."""
    record = _record(fitted, cache, config)
    name = _run_id(record)
    title = "\n".join([f"{fitted.head.title}, {name}", *record.marks])
    saves = {"model": fitted.head.save, "predictions": _predictions(fitted).save}
    saves |= _figures(record, title=title)
    return write(Path(config.runs_dir) / name, record, saves, log=log)


def _record(fitted: Fitted, cache: Cache, config: FitConfig) -> RunRecord:
    problem, head = fitted.problem, fitted.head
    split, chosen = problem.split, getattr(head, "chosen_", {})
    reused = chosen.get("fitted_before", ())
    return RunRecord(
        id="new",
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        cache=cache_record(cache),
        data=data_record(problem, cache),
        task=msgspec.convert(problem.dataset.task.to_dict(), runs.Task),
        split=runs.Split(
            name=split.name,
            seed=split.seed,
            train=len(split.train),
            validation=len(split.validation),
            test=len(split.test),
            leaked=runs.Leaked(**split.leaked),
            validation_from=split.validation_from,
        ),
        head=runs.HeadRecord(
            name=fitted.name,
            title=head.title,
            features=head.needs,
            layers=list(fitted.reader.layers),
            views=list(fitted.reader.views),
            params=head.get_params(),
            chosen=chosen,
        ),
        seed=problem.seed,
        validation=fitted.scores["validation"],
        test=fitted.scores["test"],
        intervals=_intervals(fitted),
        leak=_leak(fitted),
        calibration=_calibration(fitted, config),
        operate=_operate(fitted, config),
        cv=msgspec.convert(fitted.cv, runs.CrossValidation | None),
        sizes=msgspec.convert(fitted.sizes, list[runs.Size] | None),
        history=getattr(head, "history_", None),
        seconds=runs.Seconds(**fitted.seconds),
        predicted_rows=sum(len(fitted.rows(part)) for part in PARTS),
        command=plain_text(
            command(config, fitted.name, cache.path, seed=problem.seed, reused=reused)
        ),
        software={
            "fer_features": __version__,
            "python": platform.python_version(),
            **{one: version(one) for one in ("numpy", "scikit-learn", "keras")},
        },
    )


def _run_id(record: RunRecord) -> str:
    """The same for the same fit, whatever it gave and how long it took."""
    known = msgspec.to_builtins(record)
    head, data = known["head"], known["data"]
    head["params"].pop("n_jobs", None)
    head["chosen"] = None
    for name in ("fer2013", "provenance"):
        del data[name]
    calibration, operate = record.calibration, record.operate
    after = [
        calibration and calibration.method,
        operate and [operate.target, operate.value],
        record.cv and record.cv.folds,  # a plain fit must not take their place
        bool(record.sizes),
    ]
    key = [record.cache.key, data, known["split"], head, record.seed, after]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:8]
    seed = "" if record.split.seed is None else f"-s{record.split.seed}"
    return f"{record.head.name}-{record.split.name}{seed}-{digest}"


def _intervals(fitted: Fitted) -> dict[str, tuple[float, float] | None]:
    """95 % intervals of the test scores; None where one is undefined."""
    task = fitted.problem.dataset.task
    found = score_intervals(
        fitted.label("test"),
        fitted.probability["test"],
        classes=task.class_names,
        positive=task.positive,
    )
    return {
        name: (float(low), float(high)) if np.isfinite([low, high]).all() else None
        for name, (low, high) in found.items()
    }


def _leak(fitted: Fitted) -> runs.Leak | None:
    """Accuracy on test rows with a twin in an earlier part, and on the others."""
    twin = fitted.problem.split.copied
    if not twin.any():
        return None
    right = fitted.probability["test"].argmax(axis=1) == fitted.label("test")
    return runs.Leak(
        test_twins=int(twin.sum()),
        accuracy_on_twins=float(right[twin].mean()),
        accuracy_on_others=float(right[~twin].mean()) if not twin.all() else None,
    )


def _calibration(fitted: Fitted, config: FitConfig) -> runs.Calibration | None:
    if fitted.calibrator is None or fitted.plain is None:
        return None
    before = {
        part: runs.Losses(log_loss=one.log_loss, brier=one.brier, ece=one.ece)
        for part, one in fitted.plain.items()
    }
    return runs.Calibration(
        method=str(config.calibrate),
        before=runs.BothLosses(**before),
        calibrator=fitted.calibrator.to_dict(),
    )


def _operate(fitted: Fitted, config: FitConfig) -> runs.Operate | None:
    """The threshold chosen on validation, and its scores on either part."""
    if config.operate is None:
        return None
    target, value = config.operate
    if fitted.operating is None:
        return runs.Operate(target=target, value=value, threshold=None, unmet=fitted.unmet)
    task, threshold = fitted.problem.dataset.task, fitted.operating.threshold
    code = task.class_names.index(str(task.positive))
    by_part: dict[str, Any] = {}
    for part in PARTS:
        true = fitted.label(part) == code
        predicted = fitted.probability[part][:, code] >= threshold
        hits = (true & predicted).sum()
        by_part[part] = runs.Operating(
            precision=float(hits / max(predicted.sum(), 1)),
            recall=float(hits / max(true.sum(), 1)),
            accuracy=float((true == predicted).mean()),
        )
    return runs.Operate(target=target, value=value, threshold=threshold, **by_part)


def _predictions(fitted: Fitted) -> Predictions:
    source_row = fitted.problem.dataset.metadata.source_row
    copied = {"test": fitted.problem.split.copied}

    def part(name: str) -> Part:
        rows = fitted.rows(name)
        twin = copied.get(name, np.zeros(len(rows), bool))
        return Part(source_row[rows], fitted.label(name), fitted.probability[name], twin)

    return Predictions(validation=part("validation"), test=part("test"))


def _figures(record: RunRecord, *, title: str) -> dict[str, Save]:
    """What saves the learning curves that there are, by the files' names in the record."""
    from fer_features.runs.figures import sizes_curve
    from fer_features.runtime.figures import learning_curves

    figures = {}
    if record.history:
        figures["curves"] = learning_curves(record.history, title=title)
    if record.sizes:
        figures["sizes"] = sizes_curve(record.sizes, title=title)
    return {name: partial(_save_figure, figure) for name, figure in figures.items()}


def _save_figure(figure: Figure, path: Path) -> Path:
    from fer_features.runtime.figures import save_figure

    return save_figure(figure, path.with_name(f"{path.name}.png"))
