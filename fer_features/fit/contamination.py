"""Images that weights have learnt from are not scored unless that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from fer_features.config import TWINS, FitConfig
from fer_features.data import USAGES
from fer_features.errors import FerError

if TYPE_CHECKING:
    from fer_features.fit.problem import Problem, Selection


def settle_split(
    config: FitConfig, selection: Selection, *, log: Callable[[str], None] | None = None
) -> FitConfig:
    """Where no split was asked for, and the weights have learnt from some rows, the honest one.

    That is `usage` with twins removed, if the source names its parts: weights that are shown
    around have learnt from its Training part.

    Args:
        config: what was asked for.
        selection: the rows.
        log: called with the reason, if another split than the usual one is taken.
    """
    if selection.seen is None or not selection.seen.any_kind.any():
        return config
    if config.split is not None:
        return config
    if not _names_parts(selection):
        return config
    if log is not None:
        log(
            f"of these {len(selection.rows):,} images the weights have learnt from "
            f"{selection.seen.own.sum():,}, and from copies of {selection.seen.copy.sum():,} more: "
            "--split usage --drop twins is taken, which scores none of them"
        )
    drop = config.drop if TWINS in config.drop else (*config.drop, TWINS)
    return replace(config, split="usage", drop=drop)


def refuse_seen(problem: Problem, *, cv: bool) -> None:
    """Make sure that no image is scored that the weights have learnt from.

    Args:
        problem: the rows and their parts.
        cv: whether a cross-validation scores training images too.

    Raises:
        FerError: one would be.
    """
    counts = problem.seen or {}
    scored = ("train", "validation", "test") if cv else ("validation", "test")
    held = {part: counts.get(part, 0) for part in scored}
    if not any(held.values()):
        return
    parts = " and ".join(f"{n:,} of the {part} part" for part, n in held.items() if n)
    if cv:
        way_out = "leave --cv out, which scores training images too; "
    elif _names_parts(problem.selection):
        way_out = "--split usage --drop twins scores none of FER2013's Training part; "
    else:
        way_out = "these data name no official parts that could be kept apart; "
    raise FerError(
        f"split {problem.split.name}: the weights have learnt from images that would be scored, "
        f"{parts}: their scores would mean nothing",
        hint=f"{way_out}--allow-seen scores them all the same, and every table says so",
    )


def _names_parts(selection: Selection) -> bool:
    """Whether the source names a training and a test part that both have images."""
    return {0, len(USAGES) - 1} <= set(selection.who.usage.tolist())
