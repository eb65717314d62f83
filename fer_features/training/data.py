"""What a backbone is trained, validated and tested on: images, or a cache's maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.weights_file import Seen
from fer_features.cache import Cache
from fer_features.config import CACHE_DIR, USAGES
from fer_features.data import Faces, FaceSource, read_all
from fer_features.data.ferplus import COLUMNS, read_ferplus
from fer_features.data.splits import GROUPED, Split, make_split, without_seen_copies
from fer_features.data.tasks import OUTSIDE, Task
from fer_features.data.twin_table import TwinTable, table_of_rows, table_path, twin_table
from fer_features.errors import FerError
from fer_features.runtime.image_keys import seen_by
from fer_features.runtime.progress import Progress, no_progress


@dataclass(frozen=True)
class TrainingData:
    """Labelled images and their split.

    Attributes:
        name: of the data set.
        task: the classes.
        images: uint8 (N, 48, 48).
        label: class codes (N,).
        sha256: ``S64`` (N,), of the images.
        votes: float32 (N, 10), shares of FER+'s votes; None without.
        split: training, validation and test rows; unless that was asked for, no row has a known
            copy in a later part.
        maps: float16 (N, h, w, C), a layer's maps of the images and of their mirror images; empty
            if the network sees the images.
    """

    name: str
    task: Task
    images: NDArray[np.uint8]
    label: NDArray[np.int64]
    sha256: NDArray[np.bytes_]
    votes: NDArray[np.float32] | None
    split: Split
    maps: tuple[NDArray[np.float16], ...] = ()

    @property
    def inputs(self) -> tuple[NDArray[np.uint8 | np.float16], ...]:
        """What is trained on: the images, or the maps of both views."""
        return self.maps or (self.images,)

    @property
    def outputs(self) -> int:
        """The network's logits: one per class, and with votes one per FER+ column after them."""
        return len(self.task.classes) + (0 if self.votes is None else len(COLUMNS))

    def targets(
        self,
        smoothing: float,
        balance: float = 0.0,
        soft: NDArray[np.float32] | None = None,
        share: float = 0.0,
    ) -> NDArray[np.float32]:
        """Training targets: float32 (n, outputs).

        Args:
            smoothing: the part of a label that is spread over all classes (Szegedy and others,
                2016).
            balance: a row is weighted by its class's number of rows to this power, negated; the
                mean of the weights is 1.
            soft: teachers' probabilities (n, classes); None without.
            share: of them in a target.
        """
        classes, label = len(self.task.classes), self.label[self.split.train]
        hard = np.eye(classes, dtype=np.float32)[label]
        targets = hard * np.float32(1 - smoothing) + np.float32(smoothing / classes)
        if soft is not None:
            targets = (1 - share) * targets + share * soft
        if self.votes is not None:
            targets = np.hstack([targets, self.votes[self.split.train]])
        if not balance:
            return targets
        weight = np.bincount(label, minlength=classes)[label] ** -balance
        # cross-entropy is linear in its targets
        return np.asarray(targets * (weight / weight.mean())[:, None], np.float32)


def load_training_data(
    source: FaceSource,
    task: Task,
    *,
    ferplus: Path | None = None,
    seed: int,
    seen: Seen | None = None,
    keep_copies: bool = False,
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
        seen: images that the weights have learnt from before: they and their copies are left out of
            validation and test.
        keep_copies: leave copies of later parts in.
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
    table = twin_table(source, cache_dir, progress=progress)
    return _labelled(
        source.name,
        task,
        faces,
        table,
        votes=None if ferplus is None else _vote_shares(ferplus, faces, index.source_rows),
        seed=seed,
        seen=seen,
        keep_copies=keep_copies,
    )


def load_cached_data(
    cache: Cache,
    layer: str,
    task: Task,
    *,
    ferplus: Path | None = None,
    seed: int,
    seen: Seen | None = None,
    keep_copies: bool = False,
    progress: Progress = no_progress,
) -> TrainingData:
    """Read a cache's maps of a layer, of both views, and split its rows.

    Its rows without these maps, and those outside the task, are left out. The parts, the other
    arguments and the errors are those of `load_training_data`.
    """
    names = (f"{layer}/map", f"{layer}/map_flip")
    rows = _rows_with_maps(cache, names, layer, task)
    about, digest = cache.rows[rows], str(cache.header.dataset["sha256"])
    path = table_path(cache.path.parent, digest)
    every = cache.rows
    table = table_of_rows(
        path,
        every.source_row,
        cache.images,
        wanted=about.source_row,
        sha256=every.sha256,
        progress=progress,
    )
    faces = Faces(
        images=cache.images(rows),
        emotion=about.emotion,
        usage=about.usage,
        sha256=about.sha256,
        row=about.source_row,
    )
    total = cache.selections[-1].info.get("source_rows")
    data = _labelled(
        str(cache.header.dataset["name"]),
        task,
        faces,
        table,
        votes=None if ferplus is None else _vote_shares(ferplus, faces, total),
        seed=seed,
        seen=seen,
        keep_copies=keep_copies,
    )
    with progress("reading maps", 2 * len(rows), "maps") as advance:
        maps = []
        for name in names:
            maps.append(cache.read(layer, name.rpartition("/")[2], rows))
            advance(len(rows))
    return replace(data, maps=tuple(maps))


def _rows_with_maps(
    cache: Cache, names: tuple[str, ...], layer: str, task: Task
) -> NDArray[np.int64]:
    """Places of the rows that have the maps and a class of the task, of which each must occur."""
    rows = np.flatnonzero(
        (task.labels(cache.rows.emotion) != OUTSIDE) & cache.done((*names, "image"))
    )
    if not len(rows):
        raise FerError(f"{cache.path} has no maps of {layer} of the task {task.name}")
    found = set(task.labels(cache.rows.emotion[rows]).tolist())
    lacking = [name for code, name in enumerate(task.class_names) if code not in found]
    if lacking:
        raise FerError(
            f"{cache.path} has no image of {', '.join(lacking)}, which the task {task.name} has",
            hint="name the task that the cache was made for with --task",
        )
    return rows


def _labelled(
    name: str,
    task: Task,
    faces: Faces,
    table: TwinTable,
    *,
    votes: NDArray[np.float32] | None,
    seed: int,
    seen: Seen | None,
    keep_copies: bool,
) -> TrainingData:
    """The data, split."""
    label = task.labels(faces.emotion)
    split = make_split(
        "usage" if _has_parts(label, faces.usage) else GROUPED,
        label=label,
        usage=faces.usage,
        groups=table.groups(faces.row),
        seed=seed,
        remove_twins=not keep_copies,
    )
    if seen is not None:
        learnt = seen_by(seen.keys, table.sha256)
        place = np.searchsorted(table.row, faces.row)
        learnt[place] |= seen.marks(faces.images, faces.sha256)[:, 0] > 0
        split, _ = without_seen_copies(split, table.copied(learnt)[place], label=label)
    return TrainingData(name, task, faces.images, label, faces.sha256, votes, split)


def _vote_shares(ferplus: Path, faces: Faces, source_rows: int | None) -> NDArray[np.float32]:
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
