"""The run record, and its folder."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fer_features import __version__
from fer_features.config import FitConfig
from fer_features.fit.data_record import cache_record, data_record
from fer_features.fit.features import head_output
from fer_features.fit.scoring import Fitted
from fer_features.metrics.intervals import score_intervals
from fer_features.runs import schema as runs
from fer_features.runs.predictions import Part, Predictions
from fer_features.runs.record import RunRecord
from fer_features.runs.run import Run, Save
from fer_features.runs.run import write_run as write
from fer_features.runtime.flags import words_of
from fer_features.runtime.progress import Log, no_log
from fer_features.runtime.text import plain_text

_NOT_REPEATED = ("cache", "heads", "cache_dir", "runs_dir", "jobs")
"""Fields that `command` gives in another way, or that change no result."""


def write_run(fitted: Fitted, config: FitConfig, *, first_seed: int, log: Log = no_log) -> Run:
    """Write a run's folder: record, model, predictions, and the curves if there are any.

    Args:
        fitted: the fitted head.
        config: the configuration, with the run's seed.
        first_seed: the first of the seeds, by which the rows were chosen.
        log: callback for lines of text.
    """
    head, cache = fitted.head, fitted.dataset.cache.path
    reused = getattr(head, "chosen_", {}).get("fitted_before", ())
    again = command(config, head.name, cache, reused=reused, first_seed=first_seed)
    record = _record(fitted, config, plain_text(again))
    name = _run_id(record)
    title = "\n".join([f"{head.title}, {name}", *record.marks])
    saves = {"model": head.save, "predictions": _predictions(fitted).save}
    saves |= _figures(record, title=title)
    return write(Path(config.runs_dir) / name, record, saves, log=log)


def _record(fitted: Fitted, config: FitConfig, command: str) -> RunRecord:
    head, dataset, split = fitted.head, fitted.dataset, fitted.split
    return RunRecord(
        id="new",
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        cache=cache_record(dataset.cache),
        data=data_record(dataset, split),
        task=msgspec.convert(dataset.task.to_dict(), runs.Task),
        split=runs.Split(
            name=split.name,
            seed=split.seed,
            train=len(split.train),
            validation=len(split.validation),
            test=len(split.test),
            leaked=runs.Leaked(**split.leaked),
            validation_from=split.validation_from,
            copies_indexed=dataset.copies_indexed,
        ),
        head=runs.HeadRecord(
            name=head.name,
            title=head.title,
            features=head_output(dataset, head),
            layers=list(dataset.layers),
            views=list(dataset.views),
            combine=dataset.combine if dataset.views else "features",
            combined=fitted.combined,
            params=head.get_params(),
            chosen=getattr(head, "chosen_", {}),
        ),
        seed=config.seed,
        validation=fitted.scores["validation"],
        test=fitted.scores["test"],
        intervals=_intervals(fitted),
        leak=_leak(fitted),
        calibration=fitted.calibration,
        operate=fitted.operate,
        cv=fitted.cv,
        sizes=fitted.sizes,
        history=getattr(head, "history_", None),
        seconds=fitted.seconds,
        predicted_rows=len(split.validation) + len(split.test),
        command=command,
        software={
            "fer_features": __version__,
            "python": platform.python_version(),
            **{one: version(one) for one in ("numpy", "scikit-learn", "keras")},
        },
    )


def command(
    config: FitConfig,
    head: str,
    cache: Path,
    *,
    reused: Iterable[str] = (),
    first_seed: int | None = None,
) -> str:
    """The command that repeats one head's fit: flags for all that differs from the defaults.

    Args:
        config: the configuration, with the run's seed.
        head: the head's name.
        cache: the cache.
        reused: heads of the same command that became members of the head; those with parameters of
            their own are fitted again with it.
        first_seed: the first of several seeds. Where it has drawn the rows of them all, the command
            begins with it, and repeats the fits of the seeds before this one too.
    """
    seeds = 1
    drawn = config.per_class != "all" and (config.task or config.per_class)
    if first_seed is not None and drawn:
        seeds = config.seed - first_seed + 1
        config = replace(config, seed=first_seed)
    given = {key.rpartition(".")[0] for key in config.params}
    heads = [one for one in reused if {one, ""} & given] + [head]
    own = {key: one for key, one in config.params.items() if key.rpartition(".")[0] in ("", *heads)}
    words = words_of(replace(config, seeds=seeds, params=own), skip=_NOT_REPEATED)
    return shlex.join(["fer", "fit", str(cache), "--head", ",".join(heads), *words])


def _run_id(record: RunRecord) -> str:
    """An id that is the same for the same data, split and parameters, whatever the results."""
    known = msgspec.to_builtins(record)
    head, data = known["head"], known["data"]
    head["params"].pop("n_jobs", None)
    head["chosen"] = None
    head.pop("combined", None)
    for name in ("fer2013", "provenance"):
        del data[name]
    calibration, operate = record.calibration, record.operate
    after = [
        calibration and calibration.method,
        operate and [operate.target, operate.value],
        record.cv and record.cv.folds,  # or a fit without folds would overwrite one with them
        bool(record.sizes),
    ]
    key = [record.cache.key, data, known["split"], head, record.seed, after]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:8]
    seed = "" if record.split.seed is None else f"-s{record.split.seed}"
    return f"{record.head.name}-{record.split.name}{seed}-{digest}"


def _intervals(fitted: Fitted) -> dict[str, tuple[float, float] | None]:
    """95 % intervals of the test scores; None where one is undefined."""
    task = fitted.dataset.task
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
    twin = fitted.split.copied
    if not twin.any():
        return None
    right = fitted.probability["test"].argmax(axis=1) == fitted.label("test")
    return runs.Leak(
        test_twins=int(twin.sum()),
        accuracy_on_twins=float(right[twin].mean()),
        accuracy_on_others=float(right[~twin].mean()) if not twin.all() else None,
    )


def _predictions(fitted: Fitted) -> Predictions:
    split, source_row = fitted.split, fitted.dataset.metadata.source_row
    copied = {"validation": np.zeros(len(split.validation), bool), "test": split.copied}
    parts = {
        part: Part(source_row[getattr(split, part)], fitted.label(part), probability, copied[part])
        for part, probability in fitted.probability.items()
    }
    return Predictions(**parts)


def _figures(record: RunRecord, *, title: str) -> dict[str, Save]:
    """Functions that save the learning curves, by the files' names in the record."""
    from fer_features.runs.figures import sizes_curve
    from fer_features.runtime.figures import learning_curves, save_figure

    def png(figure: Any) -> Save:
        return lambda path: save_figure(figure, path.with_name(f"{path.name}.png"))

    figures = {}
    if record.history:
        figures["curves"] = png(learning_curves(record.history, title=title))
    if record.sizes:
        figures["sizes"] = png(sizes_curve(record.sizes, title=title))
    return figures
