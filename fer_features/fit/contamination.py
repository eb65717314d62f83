"""Refuse to evaluate on the backbone's training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fer_features.cache import Cache
from fer_features.cache.learnt import all_keys, keys_of
from fer_features.config import LEARNT, TWINS, USAGES, FitConfig
from fer_features.data.twin_table import TwinTable
from fer_features.errors import FerError
from fer_features.runtime.image_keys import seen_by
from fer_features.runtime.progress import Log, no_log

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SeenRows:
    """Which of N images the backbone was trained on.

    Attributes:
        own: bool (N,), the image itself.
        copy: bool (N,), not the image itself, but a copy of it: near, mirrored, registered, of the
            same family, or recognised by its signature.
    """

    own: Mask
    copy: Mask

    @property
    def any_kind(self) -> Mask:
        """Either: bool (N,)."""
        return self.own | self.copy


def seen_rows(cache: Cache, rows: NDArray[np.int64], table: TwinTable) -> SeenRows | None:
    """Which rows the backbone of a cache was trained on; None if its weights do not record it.

    Args:
        cache: the cache.
        rows: places of the rows in it.
        table: the copies of its data set.
    """
    marks = cache.seen()
    if marks is None:
        return None
    marked = marks[:, 0] > 0
    own = marked & ~(marks[:, 1:] > 0).any(axis=1)  # the second column: only by its signature
    place = np.searchsorted(table.row, cache.rows.source_row)
    learnt = seen_by(keys_of(cache), table.sha256)  # also rows that the cache does not hold
    learnt[place[marked]] = True
    copied = table.copied(learnt)[place]
    return SeenRows(own=own[rows], copy=((copied | marked) & ~own)[rows])


def learnt_rows(cache: Cache, rows: NDArray[np.int64], table: TwinTable) -> Mask:
    """Rows that any backbone in a cache's folder was trained on, or on a copy of: bool (N,).

    Args:
        cache: the cache.
        rows: places of the rows in it.
        table: the copies of its data set.
    """
    learnt = seen_by(all_keys(cache.path.parent), table.sha256)
    return table.copied(learnt)[np.searchsorted(table.row, cache.rows.source_row[rows])]


def settle_split(
    config: FitConfig, seen: SeenRows | None, *, usage: NDArray[np.int8], log: Log = no_log
) -> FitConfig:
    """The configuration with a split that scores none of the backbone's training images.

    Without a split in `config`, and with training images among the rows, that is `usage` without
    twins, if the source names its parts: published weights were trained on its Training part.

    Args:
        config: the configuration.
        seen: the backbone's training images among the rows; None if not recorded.
        usage: usage codes of the rows (N,).
        log: callback for the reason, if another split than the default is taken.
    """
    if config.split is not None or seen is None or not seen.any_kind.any():
        return config
    if not names_parts(usage):
        return config
    log(
        f"of these {len(usage):,} images the weights have learnt from {seen.own.sum():,}, and from "
        f"copies of {seen.copy.sum():,} more: --split usage --drop twins is taken, which scores "
        "none of them"
    )
    drop = config.drop if TWINS in config.drop else (*config.drop, TWINS)
    return replace(config, split="usage", drop=drop)


def copies_to_leave_out(
    seen: SeenRows | None, learnt: Mask, *, drop: Sequence[str], allow_seen: bool
) -> Mask:
    """Rows to leave out of validation and test, as a backbone was trained on a copy: bool (N,).

    Args:
        seen: training images of this backbone; None if not recorded.
        learnt: bool (N,), training images of any backbone, and their copies.
        drop: reasons to leave rows out: ``learnt`` for `learnt`, ``twins`` for copies in `seen`.
        allow_seen: whether training images may be scored.
    """
    copy = learnt if LEARNT in drop else np.zeros_like(learnt)
    if TWINS in drop and seen is not None and not allow_seen:
        copy = (copy & ~seen.own) | seen.copy  # training images themselves are an error instead
    return copy


def refuse_seen(counts: Mapping[str, int], *, split: str, cv: bool, has_parts: bool) -> None:
    """Refuse to evaluate on the backbone's training images.

    Args:
        counts: how many images of ``train``, ``validation`` and ``test`` are such.
        split: the split's name.
        cv: whether a cross-validation scores the training part too.
        has_parts: whether the source names its parts.

    Raises:
        FerError: one would be scored.
    """
    scored = ("train", "validation", "test") if cv else ("validation", "test")
    parts = " and ".join(f"{counts[part]:,} of the {part} part" for part in scored if counts[part])
    if not parts:
        return
    if cv:
        way_out = "leave --cv out, which scores training images too; "
    elif has_parts:
        way_out = "--split usage --drop twins scores none of FER2013's Training part; "
    else:
        way_out = "these data name no official parts to keep apart; "
    raise FerError(
        f"split {split}: the weights have learnt from images that would be scored, {parts}: "
        "their scores would mean nothing",
        hint=f"{way_out}--allow-seen scores them all the same, and every table says so",
    )


def names_parts(usage: NDArray[np.int8]) -> bool:
    """Whether the source names a training and a test part that both have images."""
    return {0, len(USAGES) - 1} <= set(usage.tolist())
