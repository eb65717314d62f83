"""What there is to show of some runs: compared, with their mistakes, and faces to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from fer_features.errors import FerError
from fer_features.report.album import Face, read_faces
from fer_features.runs.compare import compare
from fer_features.runs.record import RunRecord
from fer_features.runs.repeats import LeakEffect, OverSeeds, leak_effects
from fer_features.runs.run import Part, Predictions, Run
from fer_features.runs.table import ComparisonTable
from fer_features.runs.verdicts import Verdict

SAMPLES = 10
"""How many faces of each class are shown."""

MISTAKES = 24
"""How many of the most confident mistakes are shown."""

Note = Callable[[str], None]


@dataclass(frozen=True)
class Mistake:
    """A test image that a head is sure of, and wrong about.

    Attributes:
        row: its number in the source.
        true: the true class's name.
        said: the class that the head says.
        probability: what it gives that class, 0 to 1.
        twin: whether it has a twin in training or validation.
        wrong: how many runs of the table are wrong about it.
    """

    row: int
    true: str
    said: str
    probability: float
    twin: bool
    wrong: int


@dataclass(frozen=True)
class Subject:
    """All runs on the same images with the same labels.

    Attributes:
        tables: runs that may be ranked; first the newest whose split cannot leak, if there is one.
        verdicts: what can be said of each table's first run; None where nothing can.
        predictions: by the run's folder, without those that cannot be read.
        samples: rows of each class, in the classes' order.
        mistakes: of the first run of `main`, the surest first.
        faces: by row; empty without the cache.
        why_no_faces: what is wrong with the cache; empty where nothing is.
    """

    tables: tuple[ComparisonTable, ...]
    verdicts: tuple[Verdict | None, ...]
    predictions: dict[Path, Predictions]
    samples: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...]
    faces: dict[int, Face]
    why_no_faces: str

    @property
    def main(self) -> ComparisonTable:
        """The table that is spoken of first."""
        return self.tables[0]

    @property
    def runs(self) -> list[Run]:
        """The runs of all tables."""
        return [run for table in self.tables for run in table.runs]

    @property
    def record(self) -> RunRecord:
        """The record of the first run of the main table."""
        return self.main.runs[0].record


@dataclass(frozen=True)
class Gathered:
    """What a report is about.

    Attributes:
        subjects: one for each set of images and labels, the newest first.
        seeds: heads that were fitted with several seeds.
        leaks: the runs whose split leaks, and what that does to their scores.
        random: ids of the runs on features of networks with random weights.
        seen: ids of the runs that have scored images that their weights have learnt from.
        unknown: ids of the runs of which it is not known what their weights have learnt from.
    """

    subjects: tuple[Subject, ...]
    seeds: tuple[OverSeeds, ...]
    leaks: tuple[LeakEffect, ...]
    random: tuple[str, ...]
    seen: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def runs(self) -> list[Run]:
        """All runs that are shown."""
        return [run for subject in self.subjects for run in subject.runs]

    @property
    def names(self) -> dict[Path, str]:
        """What tells each run from the others, in a few words, by the run's folder."""
        tables = [table for subject in self.subjects for table in subject.tables]
        names = {}
        for table in tables:
            split = table.runs[0].record.split
            seed = "" if split.seed is None else f" {split.seed}"
            several = f", {split.name}{seed}" if len(tables) > 1 else ""
            for run, name in zip(table.runs, table.names, strict=True):
                names[run.path] = f"{name}{several}"
        return names


def gather(runs: Sequence[Run], *, every_seed: bool = True, log: Note) -> Gathered:
    """Collect what there is to show.

    Args:
        runs: in any order.
        every_seed: show a table for each seed, and not only for the newest.
        log: told what cannot be shown, and why.

    Raises:
        FerError: there are no runs, or a record lacks what a run must have.
    """
    comparison = compare(runs)
    tables = (comparison if every_seed else comparison.newest_seeds()).tables
    groups: dict[bytes, list[ComparisonTable]] = {}
    for table in tables:
        record = table.runs[0].record
        key = msgspec.json.encode([record.data.digest, record.task])
        groups.setdefault(key, []).append(table)
    subjects = tuple(_subject(group, log) for group in groups.values())
    shown = [run for subject in subjects for run in subject.runs]
    return Gathered(
        subjects=subjects,
        seeds=comparison.seeds,
        leaks=tuple(leak_effects(shown)),
        random=tuple(run.record.id for run in shown if run.record.is_random),
        seen=tuple(run.record.id for run in shown if run.record.scored_seen),
        unknown=tuple(run.record.id for run in shown if run.record.provenance_unknown),
    )


def _leaks(table: ComparisonTable) -> tuple[bool, bool]:
    """What tables are put in order by: ``grouped`` first, those that leak last."""
    split = table.runs[0].record.split
    leaked = split.leaked
    return split.name != "grouped", any((leaked.exact, leaked.near, leaked.registered))


def _subject(tables: list[ComparisonTable], log: Note) -> Subject:
    main, *others = sorted(tables, key=_leaks)
    predictions = _predictions([run for table in tables for run in table.runs], log)
    samples, mistakes = _samples(main, predictions), _mistakes(main, predictions)
    wanted = [row for rows in samples for row in rows] + [one.row for one in mistakes]
    faces, why = _faces(main.runs, wanted)
    if why:
        log(f"no faces are shown: {why}")
    return Subject(
        tables=(main, *others),
        verdicts=tuple(table.verdict for table in (main, *others)),
        predictions=predictions,
        samples=samples,
        mistakes=mistakes,
        faces=faces,
        why_no_faces=why,
    )


def _predictions(runs: Iterable[Run], log: Note) -> dict[Path, Predictions]:
    found = {}
    for run in runs:
        try:
            found[run.path] = run.predictions()
        except FerError as error:
            log(f"left out of the curves: {error.message}")
    return found


def _faces(runs: Sequence[Run], rows: Sequence[int]) -> tuple[dict[int, Face], str]:
    """Faces from the first of the runs' caches that has them, or why none has."""
    why = ""
    for record in {run.record.cache.key: run.record for run in runs}.values():
        try:
            return read_faces(record, rows), ""
        except FerError as error:
            why = why or error.message
    return {}, why


def _samples(
    table: ComparisonTable, predictions: dict[Path, Predictions]
) -> tuple[tuple[int, ...], ...]:
    """Rows of each class from all over the validation part."""
    for run in table.runs:
        if run.path in predictions:
            part = predictions[run.path].validation
            return tuple(_spread(part, code) for code in range(part.probability.shape[1]))
    return ()


def _spread(part: Part, code: int) -> tuple[int, ...]:
    rows = part.row[part.label == code]
    places = np.linspace(0, len(rows) - 1, min(SAMPLES, len(rows))).astype(int)
    return tuple(int(row) for row in rows[places])


def _mistakes(table: ComparisonTable, predictions: dict[Path, Predictions]) -> tuple[Mistake, ...]:
    """The surest mistakes of the table's first run on the test rows."""
    first = predictions.get(table.runs[0].path)
    if first is None:
        return ()
    test, classes = first.test, table.runs[0].record.test.classes
    tests = [predictions[run.path].test for run in table.runs if run.path in predictions]
    tests = [one for one in tests if np.array_equal(one.row, test.row)]
    wrong = sum((one.probability.argmax(axis=1) != one.label).astype(int) for one in tests)
    said = test.probability.argmax(axis=1)
    sure = test.probability.max(axis=1)
    places = np.flatnonzero(said != test.label)
    surest = places[np.argsort(-sure[places], kind="stable")][:MISTAKES]
    return tuple(
        Mistake(
            row=int(test.row[at]),
            true=classes[test.label[at]],
            said=classes[said[at]],
            probability=float(sure[at]),
            twin=bool(test.twin[at]),
            wrong=int(np.asarray(wrong)[at]),
        )
        for at in surest
    )
