"""Which images are copies of one photograph.

Our own code: no library has an exact all-pairs search with shifts, scales and mirror images.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.config import NEAR
from fer_features.data.faces import pixel_sha256
from fer_features.data.registered import is_indexed, registered_pairs
from fer_features.runtime.progress import Advance, Progress, no_progress

_WAVES = 8
"""Waves along each side of an image, whose products are the directions of the bound."""

_BLOCK = 2048
Places = NDArray[np.int64]
Floats = NDArray[np.float64]
_ROUNDING = 1e-4  # more than float32 sums of 2,304 products of unit vectors can be off

KINDS = ("exact", "near", "mirrored", "registered", "family")
"""What makes two images copies of one photograph.

``exact``: the same bytes. ``near``: their pixels correlate above `NEAR`. ``mirrored``: one's and
the other's mirrored do. ``registered``: shifted, scaled or mirrored, one fits the other
(`fer_features.data.registered`). ``family``: their file names say so.
"""
EXACT, NEAR_, MIRRORED = range(3)


@dataclass(frozen=True, eq=False)
class Groups:
    """Group numbers of N images, the same for copies of one photograph, and copies of copies.

    Attributes:
        exact: int64 (N,), the same bytes.
        near: int64 (N,), exact, near and mirrored copies.
        linked: int64 (N,), all kinds of copies.
    """

    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    linked: NDArray[np.int64]

    def __getitem__(self, places: Any) -> Groups:
        return Groups(self.exact[places], self.near[places], self.linked[places])

    def __len__(self) -> int:
        return len(self.linked)


@dataclass(frozen=True, eq=False)
class Twins:
    """The copies among N images.

    Attributes:
        groups: of copies.
        pairs: int64 (P, 2), places of two images of different bytes, the first before the second;
            of images with the same bytes the first only, but for families.
        kind: uint8 (P,), a place in `KINDS`.
        correlation: float32 (P,), Pearson's r of the pixels (of the aligned middles, without
            the light, where the kind is registered).
        indexed: whether registered copies were searched for through inverted lists, which miss some
            2 in 100 (`fer_features.data.registered`).
    """

    groups: Groups
    pairs: NDArray[np.int64]
    kind: NDArray[np.uint8]
    correlation: NDArray[np.float32]
    indexed: bool = False

    def count(self, kind: int) -> int:
        """How many pairs of a kind there are."""
        return int((self.kind == kind).sum())


def find_twins(
    images: NDArray[np.uint8],
    *,
    sha256: NDArray[np.bytes_] | None = None,
    family: NDArray[np.int64] | None = None,
    threshold: float = NEAR,
    progress: Progress = no_progress,
) -> Twins:
    """Find all copies among images. Every pair is compared, but see `Twins.indexed`.

    Args:
        images: uint8 (N, 48, 48).
        sha256: hashes of the images' bytes (N,); computed if None.
        family: int64 (N,), the same number for images whose names say that they are copies, -1 for
            none; None if there are no names.
        threshold: correlation of the pixels above which images are near copies; below 1.
        progress: called with a total of three times the number of different images.
    """
    sha256 = pixel_sha256(images) if sha256 is None else sha256
    _, first, exact = np.unique(sha256, return_index=True, return_inverse=True)
    order = np.sort(first)  # different images in their own order, so that all pairs ascend
    different = images[order]
    with progress("looking for copies", 3 * len(order), "images") as advance:
        plain, plain_r, mirrored, mirrored_r = near_pairs(different, threshold, advance)
        registered, registered_r = registered_pairs(different, advance=advance)
    is_new = ~np.isin(_keys(registered), _keys(np.concatenate([plain, mirrored])))
    families = _families(family)
    found = [order[plain], order[mirrored], order[registered[is_new]], families]
    families_r = _pixel_correlation(images, families)
    correlation = np.concatenate([plain_r, mirrored_r, registered_r[is_new], families_r])
    pairs = np.concatenate(found)
    kind = np.repeat(np.arange(NEAR_, len(KINDS), dtype=np.uint8), [len(one) for one in found])
    near = kind <= MIRRORED
    return Twins(
        groups=Groups(
            exact=exact.astype(np.int64),
            near=_components(exact, pairs[near]),
            linked=_components(exact, pairs),
        ),
        pairs=pairs,
        kind=kind,
        correlation=correlation.astype(np.float32),
        indexed=is_indexed(len(order)),
    )


def every_pair(twins: Twins) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.float32]]:
    """All pairs of copies, also those of exact copies: a pair once, under its first kind.

    Returns:
        int64 (P, 2) places, ascending; their kinds; their correlations, 1 for exact copies.
    """
    exact = twins.groups.exact
    order = np.argsort(exact, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(exact))[:-1])
    found: dict[tuple[int, int], tuple[int, float]] = {}
    for group in members:
        for pair in combinations(group.tolist(), 2):
            found[pair] = (EXACT, 1.0)
    for (a, b), kind, r in zip(twins.pairs, twins.kind, twins.correlation, strict=True):
        for one, other in product(members[exact[a]].tolist(), members[exact[b]].tolist()):
            if one != other:
                found.setdefault((min(one, other), max(one, other)), (int(kind), float(r)))
    pairs = sorted(found)
    return (
        np.array(pairs, np.int64).reshape(-1, 2),
        np.array([found[pair][0] for pair in pairs], np.uint8),
        np.array([found[pair][1] for pair in pairs], np.float32),
    )


def _keys(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    return pairs[:, 0] << 32 | pairs[:, 1]


def _components(exact: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Group numbers (N,) where pairs, and images of the same exact group, are linked."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = int(exact.max(initial=-1)) + 1
    links = (np.ones(len(pairs), np.bool_), (exact[pairs[:, 0]], exact[pairs[:, 1]]))
    _, component = connected_components(coo_array(links, shape=(n, n)), directed=False)
    grouped: NDArray[np.int64] = component[exact].astype(np.int64)
    return grouped


def _families(family: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """All pairs of members of a family: int64 (P, 2)."""
    members = defaultdict[int, list[int]](list)
    for place, number in enumerate([] if family is None else family.tolist()):
        if number >= 0:
            members[number].append(place)
    pairs = [pair for _, one in sorted(members.items()) for pair in combinations(one, 2)]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _pixel_correlation(images: NDArray[np.uint8], pairs: NDArray[np.int64]) -> Floats:
    """Pearson's r of pairs of images (P,); 0 where one has one grey level."""
    places, inverse = np.unique(pairs, return_inverse=True)
    units = _units(images[places])
    one, other = inverse.reshape(-1, 2).T
    return _correlations(units, one, other, np.arange(units.shape[1]))


def near_pairs(
    images: NDArray[np.uint8], threshold: float, advance: Advance = lambda n: None
) -> tuple[Places, Floats, Places, Floats]:
    """Pairs of different images that correlate above `threshold`: as they are, and one mirrored.

    The result is that of comparing all pairs, but most are ruled out by a bound that takes a 35th
    of the operations: with P the projection on a few directions and r the length of what it leaves,
    a·b ≤ Pa·Pb + r(a) r(b) (Cauchy and Schwarz). Images of one grey level correlate with nothing.

    Args:
        images: uint8 (N, H, W).
        threshold: below 1.
        advance: progress callback, called with numbers of images that sum to 2 N.

    Returns:
        int64 (P, 2) places and float64 (P,) Pearson's r of the pairs of images as they are, and
        the same of the pairs one of which is mirrored.
    """
    units = _units(images)
    pixels = np.arange(units.shape[1])
    turned = pixels.reshape(images.shape[1:])[:, ::-1].ravel()  # where a mirror puts each pixel
    directions = _directions(*images.shape[1:])
    short = _shortened(units, directions)
    # a·mirror(d) = mirror(a)·d: mirrored directions do for mirrored images, without making them
    mirrored_short = _shortened(units, directions[:, turned])
    return (
        *_compare(units, pixels, short, short, threshold, advance),
        *_compare(units, turned, short, mirrored_short, threshold, advance),
    )


def _compare(
    units: NDArray[np.float32],
    order: NDArray[np.int64],
    short: NDArray[np.float32],
    other_short: NDArray[np.float32],
    threshold: float,
    advance: Advance,
) -> tuple[Places, Floats]:
    """Pairs of images, one as it is and one with its pixels in `order`, above the threshold."""
    pairs, correlations = [np.empty((0, 2), np.int64)], [np.empty(0)]
    for start in range(0, len(units), _BLOCK):
        stop = min(start + _BLOCK, len(units))
        for left in range(0, stop, _BLOCK):
            bound = short[start:stop] @ other_short[left : left + _BLOCK].T
            row, before = np.divmod(
                np.flatnonzero(bound.ravel() > threshold - _ROUNDING), bound.shape[1]
            )
            row, before = row + start, before + left
            row, before = row[before < row], before[before < row]
            r = _correlations(units, row, before, order)
            pairs.append(np.stack([before, row], axis=1)[r > threshold])
            correlations.append(r[r > threshold])
        advance(stop - start)
    return np.concatenate(pairs), np.concatenate(correlations)


def _correlations(
    units: NDArray[np.float32],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    order: NDArray[np.int64],
) -> Floats:
    """Pearson's r of pairs of images (P,), the other's pixels in `order`."""
    r = np.empty(len(one))
    for start in range(0, len(one), _BLOCK):  # however many there are, memory is flat
        some = slice(start, start + _BLOCK)
        r[some] = np.einsum(
            "ij,ij->i", units[one[some]], units[other[some]][:, order], dtype=np.float64
        )
    return r


def _units(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each image as a vector of mean 0 and length 1; zeros where all its pixels are equal."""
    pixels = images.reshape(len(images), images.shape[1] * images.shape[2])
    flat = pixels.astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", flat, flat))
    constant = np.ptp(pixels, axis=1) == 0
    flat[constant] = 0
    flat /= np.where(constant, 1, length)[:, None]
    return flat


def _directions(height: int, width: int) -> NDArray[np.float32]:
    """Orthonormal directions (D, height × width): the lowest waves, which most of an image is."""
    from scipy.fft import dct

    rows, columns = (
        dct(np.eye(side), axis=0, norm="ortho")[:_WAVES].astype(np.float32)
        for side in (height, width)
    )
    waves: NDArray[np.float32] = np.einsum("ah,bw->abhw", rows, columns)
    return waves.reshape(-1, height * width)[1:]


def _shortened(units: NDArray[np.float32], directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each image as (D + 1) numbers whose products bound those of the images from above."""
    short = units @ directions.T
    inside = np.einsum("ij,ij->i", short, short)
    everything = np.einsum("ij,ij->i", units, units)
    left = np.sqrt(np.maximum(everything - inside, 0) + _ROUNDING * 1e-2)
    return np.hstack([short, left[:, None]])
