"""What is to be learned: rows of a cache, their labels and twins, and how they are split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fer_features.cache import Cache, Rows, RowSelection, last_selection
from fer_features.config import LEARNT, SEEN_COPIES, TWINS, FitConfig
from fer_features.data.drop import DROPS, rows_to_drop
from fer_features.data.ferplus import Votes, majority, read_ferplus, soft
from fer_features.data.splits import GROUPED, Split, make_split, without_seen_copies
from fer_features.data.tasks import OUTSIDE, Task, choose_rows, load_task
from fer_features.data.twin_table import (
    Progress,
    TwinTable,
    make_table,
    read_table,
    table_path,
    untracked,
)
from fer_features.data.twins import Groups
from fer_features.errors import FerError
from fer_features.fit.contamination import refuse_seen
from fer_features.fit.seen import SeenRows, learnt_rows, seen_rows

LABELS = ("original", "ferplus", "soft")
"""Whose labels: the data's own, FER+'s majority, or that with its votes to train on."""


@dataclass(frozen=True)
class Selection:
    """Rows of a cache with their labels.

    Attributes:
        choice: what was extracted.
        task: the classes.
        rows: places in the cache, ascending.
        label: class codes of these rows.
        who: emotion, usage and hash of these rows.
        groups: of copies, linked through rows of the data set that are not among these too.
        seen: which images the weights have learnt from; None if they do not say.
        learnt: bool (N,), of which rows any weights in the cache's folder have learnt a copy, or
            themselves.
        labels: whose labels, one of `LABELS`.
        targets: float64 (N, K), the voters' shares for each class, where heads train on them.
        dropped: how many rows were left out, by the reason.
    """

    choice: RowSelection
    task: Task
    rows: NDArray[np.int64]
    label: NDArray[np.int64]
    who: Rows
    groups: Groups
    seen: SeenRows | None
    learnt: NDArray[np.bool_]
    labels: str
    targets: NDArray[np.float64] | None
    dropped: dict[str, int]

    @property
    def digest(self) -> str:
        """Sixteen hex digits that are the same for the same images with the same labels."""
        content = self.who.sha256.tobytes() + self.label.astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True)
class Problem:
    """A selection, and its split into training, validation and test.

    Attributes:
        selection: the rows.
        split: places in the selection.
        seed: what all that is random is drawn with.
    """

    selection: Selection
    split: Split
    seed: int

    @property
    def seen(self) -> dict[str, int] | None:
        """How many images of each part the weights have learnt from, or from a copy of.

        None if the weights do not say what they have learnt from.
        """
        seen = self.selection.seen
        if seen is None:
            return None
        parts = ("train", "validation", "test")
        return {part: int(seen.any_kind[getattr(self.split, part)].sum()) for part in parts}


def choose(cache: Cache, config: FitConfig) -> RowSelection:
    """The choice of rows that is meant: of the task asked for, or else the one asked for last.

    Raises:
        FerError: the cache holds no choice, or not all of its rows.
    """
    if config.task:
        task = load_task(config.task).to_dict()
        same = [one for one in cache.selections if one.info["task"] == task]
        if same and config.per_class is None:
            return cache.selection(same[-1].id)
    return cache.selection(last_selection(cache.path))


def select(cache: Cache, config: FitConfig, *, progress: Progress | None = None) -> Selection:
    """Choose the rows, label them, and find their copies.

    Args:
        cache: the features.
        config: what is asked for.
        progress: shows progress, where the copies have to be looked for.

    Raises:
        FerError: the task, the balance, the labels or the images are not to be had.
    """
    _check(config)
    choice = choose(cache, config)
    own = Task.from_dict(choice.info["task"])
    task = load_task(config.task) if config.task else own
    if task == own and config.per_class is None:
        rows = cache.places(choice)
    else:
        try:
            rows = choose_rows(
                task, cache.rows.emotion, per_class=config.per_class, seed=config.seed
            )
        except FerError as error:
            hint = (
                f"{cache.path} holds {len(cache):,} rows; fer extract --task adds those of a task"
            )
            raise FerError(error.message, hint=error.hint or hint) from None
    who = cache.rows[rows]
    votes = _votes(config, who, choice)
    label, targets = task.labels(who.emotion), None
    if votes is not None and config.labels != "original":
        label = _majority_labels(task, votes)
        targets = _shares(task, votes) if config.labels == "soft" else None
    keep, dropped = _kept(config, who, votes, label)
    table = _table(cache, progress or untracked)
    return Selection(
        choice=choice,
        task=task,
        rows=rows[keep],
        label=label[keep],
        who=who[keep],
        groups=table.groups(who.source_row[keep]),
        seen=seen_rows(cache, rows[keep], table),
        learnt=learnt_rows(cache, rows[keep], table),
        labels=config.labels,
        targets=None if targets is None else targets[keep],
        dropped=dropped,
    )


def make_problem(selection: Selection, config: FitConfig, *, seed: int) -> Problem:
    """Split a selection.

    Raises:
        FerError: the split is not to be had from these rows, or it would score images that the
            weights have learnt from, and nobody has allowed it.
    """
    split = make_split(
        config.split or GROUPED,
        label=selection.label,
        usage=selection.who.usage,
        groups=selection.groups,
        seed=seed,
        remove_twins=TWINS in config.drop,
    )
    if TWINS in config.drop:
        dropped = {**selection.dropped, TWINS: split.removed}
        selection = replace(selection, dropped=dropped)
    copy = _copies_to_leave_out(selection, config)
    if split.name == "usage" and copy.any():
        split, removed = without_seen_copies(split, copy, label=selection.label)
        selection = replace(selection, dropped={**selection.dropped, SEEN_COPIES: removed})
    problem = Problem(selection, split, seed)
    if not config.allow_seen:
        refuse_seen(problem, cv=bool(config.cv))
    return problem


def _copies_to_leave_out(selection: Selection, config: FitConfig) -> NDArray[np.bool_]:
    """Rows that may not be validated or tested on, since weights have learnt a copy: bool (N,)."""
    copy = selection.learnt if LEARNT in config.drop else np.zeros(len(selection.rows), np.bool_)
    if TWINS in config.drop and selection.seen is not None and not config.allow_seen:
        # rows that were learnt themselves are refused, not left out
        copy = (copy & ~selection.seen.own) | selection.seen.copy
    return copy


def _check(config: FitConfig) -> None:
    if config.labels not in LABELS:
        raise FerError(f"no such labels: {config.labels}", hint=f"known are {', '.join(LABELS)}")
    if config.labels != "original" and config.ferplus is None:
        raise FerError(
            f"--labels {config.labels} needs the votes", hint="name their file with --ferplus"
        )
    for name in config.drop:
        if name not in (*DROPS, TWINS, LEARNT):
            raise FerError(
                f"no such rows to drop: {name}",
                hint=f"known are {', '.join((*DROPS, TWINS, LEARNT))}",
            )


def _votes(config: FitConfig, who: Rows, choice: RowSelection) -> Votes | None:
    if config.ferplus is None:
        return None
    votes = read_ferplus(config.ferplus)
    return votes.of(
        who.source_row,
        usage=who.usage,
        emotion=who.emotion,
        total=choice.info.get("source_rows"),  # not noted in the caches of older versions
    )


def _majority_labels(task: Task, votes: Votes) -> NDArray[np.int64]:
    emotion = majority(votes)
    known = emotion >= 0
    label = np.full(len(emotion), OUTSIDE, np.int64)
    label[known] = task.labels(emotion[known])
    return label


def _shares(task: Task, votes: Votes) -> NDArray[np.float64]:
    """The shares of the votes for the task's classes among the votes for any of them."""
    of_emotion, codes = soft(votes), task.labels(np.arange(7, dtype=np.int8))
    shares = np.stack(
        [of_emotion[:, codes == code].sum(axis=1) for code in range(len(task.classes))], axis=1
    )
    total = shares.sum(axis=1, keepdims=True)
    out: NDArray[np.float64] = np.zeros_like(shares)
    np.divide(shares, total, out=out, where=total > 0)
    return out


def _kept(
    config: FitConfig, who: Rows, votes: Votes | None, label: NDArray[np.int64]
) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Places of the rows that stay, and how many go for which reason, each for the first of its."""
    names: Sequence[str] = [name for name in config.drop if name in DROPS]
    reasons = rows_to_drop(names, emotion=who.emotion, sha256=who.sha256, votes=votes)
    if config.labels != "original":
        reasons["no label"] = label == OUTSIDE
    gone, counts = np.zeros(len(label), bool), {}
    for name, rows in reasons.items():
        counts[name] = int((rows & ~gone).sum())
        gone |= rows
    return np.flatnonzero(~gone), counts


def _table(cache: Cache, progress: Progress) -> TwinTable:
    """The copies of the whole data set, or, if nobody has looked for them, of the cache's rows."""
    path = table_path(cache.path.parent, str(cache.header.dataset["sha256"]))
    who = cache.rows
    table = read_table(path)
    if table is not None and table.holds(who.source_row):
        return table
    order = np.argsort(who.source_row)
    return make_table(
        path,
        who.source_row[order],
        _images(cache, order),
        sha256=who.sha256[order],
        progress=progress,
    )


def _images(cache: Cache, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    try:
        ascending = np.sort(rows)
        images = cache.images(ascending)
    except FerError as error:
        raise FerError(
            f"{cache.path} does not hold its images, which are needed to find copies",
            hint="the same fer extract adds them, without running the network",
        ) from error
    return images[np.searchsorted(ascending, rows)]
