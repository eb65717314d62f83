"""Labelled rows of a cache, and their split into training, validation and test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.cache import Cache, Rows, RowSelection, last_selection
from fer_features.config import LEARNT, SEEN_COPIES, TWINS, FitConfig
from fer_features.data.ferplus import Votes, majority, read_ferplus, soft
from fer_features.data.splits import GROUPED, Split, make_split, without_seen_copies
from fer_features.data.tasks import DROPS, OUTSIDE, Task, choose_rows, load_task, rows_to_drop
from fer_features.data.twin_table import TwinTable, make_table, read_table, table_path
from fer_features.data.twins import Groups
from fer_features.errors import FerError
from fer_features.fit import contamination
from fer_features.fit.features import Reader, parse_layers
from fer_features.metrics import Scores, score
from fer_features.runtime.flags import make_config
from fer_features.runtime.progress import Progress, no_progress

LABELS = ("original", "ferplus", "soft")
"""Whose labels: the source's, FER+'s majority, or that with the votes' shares to train on."""


@dataclass(frozen=True)
class Dataset:
    """Labelled rows of a cache.

    Attributes:
        selection: the extracted selection.
        task: the classes.
        rows: int64 (N,), places in the cache, ascending.
        y: int64 (N,), class codes.
        metadata: emotion, usage, hash and source row.
        groups: groups of copies, linked through other rows of the source too.
        seen: the backbone's training images; None if its weights do not record them.
        learnt: bool (N,), training images, and copies of them, of any backbone in the cache's
            folder.
        labels: whose labels, one of `LABELS`.
        soft_targets: float64 (N, K), shares of the votes for each class; None unless trained on.
        dropped: number of rows left out, by reason.
    """

    selection: RowSelection
    task: Task
    rows: NDArray[np.int64]
    y: NDArray[np.int64]
    metadata: Rows
    groups: Groups
    seen: contamination.SeenRows | None
    learnt: NDArray[np.bool_]
    labels: str
    soft_targets: NDArray[np.float64] | None
    dropped: dict[str, int]

    @property
    def digest(self) -> str:
        """16 hex digits, the same for the same images with the same labels."""
        content = self.metadata.sha256.tobytes() + self.y.astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True)
class Problem:
    """A data set and its split.

    Attributes:
        dataset: the rows.
        split: places in the data set.
        seed: the seed of all that is random.
    """

    dataset: Dataset
    split: Split
    seed: int

    @property
    def seen(self) -> dict[str, int] | None:
        """Number of the backbone's training images, and copies of them, by part.

        None if the weights do not record them.
        """
        if self.dataset.seen is None:
            return None
        seen, parts = self.dataset.seen.any_kind, ("train", "validation", "test")
        return {part: int(seen[getattr(self.split, part)].sum()) for part in parts}

    def score(self, rows: NDArray[np.int64], probability: NDArray[np.floating]) -> Scores:
        """Score probabilities (n, K) of these rows of the data set."""
        dataset = self.dataset
        names, positive = dataset.task.class_names, dataset.task.positive
        return score(dataset.y[rows], probability, classes=names, positive=positive)


def load_dataset(cache: Cache, config: FitConfig, *, progress: Progress = no_progress) -> Dataset:
    """Select rows of a cache, label them, and find their copies.

    Args:
        cache: the cache.
        config: task, labels, and rows to drop.
        progress: progress of the search for copies, if no earlier command has made it.

    Raises:
        FerError: the cache has no such rows or labels, or no images to find copies in.
    """
    _check(config)
    selection, task, rows = _rows(cache, config)
    metadata = cache.rows[rows]
    votes = _votes(config, metadata, selection)
    y, soft_targets = _labels(config.labels, task, metadata, votes)
    reasons = rows_to_drop(
        [name for name in config.drop if name in DROPS],
        emotion=metadata.emotion,
        sha256=metadata.sha256,
        votes=votes,
    )
    if config.labels != "original":
        reasons["no label"] = y == OUTSIDE
    gone, dropped = np.zeros(len(y), bool), {}
    for name, found in reasons.items():  # a row counts for the first of its reasons
        dropped[name] = int((found & ~gone).sum())
        gone |= found
    rows, metadata = rows[~gone], metadata[~gone]
    table = _twin_table(cache, progress)
    return Dataset(
        selection=selection,
        task=task,
        rows=rows,
        y=y[~gone],
        metadata=metadata,
        groups=table.groups(metadata.source_row),
        seen=contamination.seen_rows(cache, rows, table),
        learnt=contamination.learnt_rows(cache, rows, table),
        labels=config.labels,
        soft_targets=None if soft_targets is None else soft_targets[~gone],
        dropped=dropped,
    )


def make_problem(dataset: Dataset, config: FitConfig, *, seed: int) -> Problem:
    """Split a data set.

    Raises:
        FerError: these rows cannot be split this way, or training images of the backbone would be
            scored without `config.allow_seen`.
    """
    usage, dropped = dataset.metadata.usage, dataset.dropped
    split = make_split(
        config.split or GROUPED,
        label=dataset.y,
        usage=usage,
        groups=dataset.groups,
        seed=seed,
        remove_twins=TWINS in config.drop,
    )
    if TWINS in config.drop:
        dropped = {**dropped, TWINS: split.removed}
    copy = contamination.copies_to_leave_out(
        dataset.seen, dataset.learnt, drop=config.drop, allow_seen=config.allow_seen
    )
    if split.name == "usage" and copy.any():
        split, removed = without_seen_copies(split, copy, label=dataset.y)
        dropped = {**dropped, SEEN_COPIES: removed}
    problem = Problem(replace(dataset, dropped=dropped), split, seed)
    if problem.seen is not None and not config.allow_seen:
        contamination.refuse_seen(
            problem.seen,
            split=split.name,
            cv=bool(config.cv),
            has_parts=contamination.names_parts(usage),
        )
    return problem


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """What a scikit-learn estimator is fitted on.

    Attributes:
        X: float32 (N, C) pooled features, or float16 (N, h, w, C) maps.
        y: int64 (N,), class codes.
        groups: int64 (N,), equal for copies of one photograph, which must not be separated.
        classes: the classes' names, by code.
    """

    X: NDArray[Any]
    y: NDArray[np.int64]
    groups: NDArray[np.int64]
    classes: tuple[str, ...]


def labelled_features(
    cache: Cache,
    *,
    features: str | None = None,
    output: str = "pooled",
    views: Sequence[str] = (),
    progress: Progress = no_progress,
    **options: Any,
) -> LabelledFeatures:
    """Features, labels and groups of copies of the rows extracted last.

    Args:
        cache: an open cache.
        features: cached layers to concatenate, ``a+b``; None for the last.
        output: ``pooled`` or ``map``.
        views: ``flip`` averages each image's features with its mirror image's.
        progress: progress callback of the search for copies.
        **options: other fields of `FitConfig` that select or label rows: ``task``, ``labels``, ….

    Raises:
        FerError: there is no such option, or the cache does not hold what is asked for.
    """
    config = make_config(FitConfig, "fit", options)
    dataset = load_dataset(cache, config, progress=progress)
    layers = parse_layers(features or dataset.selection.layers[-1])
    X = Reader(cache, dataset.rows, layers, tuple(views)).read(output)
    return LabelledFeatures(X, dataset.y, dataset.groups.linked, dataset.task.class_names)


def _check(config: FitConfig) -> None:
    if config.labels not in LABELS:
        raise FerError(f"no such labels: {config.labels}", hint=f"known are {', '.join(LABELS)}")
    if config.labels != "original" and config.ferplus is None:
        raise FerError(
            f"--labels {config.labels} needs the votes", hint="name their file with --ferplus"
        )
    known = (*DROPS, TWINS, LEARNT)
    for name in config.drop:
        if name not in known:
            raise FerError(f"no such rows to drop: {name}", hint=f"known are {', '.join(known)}")


def _rows(cache: Cache, config: FitConfig) -> tuple[RowSelection, Task, NDArray[np.int64]]:
    """The last selection of the requested task, or the last of all; the task; its rows' places."""
    task = load_task(config.task) if config.task else None
    same = [one.id for one in cache.selections if task and one.info["task"] == task.to_dict()]
    latest = config.per_class is not None or not same
    selection = cache.selection(last_selection(cache.path) if latest else same[-1])
    own = Task.from_dict(selection.info["task"])
    task = task or own
    if task == own and config.per_class is None:
        return selection, task, cache.places(selection)
    try:
        rows = choose_rows(task, cache.rows.emotion, per_class=config.per_class, seed=config.seed)
    except FerError as error:
        hint = f"{cache.path} holds {len(cache):,} rows; fer extract --task adds those of a task"
        raise FerError(error.message, hint=error.hint or hint) from None
    return selection, task, rows


def _votes(config: FitConfig, metadata: Rows, selection: RowSelection) -> Votes | None:
    if config.ferplus is None:
        return None
    return read_ferplus(config.ferplus).of(
        metadata.source_row,
        usage=metadata.usage,
        emotion=metadata.emotion,
        total=selection.info.get("source_rows"),  # absent from caches of older versions
    )


def _labels(
    labels: str, task: Task, metadata: Rows, votes: Votes | None
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Class codes (N,), `OUTSIDE` without a majority; with ``soft`` also the shares (N, K)."""
    if votes is None or labels == "original":
        return task.labels(metadata.emotion), None
    emotion = majority(votes)
    y = np.where(emotion >= 0, task.labels(np.maximum(emotion, 0)), OUTSIDE)
    if labels != "soft":
        return y, None
    of_emotion = soft(votes)
    codes = task.labels(np.arange(of_emotion.shape[1], dtype=np.int8))
    shares = np.stack(
        [of_emotion[:, codes == code].sum(axis=1) for code in range(len(task.classes))], axis=1
    )
    total = shares.sum(axis=1, keepdims=True)
    return y, np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)


def _twin_table(cache: Cache, progress: Progress) -> TwinTable:
    """The copies of the source; of the cache's rows, if no earlier command has searched it."""
    path = table_path(cache.path.parent, str(cache.header.dataset["sha256"]))
    table = read_table(path)
    if table is not None and table.holds(cache.rows.source_row):
        return table
    rows = cache.rows
    return make_table(path, rows.source_row, cache.images(), sha256=rows.sha256, progress=progress)
