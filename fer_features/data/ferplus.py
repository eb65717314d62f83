"""FER+: ten people's votes on each image of FER2013.

Barsoum, Zhang, Canton Ferrer and Zhang (2016), https://arxiv.org/abs/1608.01041; the file is
https://github.com/microsoft/FERPlus, ``fer2013new.csv``.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features.config import EMOTIONS, USAGES
from fer_features.errors import FerError

_EMOTIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
COLUMNS = (*_EMOTIONS, "contempt", "unknown", "NF")
"""What could be voted for; ``NF`` means not a face."""

_ORDER = [4, 5, 6, 1, 3, 2, 0]  # anger, disgust, …: FER2013's order of emotions
_NOT_A_FACE = COLUMNS.index("NF")

_USAGE_CODES = {usage.lower(): code for code, usage in enumerate(USAGES)}
_VOTE = re.compile(r"[0-9]{1,3}(\.0*)?")

NO_MAJORITY = -1

_LEAST_AGREEMENT = 0.4
"""In FER2013's own order two of three majorities agree with the label; in another, one in six."""

_AGREEMENT = np.array([0.52, 0.38, 0.14, 0.93, 0.43, 0.82, 0.88])
"""By the label, for rows of few classes: what share of the majorities is angry for angry, …."""

_FEW_ROWS = 0.1
"""So little agreement must be less probable than this in the right order, as for 3 or 4 rows it
need not be; from some 50 rows on it is less probable than 0.0001."""

_OWN = 1e-4
"""Improbable for hits on a label where votes are on other images."""

_FALSE_ALARM = 1e-6
"""At most this probable where all votes are on their own images."""

_FILE_HINT = "--ferplus takes fer2013new.csv of https://github.com/microsoft/FERPlus"
_ORDER_HINT = "both must have the rows of fer2013.csv in its own order"


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
        self,
        rows: NDArray[np.int64],
        *,
        usage: NDArray[np.int8],
        emotion: NDArray[np.int8],
        total: int | None = None,
    ) -> Votes:
        """The votes on some rows of ``fer2013.csv``, joined by their order, with checks of it.

        Args:
            rows: numbers of the source's rows (n,), ascending.
            usage: their official parts by the source (n,), -1 if it names none.
            emotion: their labels (n,).
            total: how many rows the source has, with those that are left out; None if unknown.

        Raises:
            FerError: the file has another number of rows, names other parts, or its majorities
                have, in all rows or from one row to another, so little to do with the labels that
                they must be of other images or in another order.
        """
        hint = "--ferplus takes the votes on all of fer2013.csv, in its order"
        if total not in (None, len(self)):
            raise FerError(f"{len(self):,} rows of votes, {total:,} rows of data", hint=hint)
        if len(rows) and rows.max() >= len(self):
            raise FerError(
                f"the votes end at row {len(self) - 1:,}; the data has a row {rows.max():,}",
                hint=hint,
            )
        found = Votes(self.counts[rows], self.usage[rows])
        differs = (usage >= 0) & (found.usage != usage)
        if differs.any():
            at = int(np.argmax(differs))
            raise FerError(
                f"row {rows[at]:,} is of {USAGES[usage[at]]} in the data and of "
                f"{USAGES[found.usage[at]]} in the votes: they are not in the same order",
                hint=_ORDER_HINT,
            )
        _check_agreement(found, rows, emotion)
        return found


def _check_agreement(votes: Votes, rows: NDArray[np.int64], emotion: NDArray[np.int8]) -> None:
    """Refuse votes that have too little to do with the labels, everywhere or in a stretch."""
    voted = majority(votes)
    known = voted != NO_MAJORITY
    if not known.any():
        return
    usual, share = _AGREEMENT[emotion[known]].mean(), (voted == emotion)[known].mean()
    least = min(_LEAST_AGREEMENT, 0.6 * usual)
    odd = find_stretch(voted, emotion)
    if odd is not None and max(share, odd.usual) >= least:
        first, last = rows[odd.first], rows[odd.last]
        raise FerError(
            f"from about row {first:,} of {USAGES[votes.usage[odd.first]]} to row {last:,} only "
            f"{odd.agreement:.0%} of the voters' majorities agree with the labels, elsewhere "
            f"{odd.usual:.0%}: the votes of these rows are of others",
            hint=f"look for a row that is missing or twice near row {first:,}; {_ORDER_HINT}",
        )
    from scipy.stats import binom  # imported by every extraction, it would take a second

    if share < least and binom.cdf(share * known.sum(), known.sum(), usual) < _FEW_ROWS:
        raise FerError(
            f"only {share:.0%} of the voters' majorities agree with the labels: the votes are "
            "not on these images, or in another order",
            hint=_ORDER_HINT,
        )


@dataclass(frozen=True)
class Stretch:
    """Votes, one after another, that have no more to do with their labels than chance.

    Attributes:
        first: the place where they seem to begin.
        last: the place where they seem to end.
        agreement: the share of their majorities that is the label.
        usual: the same share in all other rows.
    """

    first: int
    last: int
    agreement: float
    usual: float


def find_stretch(voted: NDArray[np.int8], emotion: NDArray[np.int8]) -> Stretch | None:
    """Find the stretch of rows whose majorities look most like those of other images.

    Each majority is a hit or a miss. A hit on a label is as probable as its share among all rows
    of that label, or, on another image, as the share of that emotion among all majorities. The
    stretch is the one with the largest sum of log-likelihood ratios of the second to the first,
    as in CUSUM (Page 1954, https://doi.org/10.1093/biomet/41.1-2.100). By Ville's inequality such
    a sum passes log(N / p) with probability p at most if all votes are on their own images. Labels
    on which voters disagree with the data (fear: 14 %) are thus no evidence, in whatever order the
    rows are.

    Args:
        voted: the majority's emotion code for each row, in the source's order (N,); -1 for none.
        emotion: the labels (N,).

    Returns:
        The stretch; None if chance explains it.
    """
    known = np.flatnonzero(voted >= 0)
    if not len(known):
        return None
    code, hit = emotion[known], (voted == emotion)[known]
    of_label = np.bincount(code, minlength=len(EMOTIONS))
    own = (np.bincount(code[hit], minlength=len(EMOTIONS)) + 0.5) / (of_label + 1)
    other = (np.bincount(voted[known], minlength=len(EMOTIONS)) + 0.5) / (len(known) + 1)
    ratio = np.where(hit, np.log(other / own)[code], np.log((1 - other) / (1 - own))[code])
    ratio[(own <= other)[code]] = 0
    total = np.concatenate([[0], ratio.cumsum()])
    rise = total - np.minimum.accumulate(total)
    stop = int(rise.argmax())
    if rise[stop] <= np.log(len(known) / _FALSE_ALARM):
        return None
    start = int(total[: stop + 1].argmin())
    inside, outside = hit[start:stop], np.delete(hit, slice(start, stop))
    images = np.bincount(code[start:stop], minlength=len(EMOTIONS))
    hits = np.bincount(code[start:stop][inside], minlength=len(EMOTIONS))
    near = (own > other) & (hits > images * (own + other) / 2)
    from scipy.stats import binom

    if (near & (binom.sf(hits - 1, images, other) < _OWN)).any():
        return None  # the votes on some label are surely on their own images
    return Stretch(
        first=int(known[start]),
        last=int(known[stop - 1]),
        agreement=float(inside.mean()),
        usual=float(outside.mean()) if len(outside) else 0.0,
    )


def read_ferplus(path: Path) -> Votes:
    """Read a file of FER+ votes: columns ``Usage`` and each of `COLUMNS`, a line for each image.

    Names of columns and parts may be in upper or lower case; blank lines are no rows. The column
    ``Image name`` is not used: in the published file many of the names are wrong.

    Raises:
        FerError: there is no such file, a column is missing or repeated, or a line cannot be
            understood.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            lines = [[field.strip().lower() for field in line] for line in csv.reader(file)]
    except UnicodeDecodeError as error:
        raise FerError(f"{path} is not a text file in UTF-8", hint=_FILE_HINT) from error
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise FerError(f"{path}: the votes cannot be read: {reason}", hint=_FILE_HINT) from error
    header, *table = [line for line in lines if any(line)] or [[]]
    for name in ("Usage", *COLUMNS):
        if (n := header.count(name.lower())) != 1:
            number = "more than one" if n else "no"
            raise FerError(f"{path} has {number} column {name} of FER+'s", hint=_FILE_HINT)
    if not table:
        raise FerError(f"{path}: a header and no votes", hint=_FILE_HINT)
    places = [header.index(name.lower()) for name in ("Usage", *COLUMNS)]
    votes = [
        _parse(line, places, width=len(header), where=f"{path}, row {row}")
        for row, line in enumerate(table)
    ]
    return Votes(
        counts=np.array([counts for _, counts in votes], np.int64),
        usage=np.array([usage for usage, _ in votes], np.int8),
    )


def _parse(line: list[str], places: list[int], *, width: int, where: str) -> tuple[int, list[int]]:
    if len(line) != width:
        raise FerError(f"{where}: {len(line)} fields instead of {width}")
    usage, *counts = (line[place] for place in places)
    if usage not in _USAGE_CODES:
        raise FerError(f"{where}: no such usage: {usage}", hint=f"known are {', '.join(USAGES)}")
    if not all(map(_VOTE.fullmatch, counts)):
        raise FerError(f"{where}: a vote is not a whole number from 0 to 999")
    return _USAGE_CODES[usage], [int(float(count)) for count in counts]


def majority(votes: Votes) -> NDArray[np.int8]:
    """The emotion with the most votes, as FER2013's emotion codes: int8 (N,).

    `NO_MAJORITY` where the most votes went to contempt, to unknown or to not a face, and where two
    have equally many.
    """
    most = votes.counts.max(axis=1)
    alone = (votes.counts == most[:, None]).sum(axis=1) == 1
    codes = np.full(len(COLUMNS), NO_MAJORITY, np.int8)
    codes[_ORDER] = np.arange(len(EMOTIONS))
    return np.where(alone & (most > 0), codes[votes.counts.argmax(axis=1)], np.int8(NO_MAJORITY))


def soft(votes: Votes) -> NDArray[np.float64]:
    """Shares of the votes for FER2013's seven emotions: float64 (N, 7), rows sum to 1, or to 0."""
    counts = votes.counts[:, _ORDER]
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def not_a_face(votes: Votes) -> NDArray[np.bool_]:
    """Where not a face has more votes than anything else: bool (N,)."""
    others = np.delete(votes.counts, _NOT_A_FACE, axis=1).max(axis=1)
    none: NDArray[np.bool_] = votes.counts[:, _NOT_A_FACE] > others
    return none
