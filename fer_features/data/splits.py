"""Splits into training, validation and test, folds, and nested parts, all stratified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fer_features.config import USAGES
from fer_features.data.twins import Groups
from fer_features.errors import FerError
from fer_features.runtime.text import counted

Rows = NDArray[np.int64]

GROUPED = "grouped"
"""The default split."""

_HELD_OUT = 0.4
"""Share of validation and test together, 0.2 each, as published."""

_OF_TEST = ("test", "exact", "near", "registered")
_CUT = 0.25
"""Share of Training that is validation where the source has none: as 0.2 to 0.6."""


@dataclass(frozen=True)
class Split:
    """Three disjoint sets of places in a cache's rows, each ascending.

    Attributes:
        name: the rule that made it: ``grouped``, ``reference`` or ``usage``.
        seed: the seed it was made with; None where nothing was drawn.
        train: int64, rows that heads are fitted on.
        validation: int64, rows that parameters are selected on.
        test: int64, rows that are scored once.
        exact: bool (len(test),), which of them have an exact copy in train or validation.
        near: bool (len(test),), which of the others have a near or mirrored copy there.
        registered: bool (len(test),), which of the rest have a copy of another kind there: one that
            is shifted, scaled or lit otherwise, or of the same family of file names.
        removed: number of rows left out because they have a copy in a later part.
        validation_from: the official part that validation was cut from; empty where it was not.
    """

    name: str
    seed: int | None
    train: Rows
    validation: Rows
    test: Rows
    exact: NDArray[np.bool_]
    near: NDArray[np.bool_]
    registered: NDArray[np.bool_]
    removed: int = 0
    validation_from: str = ""

    @property
    def leaked(self) -> dict[str, int]:
        """How many test rows have a copy in train or validation; a row counts for one kind."""
        return {kind: int(getattr(self, kind).sum()) for kind in ("exact", "near", "registered")}

    @property
    def copied(self) -> NDArray[np.bool_]:
        """Which test rows have a copy of any kind in train or validation: bool (len(test),)."""
        return self.exact | self.near | self.registered


def make_split(
    name: str,
    *,
    label: Rows,
    usage: NDArray[np.int8],
    groups: Groups,
    seed: int,
    remove_twins: bool = False,
) -> Split:
    """Split rows into training, validation and test.

    Args:
        name: ``grouped``: 60/20/20, stratified, copies always on one side;
            ``reference``: 60/20/20, stratified by seed, copies wherever they fall, as the
            published project did; ``usage``: FER2013's Training, PublicTest, PrivateTest. Where no
            row is of PublicTest (a folder of ``train/`` and ``test/``), a quarter of Training is
            validation, stratified by seed, copies on one side.
        label: class codes (N,).
        usage: usage codes (N,).
        groups: of copies, N of them.
        seed: seed of the draw; `usage` draws nothing where the source names all three parts.
        remove_twins: leave training rows out that have a copy of any kind in validation or test,
            and validation rows that have one in test.

    Raises:
        FerError: there is no such split, or a part would lack a class.
    """
    linked = groups.linked
    match name:
        case "grouped":
            train, validation, test = _three_parts(label, linked, seed)
        case "reference":
            train, validation, test = _three_parts(label, np.arange(len(label)), seed)
        case "usage":
            train, validation, test = _official_parts(label, usage, linked, seed)
        case _:
            raise FerError(f"no such split: {name}", hint="known are grouped, reference, usage")
    cut = USAGES[0] if name == "usage" and not (usage == 1).any() else ""
    before = len(train) + len(validation)
    if remove_twins:
        validation = validation[~np.isin(linked[validation], linked[test])]
        later = np.concatenate([linked[validation], linked[test]])
        train = train[~np.isin(linked[train], later)]
    _check_parts(name, label, train, validation, test)
    known = np.concatenate([train, validation])
    exact, near, any_kind = (
        np.isin(group[test], group[known]) for group in (groups.exact, groups.near, linked)
    )
    return Split(
        name=name,
        seed=None if name == "usage" and not cut else seed,
        train=train,
        validation=validation,
        test=test,
        exact=exact,
        near=near & ~exact,
        registered=any_kind & ~near & ~exact,
        removed=before - len(train) - len(validation),
        validation_from=cut,
    )


def _check_parts(name: str, label: Rows, *parts: Rows) -> None:
    """Raise a `FerError` if training, validation or test lacks a class."""
    for part, rows in zip(("training", "validation", "test"), parts, strict=True):
        if len(np.unique(label[rows])) < len(np.unique(label)):
            raise FerError(
                f"split {name}: a class has no image in the {part} part",
                hint="take more images of that class, or another split",
            )


def without_seen_copies(split: Split, copy: NDArray[np.bool_], *, label: Rows) -> tuple[Split, int]:
    """Remove copies of the backbone's training images from validation and test.

    Args:
        split: the split to start from.
        copy: bool (N,), copies of training images that are no training images themselves.
        label: class codes (N,).

    Returns:
        The split without them, and how many rows were removed.

    Raises:
        FerError: a part would lack a class.
    """
    kept = {"validation": ~copy[split.validation], "test": ~copy[split.test]}
    without = replace(
        split,
        validation=split.validation[kept["validation"]],
        **{name: getattr(split, name)[kept["test"]] for name in _OF_TEST},
    )
    name = f"{split.name} without copies of training images"
    _check_parts(name, label, without.train, without.validation, without.test)
    return without, sum(int((~one).sum()) for one in kept.values())


def folds(*, label: Rows, group: Rows, k: int, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """The k pairs (training, held out) of places in `label`, stratified, shuffled by seed.

    Args:
        label: class codes (N,).
        group: group numbers (N,); rows of one group are always on one side.
        k: how many.
        seed: seed of the draw.

    Raises:
        FerError: fewer than k groups of a class.
    """
    from sklearn.model_selection import StratifiedKFold

    units, unit_label = _units(label, group)
    smallest = int(np.unique(unit_label, return_counts=True)[1].min())
    if not 2 <= k <= smallest:
        raise FerError(
            f"{k} folds cannot be made of classes of which the smallest has "
            f"{counted(smallest, 'image')}",
            hint=f"--cv takes 2 to {smallest} here",
        )
    splitter = StratifiedKFold(n_splits=k, shuffle=True, random_state=seed)
    for train, held in splitter.split(np.zeros(len(unit_label)), unit_label):
        yield _members(units, train), _members(units, held)


def nested_parts(*, label: Rows, group: Rows, shares: Sequence[float], seed: int) -> list[Rows]:
    """Stratified parts of rows by ascending share, each within the next; groups are never divided.

    Args:
        label: class codes (N,).
        group: group numbers (N,).
        shares: ascending, above 0 and at most 1.
        seed: seed of the draw.
    """
    units, unit_label = _units(label, group)
    rng = np.random.default_rng(seed)
    rank = np.empty(len(unit_label))  # 0 to 1 within the class: a share takes all that is below it
    for code in np.unique(unit_label):
        places = np.flatnonzero(unit_label == code)
        rank[rng.permutation(places)] = np.arange(len(places)) / len(places)
    return [_members(units, np.flatnonzero(rank < share)) for share in shares]


def _units(label: Rows, group: Rows) -> tuple[Rows, Rows]:
    """The groups as units to draw: each row's unit (N,), each unit's label, its first row's.

    Drawing units with scikit-learn's stratified splitters takes milliseconds where
    StratifiedGroupKFold takes seconds, for parts that are a few rows off their exact sizes.
    """
    _, first, unit = np.unique(group, return_index=True, return_inverse=True)
    return unit, label[first]


def _members(unit_of: Rows, units: Rows) -> Rows:
    """The rows, ascending, whose unit is one of `units`."""
    return np.flatnonzero(np.isin(unit_of, units))


def _three_parts(label: Rows, group: Rows, seed: int) -> tuple[Rows, Rows, Rows]:
    units, unit_label = _units(label, group)
    train, rest = _draw(np.arange(len(unit_label)), unit_label, _HELD_OUT, seed)
    validation, test = _draw(rest, unit_label, 0.5, seed)
    return _members(units, train), _members(units, validation), _members(units, test)


def _official_parts(
    label: Rows, usage: NDArray[np.int8], group: Rows, seed: int
) -> tuple[Rows, Rows, Rows]:
    train, validation, test = (np.flatnonzero(usage == code) for code in range(len(USAGES)))
    if not (len(train) and len(test)):
        raise FerError(
            f"split usage: no image of the cache is marked {USAGES[2 if len(train) else 0]}",
            hint="take --split grouped, or data with a Usage column",
        )
    if not len(validation):
        units, unit_label = _units(label[train], group[train])
        kept, cut = _draw(np.arange(len(unit_label)), unit_label, _CUT, seed)
        train, validation = train[_members(units, kept)], train[_members(units, cut)]
    return train, validation, test


def _draw(units: Rows, unit_label: Rows, share: float, seed: int) -> list[Rows]:
    """Two stratified parts of units; the second has `share` of them."""
    from sklearn.model_selection import train_test_split

    label = unit_label[units]
    try:
        parts: list[Rows] = train_test_split(
            units, test_size=share, stratify=label, random_state=seed
        )
    except ValueError as error:
        counts = ", ".join(map(str, np.unique(label, return_counts=True)[1]))
        raise FerError(
            f"too few images to cut {share:.0%} from them: the classes have {counts}, where "
            "copies of one photograph count once",
            hint="take more images of each class",
        ) from error
    return parts
