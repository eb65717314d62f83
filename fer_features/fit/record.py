"""What a run says of itself, and its folder."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_features import __version__
from fer_features.config import FitConfig
from fer_features.data.fer2013 import is_fer2013
from fer_features.fit.calibration import Calibrator, Threshold
from fer_features.fit.features import Reader
from fer_features.fit.problem import Problem
from fer_features.fit.resample import Sizes
from fer_features.metrics import Scores
from fer_features.metrics.intervals import score_intervals
from fer_features.runs.labels import marks, provenance
from fer_features.runs.run import Part, Predictions, Run, new_run, read_run, write_record
from fer_features.runtime.text import plain_text

if TYPE_CHECKING:
    from fer_features.cache import Cache


@dataclass
class Fitted:
    """A head that has been fitted, and all that its run will say of it.

    Attributes:
        name: the head's name.
        head: the head.
        problem: what it was fitted to.
        reader: where its features came from.
        probability: by part, ``validation`` and ``test``, float64 (n, K), calibrated if asked for.
        scores: by part.
        plain: by part, before calibration; None without.
        calibrator: what calibrates; None without.
        operating: the threshold that was chosen; None without a wish, or where none gives it.
        unmet: why no threshold gives what was wished for; empty otherwise.
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


def write_run(
    fitted: Fitted, cache: Cache, config: FitConfig, *, log: Callable[[str], None] | None = None
) -> Run:
    """Write a run's folder: record, model, predictions, and the curves if there are any."""
    record = _record(fitted, cache, config)
    path = Path(config.runs_dir) / _run_id(record)
    with new_run(path, log=log) as folder:
        files = {"model": fitted.head.save(folder / "model").name}
        files["predictions"] = _predictions(fitted).save(folder).name
        title = "\n".join([f"{fitted.head.title}, {path.name}", *marks(record)])
        files |= _pictures(fitted, folder, title=title)
        write_record(folder, {"id": path.name, **record, "files": files})
    return read_run(path)


def _record(fitted: Fitted, cache: Cache, config: FitConfig) -> dict[str, Any]:
    problem, head, header = fitted.problem, fitted.head, cache.header
    selection, split = problem.selection, problem.split
    task = selection.task
    return {
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "cache": {
            "path": plain_text(str(cache.path)),
            "key": header.key,
            "spec": header.spec,
            "dataset": header.dataset,
        },
        "data": {
            "name": plain_text(header.dataset["name"]),
            "rows": len(selection.rows),
            "digest": selection.digest,
            "labels": selection.labels,
            "dropped": selection.dropped,
            "seen": problem.seen,
            "fer2013": is_fer2013(selection.who.sha256),
            "provenance": provenance(str(header.spec["weights"]), _marks(cache, selection.rows)),
            "counts": {
                part: np.bincount(
                    selection.label[getattr(split, part)], minlength=len(task.classes)
                ).tolist()
                for part in ("train", "validation", "test")
            },
        },
        "task": task.to_dict(),
        "split": {
            "name": split.name,
            "seed": split.seed,
            "train": len(split.train),
            "validation": len(split.validation),
            "test": len(split.test),
            "leaked": split.leaked,
            # Only where it was, so that all other runs keep their names.
            **({"validation_from": split.validation_from} if split.validation_from else {}),
        },
        "head": {
            "name": fitted.name,
            "title": head.title,
            "features": head.needs,
            "layers": list(fitted.reader.layers),
            "views": list(fitted.reader.views),
            "params": head.get_params(),
            "chosen": getattr(head, "chosen_", {}),
        },
        "seed": problem.seed,
        "validation": fitted.scores["validation"].to_dict(),
        "test": fitted.scores["test"].to_dict(),
        "intervals": _intervals(fitted),
        "leak": _leak(fitted),
        "calibration": _calibration(fitted, config),
        "operate": _operate(fitted, config),
        "cv": fitted.cv,
        "sizes": fitted.sizes,
        "history": getattr(head, "history_", None),
        "seconds": fitted.seconds,
        "predicted_rows": len(split.validation) + len(split.test),
        "command": plain_text(command(config, fitted.name, cache.path, seed=problem.seed)),
        "software": {
            "fer_features": __version__,
            "python": platform.python_version(),
            **{one: version(one) for one in ("numpy", "scikit-learn", "keras")},
        },
    }


def _marks(cache: Cache, rows: NDArray[np.int64]) -> NDArray[np.uint8] | None:
    """Which of the rows the weights have learnt from; None where they do not say."""
    return cache.seen(rows)


def _run_id(record: dict[str, Any]) -> str:
    """The same for the same fit, whatever it gave and how long it took."""
    params = {k: v for k, v in record["head"]["params"].items() if k != "n_jobs"}
    head = {**record["head"], "params": params, "chosen": None}
    after = [
        record["calibration"] and record["calibration"]["method"],
        record["operate"] and [record["operate"]["wish"], record["operate"]["value"]],
        record["cv"] and record["cv"]["folds"],  # a plain fit must not take their place
        bool(record["sizes"]),
    ]
    data = {k: v for k, v in record["data"].items() if k not in ("fer2013", "provenance")}
    key = [record["cache"]["key"], data, record["split"], head, record["seed"], after]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:8]
    seed = "" if record["split"]["seed"] is None else f"-s{record['split']['seed']}"
    return f"{record['head']['name']}-{record['split']['name']}{seed}-{digest}"


def _intervals(fitted: Fitted) -> dict[str, list[float] | None]:
    """95 % intervals of the test scores; None where one is undefined."""
    selection, split = fitted.problem.selection, fitted.problem.split
    found = score_intervals(
        selection.label[split.test],
        fitted.probability["test"],
        classes=selection.task.class_names,
        positive=selection.task.positive,
    )
    return {
        name: [float(low), float(high)] if np.isfinite([low, high]).all() else None
        for name, (low, high) in found.items()
    }


def _leak(fitted: Fitted) -> dict[str, Any] | None:
    """How the test rows that have a twin before them are scored, and how the others."""
    selection, split = fitted.problem.selection, fitted.problem.split
    twin = split.copied
    if not twin.any():
        return None
    right = fitted.probability["test"].argmax(axis=1) == selection.label[split.test]
    return {
        "test_twins": int(twin.sum()),
        "accuracy_on_twins": float(right[twin].mean()),
        "accuracy_on_others": float(right[~twin].mean()) if not twin.all() else None,
    }


def _calibration(fitted: Fitted, config: FitConfig) -> dict[str, Any] | None:
    if fitted.calibrator is None or fitted.plain is None:
        return None
    before = {
        part: {name: scores.to_dict()[name] for name in ("log_loss", "brier", "ece")}
        for part, scores in fitted.plain.items()
    }
    return {
        "method": config.calibrate,
        "before": before,
        "calibrator": fitted.calibrator.to_dict(),
    }


def _operate(fitted: Fitted, config: FitConfig) -> dict[str, Any] | None:
    """The threshold chosen on validation, and what it gives on either part."""
    if config.operate is None:
        return None
    if fitted.operating is None:
        wish, value = config.operate
        return {"wish": wish, "value": value, "threshold": None, "unmet": fitted.unmet}
    selection, split = fitted.problem.selection, fitted.problem.split
    code = selection.task.class_names.index(str(selection.task.positive))
    wish, value = config.operate
    record: dict[str, Any] = {
        "wish": wish,
        "value": value,
        "threshold": fitted.operating.threshold,
    }
    for part in ("validation", "test"):
        true = selection.label[getattr(split, part)] == code
        said = fitted.probability[part][:, code] >= fitted.operating.threshold
        record[part] = {
            "precision": float((true & said).sum() / max(said.sum(), 1)),
            "recall": float((true & said).sum() / max(true.sum(), 1)),
            "accuracy": float((true == said).mean()),
        }
    return record


def _predictions(fitted: Fitted) -> Predictions:
    selection, split = fitted.problem.selection, fitted.problem.split
    twins = {"validation": np.zeros(len(split.validation), bool), "test": split.copied}
    return Predictions(
        **{
            part: Part(
                row=selection.who.source_row[getattr(split, part)],
                label=selection.label[getattr(split, part)],
                probability=fitted.probability[part],
                twin=twin,
            )
            for part, twin in twins.items()
        }
    )


def _pictures(fitted: Fitted, folder: Path, *, title: str) -> dict[str, str]:
    from fer_features.runs.figures import sizes_curve
    from fer_features.runtime.figures import learning_curves, save_figure

    files, history = {}, getattr(fitted.head, "history_", None)
    if history:
        figure = learning_curves(history, title=title)
        files["curves"] = save_figure(figure, folder / "curves.png").name
    if fitted.sizes:
        figure = sizes_curve(fitted.sizes, title=title)
        files["sizes"] = save_figure(figure, folder / "sizes.png").name
    return files


def command(config: FitConfig, head: str, cache: Path, *, seed: int) -> str:
    """The command that repeats one head's fit."""
    return shlex.join(["fer", "fit", str(cache), "--head", head, *_flags(config, head, seed)])


def _flags(config: FitConfig, head: str, seed: int) -> Iterator[str]:
    """Flags for what differs from the defaults."""
    plain = ("split", "task", "per_class", "features", "labels", "ferplus", "cv", "calibrate")
    default = {one.name: one.default for one in fields(FitConfig)}
    for name in plain:
        value = getattr(config, name)
        if value != default[name]:
            yield from (f"--{name.replace('_', '-')}", str(value))
    for view in config.views:
        yield from ("--views", view)
    if config.drop:
        yield from ("--drop", ",".join(config.drop))
    if config.operate:
        yield from ("--operate", f"{config.operate[0]}={config.operate[1]}")
    if config.sizes:
        yield "--sizes"
    if config.allow_seen:
        yield "--allow-seen"
    if seed:
        yield from ("--seed", str(seed))
    for name, value in config.params.items():
        owner, dot, _ = name.rpartition(".")
        if not dot or owner == head:
            yield from ("--set", f"{name}={value}")
