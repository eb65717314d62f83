"""Which images are the same picture: to the byte, or nearly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_features.config import NEAR
from fer_features.faces.record import pixel_sha256
from fer_features.progress import Advance

_WAVES = 8
"""Waves along each side of an image, whose products are the directions of the bound."""

_BLOCK = 2048
_ROUNDING = 1e-4  # more than float32 sums of 2,304 products of unit vectors can be off


@dataclass(frozen=True)
class Twins:
    """Images that are the same picture.

    Attributes:
        exact: int64 (N,), group numbers, the same for images of the same bytes.
        near: int64 (N,), group numbers, the same for exact and near twins, and twins of twins.
        pairs: int64 (P, 2), places of the near twins found, each the first of its exact group.
        mirrored: bool (P,), whether the second has to be mirrored to look like the first.
    """

    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    pairs: NDArray[np.int64]
    mirrored: NDArray[np.bool_]


def twin_groups(
    images: NDArray[np.uint8],
    *,
    sha256: NDArray[np.bytes_] | None = None,
    threshold: float = NEAR,
    advance: Advance | None = None,
) -> Twins:
    """Find exact and near twins, mirror images among them.

    Near twins are images whose pixels, or one's and the other's mirrored, correlate above
    `threshold` (Pearson's r). The result is that of comparing all pairs, but most are ruled out by
    a bound that takes a 35th of the operations: with P the projection on a few directions and r
    the length of what it leaves, a·b ≤ Pa·Pb + r(a) r(b) (Cauchy and Schwarz). Images of one grey
    level correlate with nothing, and have exact twins only.

    Args:
        images: uint8 (N, H, W).
        sha256: hashes of the images' bytes (N,); computed if None.
        threshold: below 1.
        advance: told of the images compared with all before them.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    sha256 = pixel_sha256(images) if sha256 is None else sha256
    _, first, exact = np.unique(sha256, return_index=True, return_inverse=True)
    found = _near_pairs(images[first], threshold, advance)
    pairs = np.concatenate(found)
    links = (np.ones(len(pairs), np.bool_), (pairs[:, 0], pairs[:, 1]))
    _, component = connected_components(
        coo_array(links, shape=(len(first), len(first))), directed=False
    )
    return Twins(
        exact=exact.astype(np.int64),
        near=component[exact].astype(np.int64),
        pairs=first[pairs].astype(np.int64),
        mirrored=np.repeat([False, True], [len(one) for one in found]),
    )


def _near_pairs(
    images: NDArray[np.uint8], threshold: float, advance: Advance | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (P, 2) of different images, the first before the second: near twins, mirrored ones."""
    units = _units(images)
    pixels = np.arange(units.shape[1])
    turned = pixels.reshape(images.shape[1:])[:, ::-1].ravel()  # where a mirror puts each pixel
    directions = _directions(*images.shape[1:])
    short = _shortened(units, directions)
    # a·mirror(d) = mirror(a)·d: mirrored directions do for mirrored images, without making them
    mirrored_short = _shortened(units, directions[:, turned])
    return (
        _compare(units, pixels, short, short, threshold, advance),
        _compare(units, turned, short, mirrored_short, threshold, advance),
    )


def _compare(
    units: NDArray[np.float32],
    order: NDArray[np.int64],
    short: NDArray[np.float32],
    other_short: NDArray[np.float32],
    threshold: float,
    advance: Advance | None,
) -> NDArray[np.int64]:
    """Pairs (P, 2) of images, one as it is and one with its pixels in `order`, that are twins."""
    pairs = [np.empty((0, 2), np.int64)]
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
        if advance is not None:
            advance(stop - start)
    return np.concatenate(pairs)


def _correlations(
    units: NDArray[np.float32],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    order: NDArray[np.int64],
) -> NDArray[np.float64]:
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
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", flat, flat))
    constant = np.ptp(images.reshape(len(images), -1), axis=1) == 0
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
    whole = np.einsum("ij,ij->i", units, units)
    left = np.sqrt(np.maximum(whole - inside, 0) + _ROUNDING * 1e-2)
    return np.hstack([short, left[:, None]])
