"""Split a data set so that no training image of the backbone is scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fer_features.config import LEARNT, SEEN_COPIES, TWINS, USAGES, FitConfig
from fer_features.data.splits import GROUPED, Split, make_split, without_seen_copies
from fer_features.errors import FerError
from fer_features.fit.contamination import Mask
from fer_features.fit.dataset import Dataset
from fer_features.runtime.progress import Log, no_log

PARTS = ("train", "validation", "test")


def settle_split(config: FitConfig, dataset: Dataset, *, log: Log = no_log) -> FitConfig:
    """The configuration with a split that scores none of the backbone's training images.

    Without a split in `config`, and with training images among the rows, that is `usage` without
    twins, if the source names its parts: published weights were trained on its Training part.

    Args:
        config: the configuration.
        dataset: the rows.
        log: callback for the reason, if another split than the default is taken.
    """
    seen = dataset.seen
    if config.split or seen is None or not (seen.any_kind.any() and _names_parts(dataset)):
        return config
    log(
        f"of these {len(dataset.rows):,} images the weights have learnt from {seen.own.sum():,}, "
        f"and from copies of {seen.copy.sum():,} more: --split usage --drop twins is taken, which "
        "scores none of them"
    )
    drop = config.drop if TWINS in config.drop else (*config.drop, TWINS)
    return replace(config, split="usage", drop=drop)


def split_dataset(dataset: Dataset, config: FitConfig) -> tuple[Dataset, Split]:
    """Split a data set by the configuration's rule and seed.

    Returns:
        The data set, with the rows counted that the split leaves out; and the split, whose
        indices are those of the data set's rows.

    Raises:
        FerError: these rows cannot be split this way, or training images of the backbone would be
            scored without `config.allow_seen`.
    """
    dropped = dict(dataset.dropped)
    split = make_split(
        config.split or GROUPED,
        label=dataset.y,
        usage=dataset.metadata.usage,
        groups=dataset.groups,
        seed=config.seed,
        remove_twins=TWINS in config.drop,
    )
    if TWINS in config.drop:
        dropped[TWINS] = split.removed
    copy = _copies_to_leave_out(dataset, config)
    if split.name == "usage" and copy.any():
        split, dropped[SEEN_COPIES] = without_seen_copies(split, copy, label=dataset.y)
    if not config.allow_seen:
        _refuse_seen(dataset, split, cv=bool(config.cv))
    return replace(dataset, dropped=dropped), split


def seen_by_part(dataset: Dataset, split: Split) -> dict[str, int] | None:
    """Number of the backbone's training images, and copies of them, by part.

    None if the weights do not record them.
    """
    if dataset.seen is None:
        return None
    seen = dataset.seen.any_kind
    return {part: int(seen[getattr(split, part)].sum()) for part in PARTS}


def _names_parts(dataset: Dataset) -> bool:
    """Whether the source names a training and a test part that both have images."""
    return {0, len(USAGES) - 1} <= set(dataset.metadata.usage.tolist())


def _copies_to_leave_out(dataset: Dataset, config: FitConfig) -> Mask:
    """Rows to leave out of validation and test: a backbone was trained on a copy; bool (N,)."""
    seen, learnt = dataset.seen, dataset.learnt
    copy = learnt if LEARNT in config.drop else np.zeros_like(learnt)
    if TWINS in config.drop and seen is not None and not config.allow_seen:
        copy = (copy & ~seen.own) | seen.copy  # training images themselves are an error instead
    return copy


def _refuse_seen(dataset: Dataset, split: Split, *, cv: bool) -> None:
    """Raise a `FerError` if training images of the backbone would be scored.

    Cross-validation (`cv`) scores the training part too.
    """
    counts = seen_by_part(dataset, split) or {}
    scored = PARTS if cv else PARTS[1:]
    parts = " and ".join(f"{counts[one]:,} of the {one} part" for one in scored if counts.get(one))
    if not parts:
        return
    if cv:
        way_out = "leave --cv out, which scores training images too; "
    elif _names_parts(dataset):
        way_out = "--split usage --drop twins scores none of FER2013's Training part; "
    else:
        way_out = "these data name no official parts to keep apart; "
    raise FerError(
        f"split {split.name}: the weights have learnt from images that would be scored, {parts}: "
        "their scores would mean nothing",
        hint=f"{way_out}--allow-seen scores them all the same, and every table says so",
    )
