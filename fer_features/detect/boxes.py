"""From the network's numbers to faces: anchors, scores, and one box for each face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_features.detect.engines import Maps
from fer_features.detect.retinaface import ANCHORS, STRIDES, VALUES

CENTRE, SIZE = 0.1, 0.2
"""Factors of the network's offsets and of the logarithms of its sizes (its "variances")."""

OVERLAP = 0.4
"""Intersection over union from which two boxes are of the same face."""


@dataclass(frozen=True)
class Face:
    """A face found in a picture, in pixels from its upper left corner.

    Attributes:
        x: the box's left edge; below 0 if the box reaches beyond the picture.
        y: its upper edge.
        w: its width.
        h: its height.
        score: the network's probability of a face.
        landmarks: float32 (5, 2), x and y of the eye that is left in an upright picture, the other
            eye, the tip of the nose, and the mouth's corners in the eyes' order.
    """

    x: float
    y: float
    w: float
    h: float
    score: float
    landmarks: NDArray[np.float32]


def only_largest(faces: Sequence[Face]) -> list[Face]:
    """The face with the largest box, or none."""
    return sorted(faces, key=lambda one: one.w * one.h)[-1:]


def find_faces(
    maps: Maps, *, min_score: float, factors: tuple[float, float] = (1.0, 1.0)
) -> list[Face]:
    """Faces of one picture, by score, descending.

    Args:
        maps: the network's output.
        min_score: the lowest probability of a face.
        factors: width and height of a pixel of the network's picture in pixels of the result.
    """
    found = np.concatenate(
        [
            _candidates(one, stride, anchors, min_score)
            for one, stride, anchors in zip(maps, STRIDES, ANCHORS, strict=True)
        ]
    )
    found = found[np.argsort(-found[:, 4], kind="stable")]
    found = found[_distinct(found[:, :4])].astype(np.float64)
    boxes = (found[:, :4].reshape(-1, 2, 2) * factors).reshape(-1, 4).tolist()
    landmarks = (found[:, 5:].reshape(-1, 5, 2) * factors).astype(np.float32)
    return [
        Face(x, y, w, h, score, points)
        for (x, y, w, h), score, points in zip(boxes, found[:, 4].tolist(), landmarks, strict=True)
    ]


def _candidates(
    values: NDArray[np.float32], stride: int, anchors: tuple[int, ...], min_score: float
) -> NDArray[np.float32]:
    """Anchors with a face: (n, VALUES), left edge, upper edge, width, height, score, landmarks."""
    values = values.reshape(*values.shape[:2], len(anchors), VALUES)
    logit = math.log(min_score / (1 - min_score))
    rows, columns, kind = np.nonzero(values[..., 4] >= logit)
    found = values[rows, columns, kind]
    side = np.array(anchors, np.float32)[kind][:, None]
    centre = (np.stack([columns, rows], axis=1).astype(np.float32) + 0.5) * stride
    size = side * np.exp(found[:, 2:4] * SIZE)
    corner = centre + side * CENTRE * found[:, :2] - size / 2
    score = 1 / (1 + np.exp(-found[:, 4:5]))
    landmarks = np.tile(centre, 5) + side * CENTRE * found[:, 5:]
    return np.concatenate([corner, size, score, landmarks], axis=1)


def _distinct(boxes: NDArray[np.float32]) -> list[int]:
    """Non-maximum suppression of boxes in descending order of score: the places that are kept."""
    ends, areas = boxes[:, :2] + boxes[:, 2:], boxes[:, 2] * boxes[:, 3]
    left = np.arange(len(boxes))
    kept = []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(int(first))
        sides = np.minimum(ends[left], ends[first]) - np.maximum(boxes[left, :2], boxes[first, :2])
        common = np.prod(np.maximum(sides, 0), axis=1)
        left = left[common <= OVERLAP * (areas[left] + areas[first] - common)]
    return kept
