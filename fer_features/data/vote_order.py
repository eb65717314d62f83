"""Votes that stand beside the wrong images: found by where they stop agreeing with the labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from fer_features.config import EMOTIONS

_OWN = 1e-4
"""Improbable for hits on a label where votes are on other images."""

_FALSE_ALARM = 1e-6
"""At most this probable where all votes are on their own images."""


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
    of_label = np.bincount(code, minlength=len(EMOTIONS)) + 1
    own = (np.bincount(code[hit], minlength=len(EMOTIONS)) + 0.5) / of_label
    other = (np.bincount(voted[known], minlength=len(EMOTIONS)) + 0.5) / (len(known) + 1)
    ratio = np.where(hit, np.log(other / own)[code], np.log((1 - other) / (1 - own))[code])
    ratio[(own <= other)[code]] = 0
    total = np.concatenate([[0], ratio.cumsum()])
    rise = total - np.minimum.accumulate(total)
    stop = int(rise.argmax())
    if rise[stop] <= np.log(len(known) / _FALSE_ALARM):
        return None
    start = int(total[: stop + 1].argmin())
    if _on_their_own(code[start:stop], hit[start:stop], own, other):
        return None
    outside = np.delete(hit, slice(start, stop))
    return Stretch(
        first=int(known[start]),
        last=int(known[stop - 1]),
        agreement=float(hit[start:stop].mean()),
        usual=float(outside.mean()) if len(outside) else 0.0,
    )


def _on_their_own(
    code: NDArray[np.int8],
    hit: NDArray[np.bool_],
    own: NDArray[np.float64],
    other: NDArray[np.float64],
) -> bool:
    """Whether the votes on some label in a stretch are surely not those of other images.

    Then the voters only saw other labels otherwise there, and no row has slipped.
    """
    images = np.bincount(code, minlength=len(EMOTIONS))
    hits = np.bincount(code[hit], minlength=len(EMOTIONS))
    near = (own > other) & (hits > images * (own + other) / 2)
    return bool((near & (binom.sf(hits - 1, images, other) < _OWN)).any())
