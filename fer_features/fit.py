"""Stage 2: fit heads on a cache, score them once, and write a run for each."""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features import __version__
from fer_features.config import FitConfig
from fer_features.errors import FerError
from fer_features.heads import head_names, make_head
from fer_features.metrics import Scores, score
from fer_features.runs import Run, make_folder, new_run, read_run, write_record
from fer_features.splits import Split, folds, make_split
from fer_features.store import Cache, Choice, Rows, last_choice, latest_cache
from fer_features.tasks import Task, choose_rows, load_task

EpochProgress = Callable[[int, dict[str, float]], None]
"""Told of each epoch, counted from 1, that a head has been trained for, and of its losses."""


@dataclass(frozen=True)
class Problem:
    """What is to be learned: rows of a cache, their labels, and how they are split.

    Attributes:
        choice: what was extracted.
        task: the classes.
        rows: places in the cache, ascending.
        label: class codes of these rows.
        who: emotion, usage and hash of these rows.
        split: places in `rows`.
    """

    choice: Choice
    task: Task
    rows: NDArray[np.int64]
    label: NDArray[np.int64]
    who: Rows
    split: Split

    @property
    def digest(self) -> str:
        """Sixteen hex digits that are the same for the same images with the same labels."""
        content = self.who.sha256.tobytes() + self.label.astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()[:16]


def fit(
    config: FitConfig, *, progress: Callable[[str], EpochProgress] | None = None
) -> Iterator[Run]:
    """Fit each of the heads and yield its run as soon as it is written.

    Everything is chosen on validation; test is scored once, at the end.

    Args:
        config: which heads, on what.
        progress: called with a head's name before it is fitted; returns a function to be told of
            its epochs.

    Raises:
        FerError: the cache or the configuration cannot be used.
    """
    make_folder(config.runs_dir)  # before the work, which would be lost
    names = head_names() if config.heads == ("all",) else config.heads
    heads = {name: _make(name, config) for name in names}
    with Cache(config.cache or latest_cache(config.cache_dir)) as cache:
        problem = make_problem(cache, config)
        layer = config.layer or problem.choice.layers[-1]
        for name, head in heads.items():
            told = progress(name) if progress else None
            yield _run(cache, problem, layer, name, head, config, told)


def choose(cache: Cache, config: FitConfig) -> Choice:
    """The choice of rows that is meant: of the task asked for, or else the one asked for last.

    Raises:
        FerError: the cache holds no choice, or not all of its rows.
    """
    if config.task:
        task = load_task(config.task).to_dict()
        same = [one for one in cache.choices if one.info["task"] == task]
        if same and config.per_class is None:
            return cache.choice(same[-1].id)
    return cache.choice(last_choice(cache.path))


def make_problem(cache: Cache, config: FitConfig) -> Problem:
    """Choose the rows and split them.

    Raises:
        FerError: the task, the balance or the split is not to be had from this cache.
    """
    choice = choose(cache, config)
    own = Task.from_dict(choice.info["task"])
    task = load_task(config.task) if config.task else own
    if task == own and config.per_class is None:
        rows = cache.places(choice)
    else:
        try:
            rows = choose_rows(
                task, cache.rows.emotion, per_class=config.per_class, seed=config.seed
            )
        except FerError as error:
            hint = (
                f"{cache.path} holds {len(cache):,} rows; fer extract --task adds those of a task"
            )
            raise FerError(error.message, hint=error.hint or hint) from None
    who = cache.rows[rows]
    label = task.labels(who.emotion)
    split = make_split(
        config.split, label=label, usage=who.usage, sha256=who.sha256, seed=config.seed
    )
    return Problem(choice=choice, task=task, rows=rows, label=label, who=who, split=split)


def _make(name: str, config: FitConfig) -> Any:
    """A head with the configuration's parameters, seed and jobs, as far as it takes them."""
    for parameter, flag in (("random_state", "--seed"), ("n_jobs", "--jobs")):
        if parameter in config.params:
            raise FerError(f"{parameter} is not set by --set", hint=f"{flag} sets it")
    if config.jobs == 0 or config.jobs < -1:
        raise FerError(f"--jobs {config.jobs}: neither a number of jobs nor -1 for one each core")
    head = make_head(name, **config.params)
    common = {"random_state": config.seed, "n_jobs": config.jobs}
    known = head.get_params()
    return head.set_params(**{k: v for k, v in common.items() if k in known})


def _run(
    cache: Cache,
    problem: Problem,
    layer: str,
    name: str,
    head: Any,
    config: FitConfig,
    progress: EpochProgress | None,
) -> Run:
    clock = time.perf_counter()
    X = cache.read(layer, head.needs, problem.rows)
    read_s = time.perf_counter() - clock
    params = head.get_params()
    cv = _cross_validate(head, X, problem, config) if config.cv else None

    split, y = problem.split, problem.label
    clock = time.perf_counter()
    _fit(
        head,
        X[split.train],
        y[split.train],
        validation=(X[split.validation], y[split.validation]),
        progress=progress,
    )
    fit_s = time.perf_counter() - clock
    clock = time.perf_counter()
    validation, test = (
        _score(head, X[part], y[part], problem.task) for part in (split.validation, split.test)
    )
    predict_s = time.perf_counter() - clock

    record = {
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "cache": {
            "path": str(cache.path),
            "key": cache.header.key,
            "spec": cache.header.spec,
            "dataset": cache.header.dataset,
        },
        "data": {
            "name": cache.header.dataset["name"],
            "rows": len(problem.rows),
            "digest": problem.digest,
        },
        "task": problem.task.to_dict(),
        "split": {
            "name": split.name,
            "seed": split.seed,
            "train": len(split.train),
            "validation": len(split.validation),
            "test": len(split.test),
            "leaked": split.leaked,
        },
        "head": {
            "name": name,
            "title": head.title,
            "layer": layer,
            "features": head.needs,
            "params": params,
            "chosen": getattr(head, "chosen_", {}),
        },
        "seed": config.seed,
        "validation": validation.to_dict(),
        "test": test.to_dict(),
        "cv": cv,
        "history": getattr(head, "history_", None),
        "seconds": {"read": read_s, "fit": fit_s, "predict": predict_s},
        "predicted_rows": len(split.validation) + len(split.test),
        "software": {
            "fer_features": __version__,
            "python": platform.python_version(),
            **{one: version(one) for one in ("numpy", "scikit-learn", "keras")},
        },
    }
    return _write(config.runs_dir, name, head, record)


def _fit(
    head: Any,
    X: NDArray[Any],
    y: NDArray[np.int64],
    *,
    validation: tuple[NDArray[Any], NDArray[np.int64]] | None = None,
    progress: EpochProgress | None = None,
) -> None:
    """Fit a head, telling `progress` of its epochs if it has any."""
    watched = "progress" in inspect.signature(head.fit).parameters
    head.fit(X, y, validation=validation, **({"progress": progress} if watched else {}))


def _score(head: Any, X: NDArray[Any], y: NDArray[np.int64], task: Task) -> Scores:
    return score(y, head.predict_proba(X), classes=task.class_names, positive=task.positive)


def _cross_validate(
    head: Any, X: NDArray[Any], problem: Problem, config: FitConfig
) -> dict[str, Any]:
    """Mean and spread of the scores over k folds of the training and validation rows.

    The test rows take no part. Each fold's head makes its own choices on a part of its own
    training rows.
    """
    from sklearn.base import clone

    split = problem.split
    seen = np.sort(np.concatenate([split.train, split.validation]))
    parts = folds(
        label=problem.label[seen],
        sha256=problem.who.sha256[seen],
        k=config.cv,
        seed=config.seed,
        grouped=split.name == "grouped",
    )
    scores = []
    for train, held in parts:
        one = clone(head)
        _fit(one, X[seen[train]], problem.label[seen[train]])
        rows = seen[held]
        scores.append(_score(one, X[rows], problem.label[rows], problem.task).to_dict())
    numbers = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss")
    columns = {name: [one[name] for one in scores] for name in numbers}
    return {
        "folds": config.cv,
        "values": columns,
        "mean": {name: float(np.mean(values)) for name, values in columns.items()},
        "std": {name: float(np.std(values, ddof=1)) for name, values in columns.items()},
    }


def _write(runs_dir: Path, name: str, head: Any, record: dict[str, Any]) -> Run:
    """Write the run's folder: record, model, and the learning curves if there are any."""
    seed = "" if record["split"]["seed"] is None else f"-s{record['split']['seed']}"
    params = {k: v for k, v in record["head"]["params"].items() if k != "n_jobs"}
    head_key = {**record["head"], "params": params, "chosen": None}
    key = [record["cache"]["key"], record["data"]["digest"], record["split"], head_key]
    digest = hashlib.sha256(json.dumps([*key, record["seed"]], sort_keys=True).encode())
    run_id = f"{name}-{record['split']['name']}{seed}-{digest.hexdigest()[:8]}"
    path = Path(runs_dir) / run_id
    with new_run(path) as folder:
        files = {"model": head.save(folder / "model").name}
        if record["history"]:
            from fer_features.plots import learning_curves, save_figure

            figure = learning_curves(record["history"], title=f"{head.title}, {run_id}")
            files["curves"] = save_figure(figure, folder / "curves.png").name
        write_record(folder, {"id": run_id, **record, "files": files})
    return read_run(path)
