"""Rows that one may wish to leave out, by what is wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fer_features.data.faces import IMAGE_SIZE
from fer_features.data.ferplus import Votes, not_a_face
from fer_features.errors import FerError

DROPS = ("notface", "constant", "conflict")
"""``notface``: most voters say that it is none; ``constant``: one grey level; ``conflict``:
identical images with different labels."""


def rows_to_drop(
    names: Sequence[str],
    *,
    emotion: NDArray[np.int8],
    sha256: NDArray[np.bytes_],
    votes: Votes | None = None,
) -> dict[str, NDArray[np.bool_]]:
    """Which rows each reason is about.

    Args:
        names: some of `DROPS`.
        emotion: labels (N,).
        sha256: hashes of the images' bytes (N,).
        votes: FER+'s votes on these rows, for ``notface``.

    Returns:
        For each name bool (N,).

    Raises:
        FerError: there is no such reason, or votes are needed and not given.
    """
    found = {}
    for name in names:
        if name == "constant":
            found[name] = np.isin(sha256, _constant_images())
        elif name == "conflict":
            found[name] = conflicting(emotion, sha256)
        elif name == "notface":
            if votes is None:
                raise FerError(
                    "what is no face is told by votes", hint="name their file with --ferplus"
                )
            found[name] = not_a_face(votes)
        else:
            raise FerError(f"no such rows to drop: {name}", hint=f"known are {', '.join(DROPS)}")
    return found


def conflicting(
    emotion: NDArray[np.int8], same: NDArray[np.bytes_] | NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Where the same picture also has another label: bool (N,).

    Args:
        emotion: labels (N,).
        same: what only images of the same picture share (N,): hashes, or numbers of groups.
    """
    _, group = np.unique(same, return_inverse=True)
    labels = np.unique(np.stack([group, emotion.astype(np.int64)], axis=1), axis=0)[:, 0]
    several: NDArray[np.bool_] = (np.bincount(labels) > 1)[group]
    return several


@cache
def _constant_images() -> NDArray[np.bytes_]:
    """Hashes of the 256 images that are all one grey level."""
    sizes = IMAGE_SIZE * IMAGE_SIZE
    return np.array(
        [hashlib.sha256(bytes([grey]) * sizes).hexdigest().encode() for grey in range(256)]
    )
