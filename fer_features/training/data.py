"""The images that a backbone is trained, validated and tested on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features.config import CACHE_DIR
from fer_features.data import USAGES, Faces, FaceSource, read_all
from fer_features.data.ferplus import COLUMNS, read_ferplus
from fer_features.data.splits import GROUPED, Split, make_split
from fer_features.data.tasks import OUTSIDE, Task
from fer_features.data.twin_table import twin_table
from fer_features.errors import FerError
from fer_features.runtime.progress import Progress, no_progress


@dataclass(frozen=True)
class TrainingData:
    """Labelled images and their split.

    Attributes:
        task: the classes.
        images: uint8 (N, 48, 48).
        label: class codes (N,).
        sha256: ``S64`` (N,), of the images.
        votes: float32 (N, 10), shares of FER+'s votes; None without.
        split: training, validation and test rows; no row has a known copy in a later part.
    """

    task: Task
    images: NDArray[np.uint8]
    label: NDArray[np.int64]
    sha256: NDArray[np.bytes_]
    votes: NDArray[np.float32] | None
    split: Split

    @property
    def outputs(self) -> int:
        """The network's logits: one per class, and with votes one per FER+ column after them."""
        return len(self.task.classes) + (0 if self.votes is None else len(COLUMNS))

    def targets(self, smoothing: float) -> NDArray[np.float32]:
        """Training targets: float32 (n, outputs).

        Args:
            smoothing: the part of a label that is spread over all classes (Szegedy and others,
                2016).
        """
        classes = len(self.task.classes)
        hard = np.eye(classes, dtype=np.float32)[self.label[self.split.train]]
        smooth = hard * np.float32(1 - smoothing) + np.float32(smoothing / classes)
        return smooth if self.votes is None else np.hstack([smooth, self.votes[self.split.train]])


def load_training_data(
    source: FaceSource,
    task: Task,
    *,
    ferplus: Path | None = None,
    seed: int,
    progress: Progress = no_progress,
    cache_dir: Path = CACHE_DIR,
) -> TrainingData:
    """Read a source and split it.

    The parts are FER2013's own if the source names them and each has every class, else 60/20/20.
    Images with a copy of any kind in a later part are left out of the earlier one.

    Args:
        source: the images.
        task: the classes.
        ferplus: the file of FER+'s votes; None without.
        seed: seed of a drawn split.
        progress: of reading, and of the search for copies if no table of them is stored yet.
        cache_dir: the folder of the table of copies.

    Raises:
        FerError: a row or the votes cannot be read, or there are too few images.
    """
    index = source.index()
    label = task.labels(index.emotion)
    inside = np.flatnonzero(label != OUTSIDE)
    if not len(inside):
        raise FerError(f"{source.name} has no image of the task {task.name}")
    with progress("reading", len(inside), "images") as advance:
        faces = read_all(source, index.row[inside], advance=advance)
    label = label[inside]
    votes = None if ferplus is None else _vote_shares(ferplus, faces, index.source_rows)

    table = twin_table(source, cache_dir, progress=progress)
    split = make_split(
        "usage" if _has_parts(label, faces.usage) else GROUPED,
        label=label,
        usage=faces.usage,
        groups=table.groups(faces.row),
        seed=seed,
        remove_twins=True,
    )
    return TrainingData(task, faces.images, label, faces.sha256, votes, split)


def _vote_shares(ferplus: Path, faces: Faces, source_rows: int) -> NDArray[np.float32]:
    votes = read_ferplus(ferplus).of(
        faces.row, usage=faces.usage, emotion=faces.emotion, total=source_rows
    )
    total = np.maximum(votes.counts.sum(axis=1, keepdims=True), 1)
    return np.asarray(votes.counts / total, np.float32)


def _has_parts(label: NDArray[np.int64], usage: NDArray[np.int8]) -> bool:
    """Whether training and test are named and have each class, and so has validation if named.

    A folder of ``train/`` and ``test/`` alone does: validation is then cut from training.
    """
    train, validation, test = (len(np.unique(label[usage == p])) for p in range(len(USAGES)))
    return train == test == len(np.unique(label)) and validation in (0, train)
