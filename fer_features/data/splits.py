"""Train, validation and test: made at fit time from what the cache holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fer_features.config import USAGES
from fer_features.data.twins import Groups
from fer_features.errors import FerError

Rows = NDArray[np.int64]

FRACTIONS = (0.6, 0.2, 0.2)
"""Training, validation and test, as published."""


@dataclass(frozen=True)
class Split:
    """Three disjoint sets of places in a cache's rows, each ascending.

    Attributes:
        name: the rule that made it: ``grouped``, ``reference`` or ``usage``.
        seed: the seed it was made with; None where nothing was drawn.
        train: int64, rows that heads are fitted on.
        validation: int64, rows that everything is chosen on.
        test: int64, rows that are scored once.
        exact: bool (len(test),), which of them have an exact copy in train or validation.
        near: bool (len(test),), which of the others have a near or mirrored copy there.
        registered: bool (len(test),), which of the rest have a copy of another kind there: one that
            is shifted, scaled or lit otherwise, or of the same family of file names.
        removed: how many rows were taken out because they have a copy in a later part.
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
    label: NDArray[np.int64],
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
    if name not in SPLITS:
        raise FerError(f"no such split: {name}", hint=f"known are {', '.join(SPLITS)}")
    linked = groups.linked
    train, validation, test = SPLITS[name](label, usage, linked, seed)
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


def _check_parts(name: str, label: NDArray[np.int64], *parts: Rows) -> None:
    """Raise a `FerError` if training, validation or test lacks a class."""
    for part, rows in zip(("training", "validation", "test"), parts, strict=True):
        if len(np.unique(label[rows])) < len(np.unique(label)):
            raise FerError(
                f"split {name}: a class has no image in the {part} part",
                hint="take more images (--per-class) or another split",
            )


def without_seen_copies(
    split: Split, copy: NDArray[np.bool_], *, label: NDArray[np.int64]
) -> tuple[Split, int]:
    """A split whose validation and test rows the weights have seen no copy of, and rows removed.

    Args:
        split: as it is.
        copy: bool (N,), rows of which the weights have learnt from a copy and not from themselves.
        label: class codes (N,).

    Raises:
        FerError: a part would lack a class.
    """
    validation = split.validation[~copy[split.validation]]
    kept = ~copy[split.test]
    without = replace(
        split,
        validation=validation,
        test=split.test[kept],
        exact=split.exact[kept],
        near=split.near[kept],
        registered=split.registered[kept],
    )
    _check_parts(
        f"{split.name} without copies of learnt images",
        label,
        split.train,
        validation,
        without.test,
    )
    return without, len(split.validation) - len(validation) + int((~kept).sum())


def folds(
    *, label: NDArray[np.int64], group: NDArray[np.int64], k: int, seed: int
) -> Iterator[tuple[Rows, Rows]]:
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
            f"{k} folds cannot be made of classes of which the smallest has {smallest} images",
            hint=f"--cv takes 2 to {smallest} here",
        )
    splitter = StratifiedKFold(n_splits=k, shuffle=True, random_state=seed)
    for train, held in splitter.split(np.zeros(len(unit_label)), unit_label):
        yield _members(units, train), _members(units, held)


def nested_parts(
    *, label: NDArray[np.int64], group: NDArray[np.int64], shares: Sequence[float], seed: int
) -> list[Rows]:
    """Stratified parts of rows by ascending share, each within the next, whole groups in each.

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


def _units(label: NDArray[np.int64], group: NDArray[np.int64]) -> tuple[Rows, NDArray[np.int64]]:
    """What is drawn as one: each row's unit (N,), and each unit's label, its first row's.

    Drawing whole units with scikit-learn's stratified splitters takes milliseconds where
    StratifiedGroupKFold takes seconds, for parts that are a few rows off their exact sizes.
    """
    _, first, unit = np.unique(group, return_index=True, return_inverse=True)
    return unit, label[first]


def _members(unit_of: Rows, units: Rows) -> Rows:
    """The rows, ascending, whose unit is one of `units`."""
    return np.flatnonzero(np.isin(unit_of, units))


def _three_parts(
    label: NDArray[np.int64], group: NDArray[np.int64], seed: int
) -> tuple[Rows, Rows, Rows]:
    units, unit_label = _units(label, group)
    held = FRACTIONS[1] + FRACTIONS[2]
    try:
        train, rest = _draw(np.arange(len(unit_label)), unit_label, held, seed)
        validation, test = _draw(rest, unit_label, FRACTIONS[2] / held, seed)
    except ValueError as error:
        counts = ", ".join(map(str, np.unique(label, return_counts=True)[1]))
        raise FerError(
            f"too few images to split into three parts: {counts} in the classes",
            hint="take more images of each class (--per-class)",
        ) from error
    return _members(units, train), _members(units, validation), _members(units, test)


def _draw(units: Rows, unit_label: NDArray[np.int64], share: float, seed: int) -> list[Rows]:
    """Two stratified parts of units; the second takes `share` of them."""
    from sklearn.model_selection import train_test_split

    parts: list[Rows] = train_test_split(
        units, test_size=share, stratify=unit_label[units], random_state=seed
    )
    return parts


def _usage(
    label: NDArray[np.int64], usage: NDArray[np.int8], linked: NDArray[np.int64], seed: int
) -> tuple[Rows, Rows, Rows]:
    parts = [np.flatnonzero(usage == code) for code in range(len(USAGES))]
    missing = [name for name, rows in zip(USAGES, parts, strict=True) if not len(rows)]
    if missing not in ([], [USAGES[1]]):
        raise FerError(
            f"split usage: no image of the cache is marked {' or '.join(missing)}",
            hint="take --split grouped, or data with a Usage column",
        )
    if not len(parts[1]):
        rows = parts[0]
        units, unit_label = _units(label[rows], linked[rows])
        share = FRACTIONS[1] / (FRACTIONS[0] + FRACTIONS[1])
        try:
            drawn = _draw(np.arange(len(unit_label)), unit_label, share, seed)
        except ValueError as error:
            raise FerError(
                f"split usage: too few images of {USAGES[0]} to cut validation from it",
                hint="take more images of each class (--per-class)",
            ) from error
        parts[:2] = (rows[_members(units, part)] for part in drawn)
    return parts[0], parts[1], parts[2]


_Rule = Callable[
    [NDArray[np.int64], NDArray[np.int8], NDArray[np.int64], int], tuple[Rows, Rows, Rows]
]
GROUPED = "grouped"
"""The rule that is taken where none is named."""

SPLITS: dict[str, _Rule] = {
    GROUPED: lambda label, usage, linked, seed: _three_parts(label, linked, seed),
    "reference": lambda label, usage, linked, seed: _three_parts(
        label, np.arange(len(label)), seed
    ),
    "usage": _usage,
}
"""The rules by name."""
