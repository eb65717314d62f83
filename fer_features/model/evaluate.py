"""A model scored on labelled faces: all together, by class, by group, and against another model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import seen_images
from fer_features.data import EMOTIONS, FaceSource
from fer_features.data.csv import CsvFaces
from fer_features.data.faces import pixel_sha256
from fer_features.data.folder import FolderFaces
from fer_features.data.parquet import ParquetFaces
from fer_features.data.pictures import PictureSource
from fer_features.data.summary import photograph_notes
from fer_features.data.tasks import OUTSIDE, Task
from fer_features.data.unpack import read_columns
from fer_features.detect.crop import check_crop_rule
from fer_features.errors import FerError
from fer_features.model.decoding import Options, Source
from fer_features.model.faces import as_faces
from fer_features.model.pictures import Cut, FaceDetector, cut_faces
from fer_features.runs.evaluation import WITH_UNANSWERED, Evaluation, LeftOut
from fer_features.runs.group_scores import score_faces, score_groups
from fer_features.runtime.progress import Advance, Progress, no_progress
from fer_features.runtime.text import plain_text

if TYPE_CHECKING:
    from fer_features.model.model import Model

BATCH = 512
"""Faces that are predicted together, of pictures that are faces."""

FOUND_BATCH = 64
"""Pictures of which the faces are predicted together, where they are looked for."""

ANSWERED, *UNANSWERED = "ok", "no_face", "too_small", "unreadable"

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
    whole: bool = True,
    detector: FaceDetector | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Score a model on the faces of a source.

    Args:
        model: the model.
        source: labelled faces.
        groups: (N,), the group of each usable row.
        group: what they are called together.
        other: a model of the same classes to compare with.
        allow_seen: also score faces that a model has learnt from.
        whole: each picture is a face; else the largest face that is found in it is scored.
        detector: finds the faces; by default a new `Detector`.
        progress: progress bar.

    Raises:
        FerError: the models' classes differ, the source is what a model was fitted to, no face is
            left, or, where each picture is a face, one cannot be read.
    """
    models = [model] if other is None else [model, other]
    notes = _notes(models, source, allow_seen=allow_seen, whole=whole)
    index = source.index()
    label = _check(models, whole=whole).labels(index.emotion)
    known = np.flatnonzero(label != OUTSIDE)
    outside = Counter(EMOTIONS[code] for code in sorted(index.emotion[label == OUTSIDE]))
    y, rows = label[known], index.row[known]
    blocks = _whole(source, rows) if whole else _found(source, rows, detector)
    with progress("scoring", len(rows), "faces") as advance:
        called, status, learnt, copies = _predict(models, blocks, len(rows), advance=advance)
    kept = np.full(len(rows), True) if allow_seen else ~(learnt | copies)
    scored = kept & (status == ANSWERED)
    unanswered = {one: int((kept & (status == one)).sum()) for one in UNANSWERED}
    if not scored.any():
        raise FerError(
            f"{source.name} has no face that can be scored",
            hint=f"{learnt.sum()} have been learnt from, {copies.sum()} are copies of such, "
            f"{sum(unanswered.values())} have no answer, and "
            f"{outside.total()} are of other classes than {', '.join(model.classes)}",
        )
    rights = [one == y for one in called]
    grouped = None if groups is None else groups[known][scored]
    scores = score_groups(model.classes, y[scored], [one[scored] for one in rights], grouped)
    if not whole:
        scores.insert(1, score_faces(WITH_UNANSWERED, "all, unanswered as wrong", y, rights, kept))
    return Evaluation(
        model=model.name,
        other=None if other is None else other.name,
        data=source.name,
        group=group,
        classes=model.classes,
        confusion=_confusion(y[scored], called[0][scored], len(model.classes)),
        scores=tuple(scores),
        unanswered=None if whole else unanswered,
        left_out=LeftOut(dict(outside), int(learnt.sum()), int(copies.sum()), len(index.bad)),
        allowed=allow_seen,
        notes=tuple(notes),
    )


def _confusion(y: Labels, called: Labels, n_classes: int) -> list[list[int]]:
    confusion = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(confusion, (y, called), 1)
    return [list(map(int, row)) for row in confusion]


def _check(models: Sequence[Model], *, whole: bool) -> Task:
    """The models' task; refuse different ones, and faces that are cut out otherwise than here."""
    task = _task(models[0])
    if any(_task(one).classes != task.classes for one in models):
        raise FerError(
            "the two models know different classes",
            hint="; ".join(f"{one.name}: {', '.join(one.classes)}" for one in models),
        )
    for one in models:
        if not whole:
            check_crop_rule(one.crop, model=one.name)
    return task


def _task(model: Model) -> Task:
    return Task.from_dict(msgspec.to_builtins(model.record.task))


def _notes(
    models: Sequence[Model], source: FaceSource, *, allow_seen: bool, whole: bool
) -> list[str]:
    large = photograph_notes(source, option="--faces found") if whole else ()
    return [*_fitted_on(models, source, allow_seen=allow_seen), *large, *source.index().notes]


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


class _Block(NamedTuple):
    """Some rows of a source.

    Attributes:
        status: (M,), `ANSWERED` or one of `UNANSWERED`.
        faces: uint8 (A, 48, 48), of the answered rows.
        shown: uint8 (S, 48, 48), all that may have been learnt: whole pictures and faces.
        place: int (S,), the row of the block that each is of.
    """

    status: NDArray[np.str_]
    faces: NDArray[np.uint8]
    shown: NDArray[np.uint8]
    place: NDArray[np.int64]


def _whole(source: FaceSource, rows: NDArray[np.int64]) -> Iterator[_Block]:
    for faces in source.read(rows, batch_size=BATCH):
        images, n = faces.images, len(faces)
        yield _Block(np.full(n, ANSWERED), images, images, np.arange(n))


def _found(
    source: FaceSource, rows: NDArray[np.int64], detector: FaceDetector | None
) -> Iterator[_Block]:
    """The largest face of each picture, where one is found that is large enough."""
    cuts = cut_faces(_pictures(source, rows), Options(largest=True), detector=detector)
    small = ((cut.rows[0].status, _whole_picture(cut), cut.crops) for cut in cuts)
    while block := list(islice(small, FOUND_BATCH)):
        shown = [[*picture, *crops] for _, picture, crops in block]
        yield _Block(
            np.array([status for status, _, _ in block]),
            as_faces([crop for _, _, crops in block for crop in crops]),
            as_faces([one for some in shown for one in some]),
            np.repeat(np.arange(len(block)), [len(some) for some in shown]),
        )


def _pictures(source: FaceSource, rows: NDArray[np.int64]) -> Iterator[Source]:
    if isinstance(source, PictureSource) and source.has_pictures:
        yield from source.files(rows)
        return
    for faces in source.read(rows, batch_size=BATCH):
        yield from faces.images


def _whole_picture(cut: Cut) -> NDArray[np.uint8]:
    """The whole picture, uint8 (1, 48, 48); (0, 48, 48) if it could not be read."""
    return as_faces([] if cut.picture.pixels is None else [cut.picture.pixels])


def _predict(
    models: Sequence[Model], blocks: Iterator[_Block], n: int, *, advance: Advance
) -> tuple[list[Labels], NDArray[np.str_], Mask, Mask]:
    """Each model's class codes of `n` rows, -1 without an answer; the rows' status; learnt, copies.

    The last two tell which rows any backbone has learnt, and has learnt copies of.
    """
    known = [one for one in (seen_images(model.weights) for model in models) if one is not None]
    called = [np.full(n, -1) for _ in models]
    learnt, copies = np.zeros((2, n), np.bool_)
    status: list[str] = []
    for block in blocks:
        start = len(status)
        status += block.status.tolist()
        answered = start + np.flatnonzero(block.status == ANSWERED)
        for model, codes in zip(models, called, strict=True):
            names = model.labels(model.probabilities(block.faces))
            codes[answered] = [model.classes.index(name) for name in names]
        for seen in known:
            marks = seen.marks(block.shown, pixel_sha256(block.shown)) > 0
            copy = marks[:, 1:].any(axis=1)
            np.logical_or.at(copies, start + block.place, copy)
            np.logical_or.at(learnt, start + block.place, marks[:, 0] & ~copy)
        advance(len(block.status))
    return called, np.array(status, str), learnt, copies & ~learnt


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
