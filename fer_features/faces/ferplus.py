"""FER+: ten people's votes on each image of FER2013.

Barsoum, Zhang, Canton Ferrer and Zhang (2016), https://arxiv.org/abs/1608.01041; the file is
https://github.com/microsoft/FERPlus, ``fer2013new.csv``.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features.errors import FerError
from fer_features.faces.record import EMOTIONS, USAGES

COLUMNS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
"""What could be voted for; ``NF`` is not a face."""

_EMOTION_OF = {
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprise",
    "neutral": "neutral",
}
_ORDER = [COLUMNS.index(vote) for vote in _EMOTION_OF]  # FER2013's order of emotions
_NOT_A_FACE = COLUMNS.index("NF")

NO_MAJORITY = -1

_LEAST_AGREEMENT = 0.4
"""In FER2013's own order two of three majorities agree with the label; in another, one in six."""


@dataclass(frozen=True)
class Votes:
    """Votes on some images.

    Attributes:
        counts: int64 (N, 10), votes for each of `COLUMNS`.
        usage: int8 (N,), the official part that the file names for each.
    """

    counts: NDArray[np.int64]
    usage: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.counts)

    def of(
        self, rows: NDArray[np.int64], *, usage: NDArray[np.int8], emotion: NDArray[np.int8]
    ) -> Votes:
        """The votes on some rows of ``fer2013.csv``, joined by their order, with a check.

        Args:
            rows: numbers of the source's rows (n,).
            usage: what the source says of their official part (n,), -1 where it says nothing.
            emotion: their labels (n,).

        Raises:
            FerError: the file has fewer rows, names other parts, or its majorities have so little
                to do with the labels that it must be of other images or in another order.
        """
        if len(rows) and rows.max() >= len(self):
            raise FerError(
                f"the votes end at row {len(self) - 1:,}; the data has a row {rows.max():,}",
                hint="--ferplus takes the votes on the whole of fer2013.csv, in its order",
            )
        found = Votes(self.counts[rows], self.usage[rows])
        differs = (usage >= 0) & (found.usage != usage)
        if differs.any():
            at = int(np.argmax(differs))
            raise FerError(
                f"row {rows[at]:,} is of {USAGES[usage[at]]} in the data and of "
                f"{USAGES[found.usage[at]]} in the votes: they are not in the same order",
                hint="both must have the rows of fer2013.csv in its own order",
            )
        share = agreement(found, emotion)
        if share < _LEAST_AGREEMENT:
            raise FerError(
                f"only {share:.0%} of the voters' majorities agree with the labels: the votes are "
                "not on these images, or in another order",
                hint="both must have the rows of fer2013.csv in its own order",
            )
        return found


def read_ferplus(path: Path) -> Votes:
    """Read a file of FER+ votes: columns ``Usage`` and each of `COLUMNS`, a line for each image.

    Raises:
        FerError: there is no such file, a column is missing, or a line cannot be understood.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"Usage", *COLUMNS} - set(reader.fieldnames or ())
            if missing:
                raise FerError(
                    f"{path}: no column {sorted(missing)[0]}: not a file of FER+ votes",
                    hint="fer2013new.csv of https://github.com/microsoft/FERPlus is one",
                )
            lines = [_line(path, number, line) for number, line in enumerate(reader)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FerError(
            f"{path}: the votes cannot be read: {getattr(error, 'strerror', None) or error}",
            hint="--ferplus takes fer2013new.csv of https://github.com/microsoft/FERPlus",
        ) from error
    if not lines:
        raise FerError(f"{path}: a header and no votes")
    table = np.array(lines, np.int64)
    return Votes(counts=table[:, 1:], usage=table[:, 0].astype(np.int8))


def _line(path: Path, number: int, line: dict[str, str]) -> list[int]:
    usage = line["Usage"]
    if usage not in USAGES:
        raise FerError(
            f"{path}, row {number}: no such usage: {usage}", hint=f"known are {', '.join(USAGES)}"
        )
    try:
        votes = [int(line[name]) for name in COLUMNS]
    except (TypeError, ValueError):
        votes = [-1]
    if min(votes) < 0:
        raise FerError(f"{path}, row {number}: a vote that is no whole number")
    return [USAGES.index(usage), *votes]


def majority(votes: Votes) -> NDArray[np.int8]:
    """What most voters chose, as FER2013's emotion codes (N,).

    `NO_MAJORITY` where the most votes went to contempt, to unknown or to not a face, and where two
    have equally many.
    """
    most = votes.counts.max(axis=1)
    alone = (votes.counts == most[:, None]).sum(axis=1) == 1
    codes = np.full(len(COLUMNS), NO_MAJORITY, np.int8)
    codes[_ORDER] = np.arange(len(EMOTIONS))
    return np.where(alone & (most > 0), codes[votes.counts.argmax(axis=1)], NO_MAJORITY).astype(
        np.int8
    )


def soft(votes: Votes) -> NDArray[np.float64]:
    """Shares of the votes for FER2013's seven emotions: float64 (N, 7), rows sum to 1, or to 0."""
    counts = votes.counts[:, _ORDER].astype(np.float64)
    total = counts.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.zeros_like(counts)
    np.divide(counts, total, out=shares, where=total > 0)
    return shares


def not_a_face(votes: Votes) -> NDArray[np.bool_]:
    """Where not a face has more votes than anything else: bool (N,)."""
    others = np.delete(votes.counts, _NOT_A_FACE, axis=1).max(axis=1)
    none: NDArray[np.bool_] = votes.counts[:, _NOT_A_FACE] > others
    return none


def agreement(votes: Votes, emotion: NDArray[np.int8]) -> float:
    """Of the images that have a majority, the share where it is the label; 1 where none has."""
    said = majority(votes)
    known = said != NO_MAJORITY
    return float((said == emotion)[known].mean()) if known.any() else 1.0
