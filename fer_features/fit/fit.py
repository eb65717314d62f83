"""Stage 2: fit heads on a cache, score them once, and write a run for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.cache import Cache, latest_cache
from fer_features.config import MAX_SEED, FitConfig
from fer_features.errors import FerError
from fer_features.fit.calibration import choose_threshold, fit_calibrator
from fer_features.fit.contamination import settle_split
from fer_features.fit.features import Reader, check_views, parse_layers
from fer_features.fit.problem import Problem, Selection, make_problem, select
from fer_features.fit.record import Fitted, write_run
from fer_features.fit.resample import cross_validate, learn_by_size
from fer_features.heads import head_class, head_names, make_head, params_of
from fer_features.metrics import Scores, score
from fer_features.runs.run import Run, make_folder
from fer_features.runtime.progress import Progress, no_progress

EpochProgress = Callable[[int, dict[str, float]], None]
"""Told of each epoch, counted from 1, that a head has been trained for, and of its losses."""

Note = Callable[[str], None]

CALIBRATIONS = ("platt", "isotonic")
MOST_JOBS = 1024


def fit(
    config: FitConfig,
    *,
    on_epoch: Callable[[str], EpochProgress] | None = None,
    log: Note | None = None,
    progress: Progress = no_progress,
) -> Iterator[Run]:
    """Fit each of the heads and yield its run as soon as it is written.

    Everything is chosen on validation; test is scored once, at the end.

    Args:
        config: which heads, on what.
        on_epoch: called with a head's name before it is fitted; returns a function to be told of
            its epochs.
        log: called with a line on heads that cannot be fitted on this cache, and on how the data
            were read and split.
        progress: shows the progress of the search for copies, where nobody has made it before.

    Raises:
        FerError: the cache or the configuration cannot be used.
    """
    with _folder(config.runs_dir):  # made before the work, which would be lost
        _check(config)
        heads = {name: _make(name, config, seed=config.seed) for name in _names(config)}
        with Cache(config.cache or latest_cache(config.cache_dir)) as cache:
            selection = select(cache, config, progress=progress)
            config = settle_split(config, selection, log=log)
            if config.operate and selection.task.positive is None:
                raise FerError(
                    f"--operate needs a task of two classes, and {selection.task.name} has "
                    f"{len(selection.task.classes)}"
                )
            reader = _reader(cache, selection, config)
            names = _possible(heads, reader, config, log)
            for seed in range(config.seed, config.seed + config.seeds):
                problem = make_problem(selection, config, seed=seed)
                if log is not None and seed == config.seed:
                    for text in _remarks(problem):
                        log(f"note: {text}")
                done: dict[str, Any] = {}
                for name in names:
                    told = on_epoch(name) if on_epoch else None
                    head = _make(name, config, seed=seed)
                    fitted = _fit_and_score(name, head, problem, reader, config, told, done)
                    done[name] = fitted.head
                    yield write_run(fitted, cache, config, log=log or no_log)


def _remarks(problem: Problem) -> Iterator[str]:
    """What a user must know of how the data were read and split."""
    yield from problem.selection.choice.info.get("notes", ())
    if origin := problem.split.validation_from:
        yield (
            f"the data have no PublicTest part: {len(problem.split.validation):,} validation "
            f"images are cut from {origin}, stratified, twins on one side"
        )


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Make a folder, and take it away again if nothing came of it."""
    new = not path.exists()
    make_folder(path)
    try:
        yield
    finally:
        if new and not any(path.iterdir()):
            path.rmdir()


def _check(config: FitConfig) -> None:
    """What can be said of a configuration before anything is read."""
    check_views(config.views)
    if config.seeds < 1:
        raise FerError(f"--seeds must be at least 1, not {config.seeds}")
    if not 0 <= config.seed <= MAX_SEED - config.seeds + 1:
        raise FerError(
            f"--seed {config.seed} with --seeds {config.seeds}: seeds are 0 to {MAX_SEED}"
        )
    if config.cv == 1 or config.cv < 0:
        raise FerError(f"--cv {config.cv}: a cross-validation has at least 2 folds")
    if config.calibrate not in (None, *CALIBRATIONS):
        raise FerError(
            f"no such calibration: {config.calibrate}", hint=f"known are {', '.join(CALIBRATIONS)}"
        )
    if config.jobs == 0 or not -1 <= config.jobs <= MOST_JOBS:
        raise FerError(f"--jobs {config.jobs}: neither -1 nor a number of jobs, 1 to {MOST_JOBS}")
    for name in _names(config):
        head_class(name)
    for parameter, flag in (("random_state", "--seed"), ("n_jobs", "--jobs")):
        if any(name.split(".")[-1] == parameter for name in config.params):
            raise FerError(f"{parameter} is not set by --set", hint=f"{flag} sets it")


def _names(config: FitConfig) -> tuple[str, ...]:
    return head_names() if config.heads == ("all",) else config.heads


def _make(name: str, config: FitConfig, *, seed: int) -> Any:
    """A head with the configuration's parameters, seed and jobs, as far as it takes them."""
    head = make_head(name, **params_of(name, config.params, heads=_names(config)))
    common = {"random_state": seed, "n_jobs": config.jobs}
    known = head.get_params()
    return head.set_params(**{k: v for k, v in common.items() if k in known})


def _reader(cache: Cache, selection: Selection, config: FitConfig) -> Reader:
    layers = parse_layers(config.features) if config.features else (selection.choice.layers[-1],)
    return Reader(cache, selection.rows, layers, config.views)


def _possible(
    heads: dict[str, Any], reader: Reader, config: FitConfig, log: Note | None
) -> list[str]:
    """Names of the heads that the cache has features for, the rest noted, if all were asked for."""
    names = []
    for name, head in heads.items():
        missing = reader.missing(head.needs)
        soft = config.labels != "soft" or head.accepts_soft_targets
        if config.heads != ("all",) or (soft and not missing):
            names.append(name)
            reader.check(head.needs)
            if not soft:
                raise FerError(
                    f"the {name} head cannot be trained on shares of votes",
                    hint="--labels ferplus trains on the majority; dense and mlp take soft labels",
                )
        elif log is not None:
            why = f"the cache holds no {missing[0]}" if missing else "it takes no soft labels"
            log(f"{name} is left out: {why}")
    if not names:
        raise FerError("no head can be fitted on this cache", hint="fer cache info shows it")
    return names


def _fit_and_score(
    name: str,
    head: Any,
    problem: Problem,
    reader: Reader,
    config: FitConfig,
    on_epoch: EpochProgress | None,
    done: dict[str, Any],
) -> Fitted:
    split, selection = problem.split, problem.selection
    clock = time.perf_counter()
    X = reader.read(head.needs)
    seconds = {"read": time.perf_counter() - clock}
    cv = cross_validate(head, X, problem, k=config.cv) if config.cv else None
    clock = time.perf_counter()
    validation = X[split.validation], selection.label[split.validation]
    targets = None if selection.targets is None else selection.targets[split.train]
    head.on_epoch = on_epoch
    head.reuse(done)
    head.fit(
        X[split.train],
        selection.label[split.train],
        validation=validation,
        groups=selection.groups.linked[split.train],
        soft_targets=targets,
    )
    seconds["fit"] = time.perf_counter() - clock
    clock = time.perf_counter()
    probability = {
        part: head.predict_proba(X[getattr(split, part)]).astype(np.float64)
        for part in ("validation", "test")
    }
    seconds["predict"] = time.perf_counter() - clock
    fitted = Fitted(
        name=name,
        head=head,
        problem=problem,
        reader=reader,
        probability=probability,
        scores=_scores(probability, problem),
        cv=cv,
        seconds=seconds,
    )
    _decide(fitted, config)
    if config.sizes:
        fitted.sizes = learn_by_size(head, X, problem)
    return fitted


def _decide(fitted: Fitted, config: FitConfig) -> None:
    """Calibrate, and choose a threshold, both by the validation rows alone."""
    selection, split = fitted.problem.selection, fitted.problem.split
    label = selection.label[split.validation]
    if config.calibrate:
        calibrator = fit_calibrator(config.calibrate, fitted.probability["validation"], label)
        fitted.plain, fitted.calibrator = fitted.scores, calibrator
        fitted.probability = {
            part: calibrator.apply(before) for part, before in fitted.probability.items()
        }
        fitted.scores = _scores(fitted.probability, fitted.problem)
    if config.operate:
        wish, value = config.operate
        code = selection.task.class_names.index(str(selection.task.positive))
        said = fitted.probability["validation"][:, code]
        try:
            fitted.operating = choose_threshold(label == code, said, wish=wish, value=value)
        except FerError as error:  # the fit is worth keeping all the same
            fitted.unmet = f"{error.message}; {error.hint}"


def _scores(probability: dict[str, NDArray[np.float64]], problem: Problem) -> dict[str, Scores]:
    task = problem.selection.task
    return {
        part: score(
            problem.selection.label[getattr(problem.split, part)],
            said,
            classes=task.class_names,
            positive=task.positive,
        )
        for part, said in probability.items()
    }
