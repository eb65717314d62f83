"""Labelled rows of a cache."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.cache import Cache, Rows, RowSelection, last_selection
from fer_features.config import LEARNT, TWINS, FitConfig
from fer_features.data.ferplus import Votes, majority, read_ferplus, soft
from fer_features.data.tasks import DROPS, OUTSIDE, Task, choose_rows, load_task, rows_to_drop
from fer_features.data.twin_table import TwinTable, table_of_rows, table_path
from fer_features.data.twins import Groups
from fer_features.errors import FerError
from fer_features.fit.contamination import SeenRows, learnt_rows, seen_rows
from fer_features.metrics import Scores, score
from fer_features.runtime.progress import Progress, no_progress

LABELS = ("original", "ferplus", "soft")
"""Whose labels: the source's, FER+'s majority, or that with the votes' shares to train on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Labelled rows of a cache, whose features `fer_features.fit.features` reads.

    Attributes:
        cache: the cache.
        selection: the extracted selection.
        task: the classes.
        rows: int64 (N,), indices in the cache, ascending.
        y: int64 (N,), class codes.
        metadata: emotion, usage, hash and source row.
        groups: groups of copies, linked through other rows of the source too.
        copies_indexed: whether not all pairs were compared to find them (`Twins.indexed`).
        seen: the backbone's training images; None if its weights do not record them.
        learnt: bool (N,), training images, and copies of them, of any backbone in the cache's
            folder.
        labels: whose labels, one of `LABELS`.
        soft_targets: float64 (N, K), shares of the votes for each class; None unless trained on.
        dropped: number of rows left out, by reason.
        layers: layers whose features are concatenated.
        pooling: what heads on vectors are fitted to, ``pooled`` or ``grid3``.
        views: ``flip`` uses each image's mirror image too.
        combine: how, ``features`` or ``rows`` (`fer_features.config.COMBINE`).
        arrays: the features read so far, by output and view.
    """

    cache: Cache
    selection: RowSelection
    task: Task
    rows: NDArray[np.int64]
    y: NDArray[np.int64]
    metadata: Rows
    groups: Groups
    seen: SeenRows | None
    learnt: NDArray[np.bool_]
    labels: str
    soft_targets: NDArray[np.float64] | None
    dropped: dict[str, int]
    layers: tuple[str, ...]
    pooling: str
    views: tuple[str, ...]
    combine: str = "features"
    copies_indexed: bool = False
    arrays: dict[tuple[str, str | None], NDArray[Any]] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """16 hex digits, the same for the same images with the same labels."""
        content = self.metadata.sha256.tobytes() + self.y.astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()[:16]

    def score(self, rows: NDArray[np.int64], probability: NDArray[np.floating]) -> Scores:
        """Score probabilities (n, K) of the rows with these indices in the data set."""
        names, positive = self.task.class_names, self.task.positive
        return score(self.y[rows], probability, classes=names, positive=positive)


def load_dataset(cache: Cache, config: FitConfig, *, progress: Progress = no_progress) -> Dataset:
    """Select rows of a cache, label them, and find their copies.

    Args:
        cache: the cache.
        config: task, labels, rows to drop, layers and views.
        progress: progress of the search for copies, if no earlier command has made it.

    Raises:
        FerError: the cache has no such rows, labels or layers, or no images to find copies in.
    """
    _check(config)
    selection, task, rows = _rows(cache, config)
    layers = parse_layers(config.features or selection.layers[-1])
    _check_layers(cache, layers)
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
    kept, dropped = np.ones(len(y), bool), {}
    for name, found in reasons.items():  # a row counts for the first of its reasons
        dropped[name] = int((found & kept).sum())
        kept &= ~found
    rows, metadata = rows[kept], metadata[kept]
    table = _twin_table(cache, progress)
    return Dataset(
        cache=cache,
        selection=selection,
        task=task,
        rows=rows,
        y=y[kept],
        metadata=metadata,
        groups=table.groups(metadata.source_row),
        copies_indexed=table.twins.indexed,
        seen=seen_rows(cache, rows, table),
        learnt=learnt_rows(cache, rows, table),
        labels=config.labels,
        soft_targets=None if soft_targets is None else soft_targets[kept],
        dropped=dropped,
        layers=layers,
        pooling=config.pooling or _pooling(selection, layers),
        views=config.views,
    )


def _pooling(selection: RowSelection, layers: tuple[str, ...]) -> str:
    """``grid3`` if the selection has it of all layers; else ``pooled``."""
    grids = {f"{layer}/grid3" for layer in layers}
    return "grid3" if grids <= set(selection.features) else "pooled"


def _check_layers(cache: Cache, layers: tuple[str, ...]) -> None:
    held = dict.fromkeys(name.split("/")[0] for name in cache.features)
    for layer in layers:
        if layer not in held:
            raise FerError(
                f"{cache.path} holds no layer {layer}",
                hint=f"its layers are {', '.join(held)}; fer extract --layer adds others",
            )


def parse_layers(text: str) -> tuple[str, ...]:
    """The layers that ``a+b`` names, in its order.

    Raises:
        FerError: it names none, or one twice.
    """
    layers = tuple(one.strip() for one in text.split("+"))
    if not all(layers) or len(set(layers)) < len(layers):
        raise FerError(
            f"--features {text}: not different layers with a + between",
            hint="for example --features mixed_6a+conv_7b_ac",
        )
    return layers


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
    """The last selection of the requested task, or the last of all; the task; its rows."""
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
    path, rows = table_path(cache.path.parent, str(cache.header.dataset["sha256"])), cache.rows
    return table_of_rows(path, rows.source_row, cache.images, sha256=rows.sha256, progress=progress)
