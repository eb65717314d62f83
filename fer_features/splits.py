"""Train, validation and test: made at fit time from what the cache holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_features.errors import FerError
from fer_features.faces.record import USAGES

Rows = NDArray[np.int64]

FRACTIONS = (0.6, 0.2, 0.2)
"""Training, validation and test, as published."""


@dataclass(frozen=True)
class Split:
    """Three disjoint sets of places in a cache's rows, each ascending.

    Attributes:
        name: the rule that made it: ``grouped``, ``reference`` or ``usage``.
        seed: the seed it was made with; None where the rule draws nothing.
        train: int64, rows that heads are fitted on.
        validation: int64, rows that everything is chosen on.
        test: int64, rows that are scored once.
        leaked: how many test rows have an exact twin in train or validation.
    """

    name: str
    seed: int | None
    train: Rows
    validation: Rows
    test: Rows
    leaked: int


def make_split(
    name: str,
    *,
    label: NDArray[np.int64],
    usage: NDArray[np.int8],
    sha256: NDArray[np.bytes_],
    seed: int,
) -> Split:
    """Split rows into training, validation and test.

    Args:
        name: ``grouped``: 60/20/20, stratified, identical images always on one side;
            ``reference``: 60/20/20, stratified by seed, identical images wherever they fall, as
            the published project did; ``usage``: FER2013's Training, PublicTest, PrivateTest.
        label: class codes (N,).
        usage: usage codes (N,).
        sha256: pixel hashes (N,), which tell identical images.
        seed: seed of the draw; `usage` draws nothing.

    Raises:
        FerError: there is no such split, or a part would lack a class.
    """
    if name not in SPLITS:
        raise FerError(f"no such split: {name}", hint=f"known are {', '.join(SPLITS)}")
    parts = SPLITS[name](label, usage, sha256, seed)
    for part, rows in zip(("training", "validation", "test"), parts, strict=True):
        if len(np.unique(label[rows])) < len(np.unique(label)):
            raise FerError(
                f"split {name}: a class has no image in the {part} part",
                hint="take more images (--per-class) or another split",
            )
    train, validation, test = parts
    known = np.concatenate([sha256[train], sha256[validation]])
    return Split(
        name=name,
        seed=None if name == "usage" else seed,
        train=train,
        validation=validation,
        test=test,
        leaked=int(np.isin(sha256[test], known).sum()),
    )


def folds(
    *, label: NDArray[np.int64], sha256: NDArray[np.bytes_], k: int, seed: int, grouped: bool
) -> Iterator[tuple[Rows, Rows]]:
    """The k pairs (training, held out) of places in `label`, stratified, shuffled by seed.

    With `grouped`, identical images are always on one side.

    Raises:
        FerError: fewer than k images of a class.
    """
    smallest = int(np.unique(label, return_counts=True)[1].min())
    if not 2 <= k <= smallest:
        raise FerError(
            f"{k} folds cannot be made of classes of which the smallest has {smallest} images",
            hint=f"--cv takes 2 to {smallest} here",
        )
    yield from _kfold(label, sha256, k, seed, grouped)


def _kfold(
    label: NDArray[np.int64], sha256: NDArray[np.bytes_], k: int, seed: int, grouped: bool
) -> Iterator[tuple[Rows, Rows]]:
    from sklearn.model_selection import StratifiedKFold

    group, unit_label = _units(label, sha256, grouped=grouped)
    splitter = StratifiedKFold(n_splits=k, shuffle=True, random_state=seed)
    for train, held in splitter.split(np.zeros(len(unit_label)), unit_label):
        yield _members(group, train), _members(group, held)


def _units(
    label: NDArray[np.int64], sha256: NDArray[np.bytes_], *, grouped: bool
) -> tuple[Rows, NDArray[np.int64]]:
    """What is drawn as one: each row's unit (N,), and each unit's label, its first row's.

    Drawing whole units with scikit-learn's stratified splitters takes milliseconds where
    StratifiedGroupKFold takes seconds, for parts that are a few rows off their exact sizes.
    """
    if not grouped:
        return np.arange(len(label)), label
    _, first, group = np.unique(sha256, return_index=True, return_inverse=True)
    return group, label[first]


def _members(group: Rows, units: Rows) -> Rows:
    """The rows, ascending, whose unit is one of `units`."""
    return np.flatnonzero(np.isin(group, units))


def _three_parts(
    label: NDArray[np.int64], sha256: NDArray[np.bytes_], seed: int, *, grouped: bool
) -> tuple[Rows, Rows, Rows]:
    from sklearn.model_selection import train_test_split

    group, unit_label = _units(label, sha256, grouped=grouped)
    held = FRACTIONS[1] + FRACTIONS[2]
    try:
        train, rest = train_test_split(
            np.arange(len(unit_label)), test_size=held, stratify=unit_label, random_state=seed
        )
        validation, test = train_test_split(
            rest, test_size=FRACTIONS[2] / held, stratify=unit_label[rest], random_state=seed
        )
    except ValueError as error:
        counts = ", ".join(map(str, np.unique(label, return_counts=True)[1]))
        raise FerError(
            f"too few images to split into three parts: {counts} in the classes",
            hint="take more images of each class (--per-class)",
        ) from error
    return _members(group, train), _members(group, validation), _members(group, test)


def _reference(
    label: NDArray[np.int64], usage: NDArray[np.int8], sha256: NDArray[np.bytes_], seed: int
) -> tuple[Rows, Rows, Rows]:
    return _three_parts(label, sha256, seed, grouped=False)


def _grouped(
    label: NDArray[np.int64], usage: NDArray[np.int8], sha256: NDArray[np.bytes_], seed: int
) -> tuple[Rows, Rows, Rows]:
    return _three_parts(label, sha256, seed, grouped=True)


def _usage(
    label: NDArray[np.int64], usage: NDArray[np.int8], sha256: NDArray[np.bytes_], seed: int
) -> tuple[Rows, Rows, Rows]:
    parts = [np.flatnonzero(usage == code) for code in range(len(USAGES))]
    for name, rows in zip(USAGES, parts, strict=True):
        if not len(rows):
            raise FerError(
                f"split usage: no image of the cache is marked {name}",
                hint="take --split grouped, or data with a Usage column",
            )
    return parts[0], parts[1], parts[2]


_Rule = Callable[
    [NDArray[np.int64], NDArray[np.int8], NDArray[np.bytes_], int], tuple[Rows, Rows, Rows]
]
SPLITS: dict[str, _Rule] = {"grouped": _grouped, "reference": _reference, "usage": _usage}
"""The rules by name; the first is the default."""
