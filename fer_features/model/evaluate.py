"""A model scored on labelled faces: all together, by class, by group, and against another model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import seen_images
from fer_features.data import EMOTIONS, FaceSource
from fer_features.data.csv import CsvFaces
from fer_features.data.folder import FolderFaces
from fer_features.data.parquet import ParquetFaces
from fer_features.data.tasks import OUTSIDE, Task
from fer_features.data.unpack import read_columns
from fer_features.errors import FerError
from fer_features.metrics.groups import mantel_haenszel
from fer_features.metrics.intervals import macro_interval, share_interval
from fer_features.metrics.paired import difference, holm, mcnemar
from fer_features.runs.evaluation import (
    ALL,
    CLASS,
    GROUP,
    LEAST,
    SIGNIFICANCE,
    Against,
    Evaluation,
    GroupScore,
    LeftOut,
)
from fer_features.runtime.progress import Advance, Progress, no_progress
from fer_features.runtime.text import plain_text

if TYPE_CHECKING:
    from fer_features.model.model import Model

BATCH = 512

FILE = "file"
"""The column of a table with the pictures' paths or names."""

NO_GROUP = "(none)"
"""The group of rows of which the column is empty, or that the table does not list."""

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]


def evaluate_model(
    model: Model,
    source: FaceSource,
    *,
    groups: NDArray[np.str_] | None = None,
    group: str | None = None,
    other: Model | None = None,
    allow_seen: bool = False,
    progress: Progress = no_progress,
) -> Evaluation:
    """Score a model on the faces of a source; each picture is one face.

    Args:
        model: the model.
        source: labelled faces.
        groups: (N,), the group of each usable row.
        group: what they are called together.
        other: a model of the same classes to compare with.
        allow_seen: also score faces that a model has learnt from.
        progress: progress bar.

    Raises:
        FerError: the models' classes differ, the source is what a model was fitted to, no face is
            left, or a face cannot be read.
    """
    models = [model] if other is None else [model, other]
    task = _task(model)
    if any(_task(one).classes != task.classes for one in models):
        raise FerError(
            "the two models know different classes",
            hint="; ".join(f"{one.name}: {', '.join(one.classes)}" for one in models),
        )
    notes = _fitted_on(models, source, allow_seen=allow_seen)
    index = source.index()
    label = task.labels(index.emotion)
    outside = np.bincount(index.emotion[label == OUTSIDE], minlength=len(EMOTIONS))
    known = np.flatnonzero(label != OUTSIDE)
    with progress("scoring", len(known), "faces") as advance:
        called, learnt, copies = _predict(models, source, index.row[known], advance=advance)
    kept = np.full(len(known), True) if allow_seen else ~(learnt | copies)
    if not kept.any():
        raise FerError(
            f"{source.name} has no face that can be scored",
            hint=f"{learnt.sum()} have been learnt from, {copies.sum()} are copies of such, and "
            f"{outside.sum()} are of other classes than {', '.join(model.classes)}",
        )
    y, rights = label[known][kept], [one[kept] == label[known][kept] for one in called]
    grouped = None if groups is None else groups[known][kept]
    confusion = np.zeros((len(model.classes),) * 2, np.int64)
    np.add.at(confusion, (y, called[0][kept]), 1)
    named = {name: int(n) for name, n in zip(EMOTIONS, outside, strict=True) if n}
    return Evaluation(
        model=model.name,
        other=None if other is None else other.name,
        data=source.name,
        group=group,
        classes=model.classes,
        confusion=confusion.tolist(),
        scores=tuple(_scores(model.classes, y, rights, grouped)),
        left_out=LeftOut(named, int(learnt.sum()), int(copies.sum()), len(index.bad)),
        allowed=allow_seen,
        notes=(*notes, *index.notes),
    )


def _task(model: Model) -> Task:
    return Task.from_dict(msgspec.to_builtins(model.record.task))


def _fitted_on(models: Sequence[Model], source: FaceSource, *, allow_seen: bool) -> list[str]:
    """Refuse, or note, that a source is what a model's head was fitted to and chosen on."""
    digest = source.digest()
    names = [one.name for one in models if one.record.source_sha256 == digest]
    if not names:
        return []
    if not allow_seen:
        raise FerError(
            f"{source.name} is what the head of {names[0]} was fitted to and chosen on",
            hint="its scores on the rows kept apart for testing: fer model show; --allow-seen "
            "scores it on all of them nevertheless",
        )
    return [f"The head of {name} was fitted to and chosen on faces of these." for name in names]


def _predict(
    models: Sequence[Model],
    source: FaceSource,
    rows: NDArray[np.int64],
    *,
    advance: Advance,
) -> tuple[list[Labels], Mask, Mask]:
    """Each model's class codes of rows, and which rows any backbone has learnt, or copies of."""
    known = [one for one in (seen_images(model.weights) for model in models) if one is not None]
    called = [np.empty(len(rows), np.int64) for _ in models]
    learnt, copies = np.zeros((2, len(rows)), np.bool_)
    start = 0
    for faces in source.read(rows, batch_size=BATCH):
        block = slice(start, start + len(faces))
        for model, codes in zip(models, called, strict=True):
            names = model.labels(model.probabilities(faces.images))
            codes[block] = [model.classes.index(name) for name in names]
        for seen in known:
            marks = seen.marks(faces.images, faces.sha256) > 0
            copy = marks[:, 1:].any(axis=1)
            copies[block] |= copy
            learnt[block] |= marks[:, 0] & ~copy
        start = block.stop
        advance(len(faces))
    return called, learnt, copies & ~learnt


def _score(kind: str, name: str, y: Labels, rights: Sequence[Mask], rows: Mask) -> GroupScore:
    n, right, label = int(rows.sum()), rights[0][rows], y[rows]
    true, hits = np.bincount(label), np.bincount(label[right], minlength=label.max() + 1)
    true, hits = true[true > 0], hits[true > 0]
    return GroupScore(
        kind=kind,
        name=name,
        n=n,
        accuracy=float(right.mean()),
        interval=share_interval(int(right.sum()), n),
        balanced_accuracy=float((hits / true).mean()),
        balanced_interval=macro_interval(hits, true),
    )


def _scores(
    classes: Sequence[str], y: Labels, rights: Sequence[Mask], groups: NDArray[np.str_] | None
) -> list[GroupScore]:
    """The scores of all faces, of each class and of each group, with what the tests allow to say.

    The p values of groups are corrected for the number of groups that are large enough; that of
    all faces is not, as it answers a question of its own.
    """
    everything = np.full(len(y), True)
    whole = _score(ALL, ALL, y, rights, everything)
    found = [replace(whole, against=_against(rights, [everything])[0])]
    for code, name in enumerate(classes):
        if (y == code).any():
            found.append(_score(CLASS, name, y, rights, y == code))
    if groups is None:
        return found
    names = np.unique(groups)
    masks = [groups == name for name in names]
    tests = [mantel_haenszel(rights[0], one, y) for one in masks]
    p = _corrected([one.p for one in tests], masks)
    for name, rows, test, own, against in zip(
        names, masks, tests, p, _against(rights, masks), strict=True
    ):
        score = _score(GROUP, str(name), y, rights, rows)
        outcome = _outcome(rows, own, "better" if test.excess > 0 else "worse")
        found.append(replace(score, p=own, outcome=outcome, against=against))
    return found


def _against(rights: Sequence[Mask], masks: Sequence[Mask]) -> list[Against | None]:
    """The second model on the faces of each mask; None where there is no second."""
    if len(rights) < 2:
        return [None] * len(masks)
    tests = [mcnemar(rights[0][rows], rights[1][rows]) for rows in masks]
    found: list[Against | None] = []
    for rows, (only_a, only_b, _), p in zip(
        masks, tests, _corrected([one.p for one in tests], masks), strict=True
    ):
        outcome = _outcome(rows, p, "ahead" if only_a > only_b else "behind")
        gain = difference(only_a, only_b, int(rows.sum()))
        found.append(Against(gain, only_a, only_b, p, outcome))
    return found


def _corrected(p: Sequence[float], masks: Sequence[Mask]) -> list[float]:
    """Holm's correction of the p values of groups that are large enough; the others' stay."""
    large = [place for place, rows in enumerate(masks) if rows.sum() >= LEAST]
    found = list(p)
    for place, value in zip(large, holm([p[place] for place in large]), strict=True):
        found[place] = value
    return found


def _outcome(rows: Mask, p: float, apart: str) -> str:
    if rows.sum() < LEAST:
        return "few"
    return apart if p <= SIGNIFICANCE else "open"


def read_groups(source: FaceSource, column: str, *, table: Path | None = None) -> NDArray[np.str_]:
    """The group of each usable row of a source.

    Args:
        source: a CSV or Parquet file, or a folder of pictures.
        column: the column's name, in any case.
        table: for a folder: a CSV file with a column ``file``, which holds paths in the folder, or
            names of files where these are unique, and the column of groups.

    Returns:
        (N,), in the order of the source's `index`; `NO_GROUP` where there is none.

    Raises:
        FerError: there is no such column, or the table lists no picture of the folder.
    """
    if isinstance(source, (CsvFaces, ParquetFaces)) and table is None:
        found = source.column(column)
        return np.array([one or NO_GROUP for one in found])[source.index().row]
    if not isinstance(source, FolderFaces) or table is None:
        raise FerError(
            f"{source.name} has no column {plain_text(column)}",
            hint="--group names a column of a CSV or Parquet file; for a folder of pictures give "
            f"--table FILE.csv with the columns {FILE} and {plain_text(column)}",
        )
    listed = {file: group for group, file in read_columns(table, column, FILE)}
    paths = [source.paths[row] for row in source.index().row]
    names = Counter(PurePosixPath(path).name for path in paths)
    groups = []
    for path in paths:
        name = PurePosixPath(path).name
        group = listed.get(path, listed.get(name) if names[name] == 1 else None)
        groups.append(group or NO_GROUP)
    if not set(groups) - {NO_GROUP}:
        raise FerError(
            f"{table} lists no picture of {source.name}",
            hint=f"its column {FILE} holds paths in the folder, such as {plain_text(paths[0])}",
        )
    return np.array(groups)
