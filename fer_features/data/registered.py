"""Copies of one photograph that only fit when one is shifted, scaled or mirrored.

Two steps. *Search*: a difference of Gaussians removes the light, and what is left of the middle
of each image is described by its lowest 63 cosine waves. Those of one image are compared with those
of all others, or of many images with those in its inverted lists, at 25 shifts, two scales and both
mirrorings, as matrix products. *Alignment*: each pair found is compared again around the pose that
the search gave it, by normalised cross-correlation (Lewis, *Fast Template Matching*, 1995).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, product

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

from fer_features.config import REGISTERED
from fer_features.data.faces import IMAGE_SIZE
from fer_features.runtime.progress import Advance
from fer_features.runtime.vector_search import InvertedLists, earlier_pairs

WINDOW = 36
"""Side of the middle part of an image that is looked for in the others."""

MARGIN = (IMAGE_SIZE - WINDOW) // 2
SHIFTS = (-6, -3, 0, 3, 6)
SCALES = (0.93, 1.08)
SEARCH_BAND = (2.0, 5.0)
"""Standard deviations, in pixels, of the two Gaussians of the search: coarse, so that a pose
between two of the grid's still correlates."""

WAVES = 8
CANDIDATE = 0.79
"""Pairs whose descriptions correlate more than this are aligned. Of 521 known pairs of FER2013
99 in 100 do, and 4 in 10,000 pairs of different photographs."""

FINE_SCALES = (0.87, 0.93, 1.0, 1.08, 1.16)
FINE_BAND = (1.0, 2.0)
REACH = 2
"""Pixels around the search's shift that the alignment tries."""

LEAST_VARIANCE = WINDOW**2 * 1e-2
"""A flat window correlates with nothing; a band of a grey level or two is noise, not a picture."""

ESTIMATE = 0.6
"""Pairs of which every fourth pixel correlates less are not compared in full: of 2,000 poses of
FER2013's pairs above 0.7 none was estimated more than 0.133 too low."""

EVERY_PAIR = 50_000
"""Of more images not all pairs are compared, but those that share an inverted list."""

INDEXED_CANDIDATE = 0.82
"""`CANDIDATE` there. Pairs of photographs that look alike grow with the square of the images, and
this rules two thirds of them out; of FER2013's pairs 98 in 100 are found so."""

_BLOCK = 1024
_SEARCH_SHARE = 0.9  # of the progress shown; the rest is the alignment

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

POSES = tuple(product(SCALES, (False, True), SHIFTS, SHIFTS))
"""How the first image of a pair is moved onto the second: scale, mirrored, down, across."""

INVERSE = tuple(
    POSES.index((SCALES[scale == SCALES[0]], mirrored, -down, across if mirrored else -across))
    for scale, mirrored, down, across in POSES
)
"""For each pose the place of that which moves the second image onto the first."""


def is_indexed(images: int) -> bool:
    """Whether so many different images are searched through inverted lists, not pair by pair."""
    return images > EVERY_PAIR


def registered_pairs(
    images: NDArray[np.uint8], *, advance: Advance = lambda n: None
) -> tuple[Ints, Floats]:
    """Pairs of images that show one photograph, shifted by up to 8 pixels, scaled or mirrored.

    About half of the images' pixels have to show the same. Up to `EVERY_PAIR` images each pair is
    compared; of more, those that share an inverted list.

    Args:
        images: uint8 (N, 48, 48), all different.
        advance: progress callback, called with numbers of images that sum to N.

    Returns:
        int64 (P, 2) places, the first before the second, and float32 (P,), the correlations of
        the aligned middles, all above `REGISTERED`.
    """
    report = _Progress(len(images), advance)
    with threadpool_limits(1, user_api="blas"):  # its products are small, or run in threads of ours
        pairs, pose = _search(images, report)
        correlation = _align(images, pairs, pose, report)
    report.finish()
    kept = correlation > REGISTERED
    return pairs[kept], correlation[kept]


class _Progress:
    """Turns shares of the work into numbers of images."""

    def __init__(self, total: int, advance: Advance) -> None:
        self._total, self._advance = total, advance
        self._share, self._shown = 0.0, 0

    def add(self, share: float) -> None:
        self._share += share
        images = min(int(self._share * self._total), self._total)
        self._advance(images - self._shown)
        self._shown = images

    def finish(self) -> None:
        self._advance(self._total - self._shown)


def _search(images: NDArray[np.uint8], report: _Progress) -> tuple[Ints, Ints]:
    """Candidates, int64 (P, 2), and for each the place in `POSES` that fits best."""
    fixed = next(_descriptions(images, 1.0, False, 0, (0,)))
    find = partial(earlier_pairs, fixed, threshold=CANDIDATE)
    if is_indexed(len(images)):
        find = partial(InvertedLists(fixed).pairs, threshold=INDEXED_CANDIDATE)
    key, score = np.empty(0, np.int64), np.empty(0, np.float32)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for scale, mirrored in product(SCALES, (False, True)):
            keys, scores = [key], [score]
            every = (_descriptions(images, scale, mirrored, across, SHIFTS) for across in SHIFTS)
            for (across, down), moved in zip(product(SHIFTS, SHIFTS), chain(*every), strict=True):
                number = POSES.index((scale, mirrored, down, across))
                for one, other, r in find(moved, pool=pool):
                    pair = np.maximum(one, other) * len(images) + np.minimum(one, other)
                    pose = np.where(other < one, number, INVERSE[number])
                    keys.append(pair * len(POSES) + pose)
                    scores.append(r)
                report.add(_SEARCH_SHARE / len(POSES))
            key, score = _best_poses(np.concatenate(keys), np.concatenate(scores))
    pair, pose = np.divmod(key, len(POSES))
    later, earlier = np.divmod(pair, len(images))
    return np.stack([earlier, later], axis=1), pose


def _best_poses(key: Ints, score: Floats) -> tuple[Ints, Floats]:
    """Of each pair the pose with the highest score; keys are pair × number of poses + pose."""
    pair = key // len(POSES)
    order = np.lexsort((key, -score, pair))
    first = order[np.flatnonzero(np.diff(pair[order], prepend=-1))]
    return key[first], score[first]


def _descriptions(
    images: NDArray[np.uint8], scale: float, mirrored: bool, across: int, downs: tuple[int, ...]
) -> Iterator[Floats]:
    """Unit vectors (N, 63) of the window of each image, moved; one array for each shift down.

    Scaling, blurring, cutting out and the cosine waves are all linear and separable, so that a
    description is L x Rᵀ with matrices of 8×48, one pair for each Gaussian.
    """
    waves = _waves()
    found: list[Floats] = []
    for deviation in SEARCH_BAND:
        blurred = _gaussian(deviation) @ _zoom(scale)
        columns = waves[:, ::-1] if mirrored else waves
        windows = {shift: blurred[MARGIN + shift :][:WINDOW] for shift in (across, *downs)}
        right = columns @ windows[across]
        left = np.concatenate([waves @ windows[down] for down in downs])
        described = np.empty((len(images), len(left), WAVES), np.float32)
        for start in range(0, len(images), _BLOCK):
            some = images[start : start + _BLOCK].astype(np.float32).reshape(-1, IMAGE_SIZE)
            rows = (some @ right.T).reshape(-1, IMAGE_SIZE, WAVES)
            described[start : start + _BLOCK] = np.tensordot(left, rows, (1, 1)).transpose(1, 0, 2)
        found.append(described)
    band = (found[0] - found[1]).reshape(len(images), len(downs), WAVES * WAVES)
    for place in range(len(downs)):
        yield _unit(np.ascontiguousarray(band[:, place, 1:]))  # without the mean


def _align(images: NDArray[np.uint8], pairs: Ints, pose: Ints, report: _Progress) -> Floats:
    """The highest correlation of each pair near its pose, -1 where an estimate is low: (P,)."""
    best = np.full(len(pairs), -1, np.float32)
    fixed = np.empty((len(images), WINDOW, WINDOW), np.float32)
    middle = slice(MARGIN, MARGIN + WINDOW)
    for start in range(0, len(images), _BLOCK):
        flat = _bands(images[start : start + _BLOCK], 1.0)[:, middle, middle].reshape(-1, WINDOW**2)
        flat = _unit(flat - flat.mean(axis=1, keepdims=True))
        fixed[start : start + _BLOCK] = flat.reshape(-1, WINDOW, WINDOW)
    scale, mirrored = np.array(POSES)[pose, :2].T
    shifts = np.array(POSES)[pose, 2:].astype(np.int64)
    corner = np.clip(MARGIN + shifts - REACH, 0, IMAGE_SIZE - WINDOW - 2 * REACH)
    centre = np.abs(np.subtract.outer(scale, FINE_SCALES)).argmin(axis=1)
    work = sum(int((abs(centre - place) <= 1).sum()) for place in range(len(FINE_SCALES)))
    for place, fine in enumerate(FINE_SCALES):
        near = np.flatnonzero(abs(centre - place) <= 1)
        moved = _bands(images, fine)
        lengths = _lengths(moved)
        for start in range(0, len(near), _BLOCK):
            some = near[start : start + _BLOCK]
            target = fixed[pairs[some, 1]]
            target = np.where(mirrored[some, None, None] == 1, target[:, :, ::-1], target)
            region = _squares(moved, pairs[some, 0], corner[some], WINDOW + 2 * REACH)
            length = _squares(lengths, pairs[some, 0], corner[some], 1 + 2 * REACH)
            fits = _estimate(region, target, length) > ESTIMATE
            report.add((1 - _SEARCH_SHARE) * len(some) / work)
            some = some[fits]
            best[some] = np.maximum(best[some], _correlate(region[fits], target[fits]))
        del moved, lengths  # before those of the next scale are made
    return best


def _squares(values: Floats, place: Ints, corner: Ints, side: int) -> Floats:
    """Squares of some images' values (N, H, W), from their upper left corner: (P, side, side)."""
    lines, columns = (corner[:, axis, None] + np.arange(side) for axis in (0, 1))
    squares: Floats = values[place[:, None, None], lines[:, :, None], columns[:, None, :]]
    return squares


def _lengths(bands: Floats) -> Floats:
    """Lengths of the windows at each place, without their means: (N, 48, 48) to (N, 13, 13)."""
    places = IMAGE_SIZE - WINDOW + 1
    inside = np.tri(places, IMAGE_SIZE, WINDOW - 1, dtype=np.float32)
    inside -= np.tri(places, IMAGE_SIZE, -1, dtype=np.float32)
    lengths = np.empty((len(bands), places, places), np.float32)
    for start in range(0, len(bands), _BLOCK):
        some = bands[start : start + _BLOCK]
        variance = inside @ some**2 @ inside.T - (inside @ some @ inside.T / WINDOW) ** 2
        lengths[start : start + _BLOCK] = np.sqrt(np.maximum(variance, LEAST_VARIANCE))
    return lengths


def _estimate(region: Floats, target: Floats, length: Floats) -> Floats:
    """What `_correlate` finds, from every second pixel down and across: (P,)."""
    windows = np.lib.stride_tricks.sliding_window_view(region, (WINDOW, WINDOW), axis=(1, 2))
    product = np.einsum("pyxhw,phw->pyx", windows[..., ::2, ::2], target[:, ::2, ::2])
    return np.asarray((4 * product / length).max(axis=(1, 2)))


def _correlate(region: Floats, target: Floats) -> Floats:
    """The highest normalised cross-correlation of each window in its region: (P,)."""
    windows = np.lib.stride_tricks.sliding_window_view(region, (WINDOW, WINDOW), axis=(1, 2))
    product = np.einsum("pyxhw,phw->pyx", windows, target)
    sums = [_box_sums(power) for power in (region, region.astype(np.float64) ** 2)]
    variance = sums[1] - sums[0] ** 2 / WINDOW**2
    length = np.sqrt(np.maximum(variance, LEAST_VARIANCE))
    best: Floats = (product / length).max(axis=(1, 2)).astype(np.float32)
    return best


def _box_sums(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sums over each window, by a summed-area table: (P, h, w) to (P, h − 35, w − 35)."""
    table = np.pad(values.astype(np.float64).cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    high, low = table[:, WINDOW:], table[:, :-WINDOW]
    sums: NDArray[np.float64] = (
        high[:, :, WINDOW:] - high[:, :, :-WINDOW] - low[:, :, WINDOW:] + low[:, :, :-WINDOW]
    )
    return sums


def _bands(images: NDArray[np.uint8], scale: float) -> Floats:
    """Each image scaled about its middle, as the difference of two Gaussians: (N, 48, 48)."""
    out = np.empty(images.shape, np.float32)
    narrow, wide = (_gaussian(deviation) @ _zoom(scale) for deviation in FINE_BAND)
    for start in range(0, len(images), _BLOCK):
        some = images[start : start + _BLOCK].astype(np.float32)
        out[start : start + _BLOCK] = narrow @ some @ narrow.T - wide @ some @ wide.T
    return out


def _waves() -> Floats:
    from scipy.fft import dct

    return np.asarray(dct(np.eye(WINDOW), axis=0, norm="ortho")[:WAVES], np.float32)


def _gaussian(deviation: float) -> Floats:
    """The matrix (48, 48) that blurs a line of pixels; beyond the edge, the edge's pixel."""
    from scipy.ndimage import gaussian_filter1d

    blur = gaussian_filter1d(np.eye(IMAGE_SIZE), deviation, axis=0, mode="nearest")
    return np.asarray(blur, np.float32)


def _zoom(scale: float) -> Floats:
    """The matrix (48, 48) that scales a line of pixels about its middle, linearly interpolated."""
    middle = (IMAGE_SIZE - 1) / 2
    source = np.clip((np.arange(IMAGE_SIZE) - middle) / scale + middle, 0, IMAGE_SIZE - 1)
    distance = np.abs(source[:, None] - np.arange(IMAGE_SIZE))
    return np.asarray(np.maximum(1 - distance, 0), np.float32)


def _unit(vectors: Floats) -> Floats:
    """Vectors (N, D) of length 1; zeros where there is next to nothing."""
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    out: Floats = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-2)
    return out
