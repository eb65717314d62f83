"""Whether a classifier is as often right on one group of rows as on the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class GroupTest(NamedTuple):
    """A group of rows against all others.

    Attributes:
        excess: rows of the group that are right beyond what the others' accuracy, class by class,
            would give; below 0 where the group is worse.
        p: two-sided probability of so much, or more, if the group were like the others.
    """

    excess: float
    p: float


def mantel_haenszel(right: ArrayLike, inside: ArrayLike, label: ArrayLike) -> GroupTest:
    """The Mantel-Haenszel test: is a group's accuracy that of the others, class by class?

    Mantel and Haenszel, 1959, https://doi.org/10.1093/jnci/22.4.719, with their correction for
    continuity. A group with more faces of a difficult class is compared with others of that class,
    and is not called worse for having more of them.

    Args:
        right: bool (N,), the rows that are classified correctly.
        inside: bool (N,), the rows of the group.
        label: int (N,), true class codes.

    Returns:
        The test; p is 1 where no class has rows both inside and outside, or none differ.
    """
    from scipy.special import chdtrc

    r, g, y = np.asarray(right, bool), np.asarray(inside, bool), np.asarray(label)
    excess = variance = 0.0
    for one in np.unique(y):
        of_class = y == one
        n, rights, members = int(of_class.sum()), int(r[of_class].sum()), int(g[of_class].sum())
        if n < 2:
            continue
        excess += int((r & g & of_class).sum()) - rights * members / n
        variance += rights * (n - rights) * members * (n - members) / (n**2 * (n - 1))
    if variance <= 0:
        return GroupTest(excess, 1.0)
    return GroupTest(excess, float(chdtrc(1, max(abs(excess) - 0.5, 0.0) ** 2 / variance)))
