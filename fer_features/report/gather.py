"""From runs to the content of a report.

Run records are read here, in ``rankings`` and in ``facts``; the templates show some of their fields
as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from fer_features.errors import FerError
from fer_features.report import facts
from fer_features.report.formats import listed
from fer_features.report.rankings import bounds_of, ranking
from fer_features.report.view import Face, FindFaces, Images, Mistake, Report, Rows
from fer_features.runs.compare import compare
from fer_features.runs.predictions import Part, Predictions
from fer_features.runs.record import RunRecord
from fer_features.runs.repeats import leak_effects
from fer_features.runs.run import Run
from fer_features.runs.table import ComparisonTable
from fer_features.runtime.progress import Log, no_log
from fer_features.runtime.text import counted

SAMPLES = 10
"""Number of faces shown of each class."""

MISTAKES = 24
"""Number of mistakes shown."""


def gather(
    runs: Sequence[Run],
    *,
    every_seed: bool = True,
    faces: FindFaces | None = None,
    log: Log = no_log,
) -> Report:
    """Collect the content of a report.

    Args:
        runs: in any order.
        every_seed: show the runs of each seed, not only of the newest.
        faces: finds the images; without it no faces are shown.
        log: called with what cannot be shown, and why.

    Raises:
        FerError: there are no runs.
    """
    comparison = compare(runs)
    groups: dict[bytes, list[ComparisonTable]] = {}
    for table in (comparison if every_seed else comparison.newest_seeds()).tables:
        record = table.runs[0].record
        groups.setdefault(msgspec.json.encode([record.data.digest, record.task]), []).append(table)
    ordered = [sorted(group, key=_leaks) for group in groups.values()]
    tables = [table for group in ordered for table in group]
    shown = [run for table in tables for run in table.runs]
    records, names = [run.record for run in shown], _names(tables)
    named = [(names[run.path], run.record) for run in shown]
    caches = {record.cache.key: record for record in records}
    return Report(
        images=tuple(_images(group, faces, log) for group in ordered),
        runs=len(shown),
        random=sum(record.is_random for record in records),
        seen=sum(record.scored_seen > 0 for record in records),
        unknown=sum(record.provenance_unknown for record in records),
        seeds=tuple(map(facts.seeds, comparison.seeds)),
        operating=tuple(facts.operating(name, one.operate) for name, one in named if one.operate),
        calibrations=tuple(
            facts.calibration(name, one, one.calibration) for name, one in named if one.calibration
        ),
        by_epoch=tuple(facts.by_epoch(name, one.history) for name, one in named if one.history),
        by_size=tuple(facts.by_size(name, one.sizes) for name, one in named if one.sizes),
        leaked=tuple(map(facts.leaked, tables)),
        leak_effects=tuple(
            facts.leak_effect(names[one.run.path], one) for one in leak_effects(shown)
        ),
        caches=tuple(caches.values()),
        records=tuple(records),
    )


def _leaks(table: ComparisonTable) -> tuple[bool, bool]:
    """Sort key: ``grouped`` first, splits that leak last."""
    split = table.runs[0].record.split
    leaked = split.leaked
    return split.name != "grouped", any((leaked.exact, leaked.near, leaked.registered))


def _names(tables: Sequence[ComparisonTable]) -> dict[Path, str]:
    """A short unique name for each run, by its folder."""
    names: dict[Path, str] = {}
    for table in tables:
        split = table.runs[0].record.split
        seed = "" if split.seed is None else f" {split.seed}"
        suffix = f", {split.name}{seed}" if len(tables) > 1 else ""
        for run, name in zip(table.runs, table.names, strict=True):
            names[run.path] = f"{name}{suffix}"
    return names


def _images(group: Sequence[ComparisonTable], find: FindFaces | None, log: Log) -> Images:
    main, first = group[0], group[0].runs[0].record
    predictions = _predictions([run for table in group for run in table.runs], log)
    tests = [predictions[run.path].test for run in main.runs if run.path in predictions]
    own = predictions.get(main.runs[0].path)
    worst = _confident_mistakes(own.test) if own else np.empty(0, np.int64)
    samples = _samples(main, predictions)
    wanted = [*samples, own.test.row[worst]] if own else samples
    faces, no_faces = _faces(main.runs, wanted, find)
    if no_faces:
        log(f"no faces are shown: {no_faces}")
    classes, task, data = first.test.classes, first.task, first.data
    rankings = tuple(ranking(table, predictions, log) for table in group)
    splits = (table.runs[0].record.split for table in group)
    shown = zip(classes, samples, strict=False)  # no samples where no predictions are readable
    return Images(
        title=f"{task.name}: {counted(data.rows, 'image')} of {data.name}",
        data_name=data.name,
        positive=task.positive,
        labels=data.labels,
        dropped=data.dropped,
        splits=tuple(dict.fromkeys((one.name, one.validation_from) for one in splits)),
        class_counts=_class_counts(first),
        samples=tuple(
            (name, tuple((int(row), faces[row]) for row in rows if row in faces))
            for name, rows in shown
        ),
        mistakes=_mistakes(own.test, worst, tests, classes, faces) if own else None,
        no_faces=no_faces,
        bounds=bounds_of([row for one in rankings for row in one.rows]),
        rankings=rankings,
    )


def _predictions(runs: Iterable[Run], log: Log) -> dict[Path, Predictions]:
    found = {}
    for run in runs:
        try:
            found[run.path] = run.predictions()
        except FerError as error:
            log(f"left out of the curves: {error.message}")
    return found


def _faces(
    runs: Sequence[Run], wanted: Sequence[NDArray[np.int64]], find: FindFaces | None
) -> tuple[Mapping[int, Face], str]:
    """Faces from the first of the runs' caches that has them, or why there are none."""
    if find is None:
        return {}, "no images were given"
    if not wanted:
        return {}, "the predictions of no run can be read"
    problem = ""
    for run in {run.record.cache.key: run for run in runs}.values():
        try:
            return find(run, np.unique(np.concatenate(wanted))), ""
        except FerError as error:
            problem = problem or error.message
    return {}, problem


def _samples(
    table: ComparisonTable, predictions: dict[Path, Predictions]
) -> list[NDArray[np.int64]]:
    """Rows of each class, evenly spaced over the validation part."""
    parts = [predictions[run.path].validation for run in table.runs if run.path in predictions]
    if not parts:
        return []
    by_class = (parts[0].row[parts[0].label == k] for k in range(parts[0].probability.shape[1]))
    return [
        rows[np.linspace(0, len(rows) - 1, min(SAMPLES, len(rows))).astype(int)]
        for rows in by_class
    ]


def _confident_mistakes(part: Part) -> NDArray[np.int64]:
    """Positions of the misclassified rows with the highest probabilities, these first."""
    wrong = np.flatnonzero(~part.right)
    order = np.argsort(-part.probability.max(axis=1)[wrong], kind="stable")
    return wrong[order][:MISTAKES]


def _mistakes(
    part: Part,
    worst: NDArray[np.int64],
    tests: Sequence[Part],
    classes: Sequence[str],
    faces: Mapping[int, Face],
) -> tuple[Mistake, ...]:
    same = [one for one in tests if np.array_equal(one.row, part.row)]
    wrong = np.sum([~one.right for one in same], axis=0)
    predicted = part.probability.argmax(axis=1)
    return tuple(
        Mistake(
            row=int(part.row[at]),
            true=classes[part.label[at]],
            predicted=classes[predicted[at]],
            probability=float(part.probability[at, predicted[at]]),
            twin=bool(part.twin[at]),
            wrong=int(wrong[at]),
            face=faces.get(int(part.row[at])),
        )
        for at in worst
    )


def _class_counts(record: RunRecord) -> Rows:
    """Images by class and part; older records hold only the sum of the training images."""
    split, classes = record.split, record.task.classes
    train: Sequence[int | None] = record.data.counts.get("train") or [None] * len(classes)
    validation, test = (np.sum(part.confusion, axis=1) for part in (record.validation, record.test))
    rows = (
        (one.name, listed(one.emotions), n, int(v), int(t))
        for one, n, v, t in zip(classes, train, validation, test, strict=False)
    )
    return (*rows, ("all", "", split.train, split.validation, split.test))
