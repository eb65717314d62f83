"""Scores of labelled faces: of all, of each class and of each group, with paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fer_features.metrics.groups import mantel_haenszel
from fer_features.metrics.intervals import macro_interval, share_interval
from fer_features.metrics.paired import difference, holm, mcnemar
from fer_features.runs.evaluation import (
    ALL,
    CLASS,
    GROUP,
    LEAST,
    SIGNIFICANCE,
    Against,
    GroupScore,
)

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]


def score_faces(kind: str, name: str, y: Labels, rights: Sequence[Mask], rows: Mask) -> GroupScore:
    """The scores of some faces, without a test.

    Args:
        kind: as in `GroupScore`, like `name`.
        name: what they are called.
        y: (N,), true class codes.
        rights: for each model (N,), whether it is right; the first is scored.
        rows: (N,), which of the faces.
    """
    n, right, label = int(rows.sum()), rights[0][rows], y[rows]
    true, hits = np.bincount(label), np.bincount(label[right], minlength=label.max() + 1)
    true, hits = true[true > 0], hits[true > 0]
    return GroupScore(
        kind=kind,
        name=name,
        n=n,
        accuracy=float(right.mean()),
        interval=share_interval(int(right.sum()), n),
        balanced_accuracy=float((hits / true).mean()),
        balanced_interval=macro_interval(hits, true),
    )


def score_groups(
    classes: Sequence[str], y: Labels, rights: Sequence[Mask], groups: NDArray[np.str_] | None
) -> list[GroupScore]:
    """The scores of all faces, of each class and of each group, with what the tests allow to say.

    Args:
        classes: the classes' names.
        y: (N,), true class codes.
        rights: for the model, and for another if there is one, (N,), whether it is right.
        groups: (N,), the groups' names, if any.

    The p values of groups are corrected for the number of groups that are large enough; that of
    all faces is not, as it answers a question of its own.
    """
    everything = np.full(len(y), True)
    whole = score_faces(ALL, ALL, y, rights, everything)
    found = [replace(whole, against=_against(rights, [everything])[0])]
    for code, name in enumerate(classes):
        if (y == code).any():
            found.append(score_faces(CLASS, name, y, rights, y == code))
    if groups is None:
        return found
    names = np.unique(groups)
    masks = [groups == name for name in names]
    tests = [mantel_haenszel(rights[0], one, y) for one in masks]
    p = _corrected([one.p for one in tests], masks)
    for name, rows, test, own, against in zip(
        names, masks, tests, p, _against(rights, masks), strict=True
    ):
        score = score_faces(GROUP, str(name), y, rights, rows)
        outcome = _outcome(rows, own, "better" if test.excess > 0 else "worse")
        if len(names) == 1:
            found.append(replace(score, outcome="alone", against=against))
        else:
            found.append(replace(score, p=own, outcome=outcome, against=against))
    return found


def _against(rights: Sequence[Mask], masks: Sequence[Mask]) -> list[Against | None]:
    """The second model on the faces of each mask; None where there is no second."""
    if len(rights) < 2:
        return [None] * len(masks)
    tests = [mcnemar(rights[0][rows], rights[1][rows]) for rows in masks]
    found: list[Against | None] = []
    for rows, (only_a, only_b, _), p in zip(
        masks, tests, _corrected([one.p for one in tests], masks), strict=True
    ):
        outcome = _outcome(rows, p, "ahead" if only_a > only_b else "behind")
        gain = difference(only_a, only_b, int(rows.sum()))
        found.append(Against(gain, only_a, only_b, p, outcome))
    return found


def _corrected(p: Sequence[float], masks: Sequence[Mask]) -> list[float]:
    """Holm's correction of the p values of groups that are large enough; the others' stay."""
    large = [place for place, rows in enumerate(masks) if rows.sum() >= LEAST]
    found = list(p)
    for place, value in zip(large, holm([p[place] for place in large]), strict=True):
        found[place] = value
    return found


def _outcome(rows: Mask, p: float, apart: str) -> str:
    if rows.sum() < LEAST:
        return "few"
    return apart if p <= SIGNIFICANCE else "open"
