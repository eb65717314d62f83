"""What a backbone learns from, what it is chosen on, and what it must not see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features.config import CACHE_DIR
from fer_features.data import USAGES, FaceSource, read_all
from fer_features.data.ferplus import COLUMNS, read_ferplus
from fer_features.data.splits import GROUPED, make_split
from fer_features.data.tasks import OUTSIDE, Task
from fer_features.data.twin_table import twin_table
from fer_features.errors import FerError
from fer_features.runtime.progress import Progress, no_progress


@dataclass(frozen=True)
class Lesson:
    """Faces with their labels, and their parts.

    Attributes:
        images: uint8 (N, 48, 48).
        label: class codes (N,).
        sha256: ``S64`` (N,), of the images.
        votes: float32 (N, 10), shares of FER+'s votes; None without.
        split: how the parts were made.
        train: places that are learnt from: none has a copy in the others that the search finds.
        validation: places that choices are made on.
        test: places that are scored once, if at all.
    """

    images: NDArray[np.uint8]
    label: NDArray[np.int64]
    sha256: NDArray[np.bytes_]
    votes: NDArray[np.float32] | None
    split: str
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def make_lesson(
    source: FaceSource,
    task: Task,
    *,
    ferplus: Path | None,
    seed: int,
    progress: Progress = no_progress,
    cache_dir: Path = CACHE_DIR,
) -> Lesson:
    """Read a source, and keep apart what is learnt from and what is not.

    The parts are FER2013's own where the source names them and each has every class, else 60/20/20.
    Images that have a copy of any kind in a later part are left out of the earlier one.

    Args:
        source: where the faces are.
        task: the classes.
        ferplus: the file of FER+'s votes; None without.
        seed: of the parts, where they are drawn.
        progress: shows the progress of reading, and of the search for copies if nobody has made it.
        cache_dir: where the table of copies is kept.

    Raises:
        FerError: a row or the votes cannot be read, or there are too few images.
    """
    index = source.index()
    label = task.labels(index.emotion)
    wanted = np.flatnonzero(label != OUTSIDE)
    if not len(wanted):
        raise FerError(f"{source.name} has no image of the task {task.name}")
    with progress("reading", len(wanted), "images") as advance:
        faces = read_all(source, index.row[wanted], advance=advance)
    label = label[wanted]
    votes = None
    if ferplus is not None:
        said = read_ferplus(ferplus).of(
            faces.row, usage=faces.usage, emotion=faces.emotion, total=index.source_rows
        )
        votes = (said.counts / np.maximum(said.counts.sum(axis=1, keepdims=True), 1)).astype(
            np.float32
        )
    table = twin_table(source, cache_dir, progress=progress)
    split = make_split(
        "usage" if _names_its_parts(label, faces.usage) else GROUPED,
        label=label,
        usage=faces.usage,
        groups=table.groups(faces.row),
        seed=seed,
        remove_twins=True,
    )
    return Lesson(
        images=faces.images,
        label=label,
        sha256=faces.sha256,
        votes=votes,
        split=split.name,
        train=split.train,
        validation=split.validation,
        test=split.test,
    )


def _names_its_parts(label: NDArray[np.int64], usage: NDArray[np.int8]) -> bool:
    """Whether the source names training and test, each with every class, and so validation if any.

    A folder of ``train/`` and ``test/`` alone does: validation is then cut from training.
    """
    classes = len(np.unique(label))
    found = [len(np.unique(label[usage == part])) for part in range(len(USAGES))]
    return found[0] == found[2] == classes and found[1] in (0, classes)


def targets_of(lesson: Lesson, *, classes: int, smoothing: float) -> NDArray[np.float32]:
    """What each training row teaches: float32 (n, classes), or (n, classes + 10) with votes.

    Args:
        lesson: the faces.
        classes: number of classes.
        smoothing: the part of a label that all classes share (Szegedy and others, 2016).
    """
    hard = np.eye(classes, dtype=np.float32)[lesson.label[lesson.train]]
    smooth = hard * np.float32(1 - smoothing) + np.float32(smoothing / classes)
    if lesson.votes is None:
        return smooth
    return np.hstack([smooth, lesson.votes[lesson.train]])


VOTES = len(COLUMNS)
"""Things that can be voted for."""
