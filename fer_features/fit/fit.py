"""Stage 2: fit heads on a cache, score them once, and write a run for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

from fer_features.cache import Cache, latest_cache
from fer_features.config import COMBINE, MAX_SEED, POOLINGS, VIEWS, FitConfig
from fer_features.data.splits import Split
from fer_features.errors import FerError
from fer_features.fit.dataset import Dataset, load_dataset
from fer_features.fit.features import check_features, head_output
from fer_features.fit.record import write_run
from fer_features.fit.scoring import Ready, fit_and_score
from fer_features.fit.split import settle_split, split_dataset
from fer_features.heads import head_names, make_head, params_of
from fer_features.heads.base import EpochCallback
from fer_features.heads.calibration import CALIBRATIONS
from fer_features.runs.run import Run, make_folder
from fer_features.runtime.flags import make_config
from fer_features.runtime.progress import Log, Progress, no_log, no_progress

MOST_JOBS = 1024

_Source = Cache | Path | str | None
_Heads = list[str] | tuple[str, ...] | Literal["all"]


@overload
def fit(
    cache: _Source = None, *, head: _Heads, seeds: int | None = None, **options: Any
) -> list[Run]: ...
@overload
def fit(cache: _Source = None, *, head: str = ..., seeds: int, **options: Any) -> list[Run]: ...
@overload
def fit(cache: _Source = None, *, head: str = ..., seeds: None = None, **options: Any) -> Run: ...
def fit(
    cache: _Source = None,
    *,
    head: str | list[str] | tuple[str, ...] = FitConfig.heads[0],
    seeds: int | None = None,
    log: Log = no_log,
    progress: Progress = no_progress,
    **options: Any,
) -> Run | list[Run]:
    """Fit heads on a cache and write a run for each, as ``fer fit`` does.

    Args:
        cache: a cache or its file; None for the last one extracted or requested.
        head: a head's name, ``"all"``, or a list of names.
        seeds: how many seeds, from `seed` on.
        log: callback for lines of text, such as how the data were split.
        progress: progress callback of the search for copies.
        options: the other fields of `FitConfig`, such as ``split``, ``seed`` and ``params``.

    Returns:
        The run of one head; a list of runs for ``"all"``, a list of heads, or with `seeds` given.

    Raises:
        FerError: there is no such option, or the cache or an option's value cannot be used.
    """
    one = isinstance(head, str)
    given = {"cache": cache.path if isinstance(cache, Cache) else cache, **options}
    given["heads"] = (head,) if one else head
    if seeds is not None:
        given["seeds"] = seeds
    config = make_config(FitConfig, "fit", given)
    runs = list(fit_each(config, log=log, progress=progress))
    return runs[0] if one and head != "all" and seeds is None else runs


def fit_each(
    config: FitConfig,
    *,
    on_epoch: Callable[[str], EpochCallback] | None = None,
    log: Log = no_log,
    progress: Progress = no_progress,
) -> Iterator[Run]:
    """Fit each of the heads and yield its run as soon as it is written.

    Everything is chosen on validation; test is scored once, at the end.

    Args:
        config: which heads, on what.
        on_epoch: called with a head's name before it is fitted; returns its callback per epoch.
        log: callback for lines of text: heads left out, how the data were read and split.
        progress: progress callback of the search for copies, if no earlier command has made it.

    Raises:
        FerError: the cache or the configuration cannot be used.
    """
    with _folder(config.runs_dir):  # made first: a fit whose run cannot be written is lost
        heads = make_heads(config)
        with open_dataset(config, log=log, progress=progress) as (dataset, config):
            if config.operate and dataset.task.positive is None:
                raise FerError(
                    f"--threshold-for needs a task of two classes, and {dataset.task.name} has "
                    f"{len(dataset.task.classes)}",
                    hint="leave it out, or fit to two classes: --task binary",
                )
            names = _fittable(heads, dataset, config, log)
            for seed in range(config.seed, config.seed + config.seeds):
                seeded = replace(config, seed=seed)
                data, split = split_dataset(dataset, seeded)
                if seed == config.seed:
                    log_notes(data, split, config.seeds, log)
                ready: Ready = {}
                for name in names:
                    head = _make(name, replace(seeded, pooling=dataset.pooling))
                    head.on_epoch = on_epoch(name) if on_epoch else None
                    fitted = fit_and_score(head, data, split, seeded, ready=ready)
                    yield write_run(fitted, seeded, first_seed=config.seed, log=log)


@contextmanager
def open_dataset(
    config: FitConfig, *, log: Log, progress: Progress
) -> Iterator[tuple[Dataset, FitConfig]]:
    """Open the cache; yields its labelled rows, and the configuration with its split settled.

    Raises:
        FerError: the cache or the configuration cannot be used.
    """
    with Cache(config.cache or latest_cache(config.cache_dir)) as cache:
        dataset = load_dataset(cache, config, progress=progress)
        yield dataset, settle_split(config, dataset, log=log)


def log_notes(dataset: Dataset, split: Split, seeds: int, log: Log) -> None:
    """Log what the user must know of how the data were read and split."""
    if seeds > 1 and split.seed is None:
        log(
            f"note: split {split.name} draws nothing: with --seeds only the random numbers of the "
            "heads differ, and not the images"
        )
    for note in dataset.selection.info.get("notes", ()):
        log(f"note: {note}")
    if split.validation_from:
        log(
            f"note: the data have no PublicTest part: {len(split.validation):,} validation images "
            f"are cut from {split.validation_from}, stratified, twins on one side"
        )


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Make a folder, and remove it if it stays empty."""
    new = not path.exists()
    make_folder(path)
    try:
        yield
    finally:
        if new and not any(path.iterdir()):
            path.rmdir()


def _check(config: FitConfig) -> None:
    """Check what needs no cache."""
    for kind, value, known in (
        *(("view", view, VIEWS) for view in config.views),
        ("calibration", config.calibrate, (None, *CALIBRATIONS)),
        ("pooling", config.pooling, (None, *POOLINGS)),
        ("combine", config.combine, COMBINE),
    ):
        if value not in known:
            listed = ", ".join(filter(None, known))
            raise FerError(f"no such {kind}: {value}", hint=f"known are {listed}")
    if config.combine != "features" and not config.views:
        raise FerError(f"--combine {config.combine} needs another view", hint="add --views flip")
    for parameter, flag in (("random_state", "--seed"), ("n_jobs", "--jobs")):
        if any(name.split(".")[-1] == parameter for name in config.params):
            raise FerError(f"{parameter} is not set by --set", hint=f"{flag} sets it")
    last = MAX_SEED - config.seeds + 1
    jobs_valid = config.jobs == -1 or 1 <= config.jobs <= MOST_JOBS
    for flag, number, valid, text in (
        ("--seeds", config.seeds, config.seeds >= 1, "at least 1"),
        ("--seed", config.seed, 0 <= config.seed <= last, f"0 to {last}"),
        ("--cv", config.cv, config.cv == 0 or config.cv >= 2, "0, or at least 2 folds"),
        ("--jobs", config.jobs, jobs_valid, f"-1, or 1 to {MOST_JOBS}"),
    ):
        if not valid:
            raise FerError(f"{flag} {number}: it must be {text}")


def make_heads(config: FitConfig) -> dict[str, Any]:
    """The heads to fit, by name, once all that needs no cache has been checked.

    Raises:
        FerError: the configuration cannot be used.
    """
    _check(config)
    return {name: _make(name, config) for name in _names(config)}


def _names(config: FitConfig) -> tuple[str, ...]:
    return head_names() if config.heads == ("all",) else config.heads


def _make(name: str, config: FitConfig) -> Any:
    """A head with the configuration's parameters, seed, jobs and pooling, if it has them."""
    head = make_head(name, **params_of(name, config.params, heads=_names(config)))
    common: dict[str, Any] = {"random_state": config.seed, "n_jobs": config.jobs}
    if config.pooling:
        common["pooling"] = config.pooling
    return head.set_params(**{k: v for k, v in common.items() if k in head.get_params()})


def check_head(head: Any, dataset: Dataset) -> None:
    """Check that a head can be fitted to a data set's features and labels.

    Raises:
        FerError: it cannot.
    """
    check_features(dataset, head_output(dataset, head))
    if dataset.labels == "soft" and not head.accepts_soft_targets:
        raise FerError(
            f"the {head.name} head cannot be trained on shares of votes",
            hint="--labels ferplus trains on the majority; dense and mlp take soft labels",
        )


def _fittable(heads: dict[str, Any], dataset: Dataset, config: FitConfig, log: Log) -> list[str]:
    """Names of the heads to fit; of ``all``, those that cache and labels allow."""
    names = []
    for name, head in heads.items():
        try:
            check_head(head, dataset)
        except FerError as error:
            if config.heads != ("all",):
                raise
            log(f"{name} is left out: {error.message}")
        else:
            names.append(name)
    if not names:
        raise FerError("no head can be fitted on this cache", hint="fer cache info shows it")
    return names
