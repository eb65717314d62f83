"""The contract of all engines: uint8 images in, named features out, several batches in flight."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import Backbone, Weights
from fer_features.errors import FerError

MAX_PIXELS = 2**28
"""Pixels of a batch at most: 3.2 GB as RGB in float32."""

Features = dict[str, NDArray[Any]]
"""Arrays by ``layer/pooled`` (N, C) and ``layer/grid3`` (N, 9·C), float32, and ``layer/map``
(N, h, w, C), float16."""

OutputSpecs = Mapping[str, tuple[tuple[int, ...], str]]
"""Shape for one image and dtype of each feature."""


@dataclass(frozen=True)
class GraphSpec:
    """What to compute, whichever engine computes it.

    Attributes:
        backbone: the backbone.
        weights: its weights.
        size: height and width that images are resized to (bilinear, half-pixel centres).
        preprocess: ``keras`` or ``raw``.
        layers: names of the layers to extract.
        outputs: any of ``pooled`` (global mean, float32), ``grid3`` (means over a grid of 3 × 3,
            float32) and ``map`` (float16).
        image_shape: height and width of the input images.
        precision: the arithmetic's type, ``float32`` or ``bfloat16``.

    Raises:
        FerError: the backbone has no such layer or output, or does not take that size.
    """

    backbone: Backbone
    weights: Weights
    size: int
    preprocess: str
    layers: tuple[str, ...]
    outputs: tuple[str, ...]
    image_shape: tuple[int, int]
    precision: str = "float32"

    def __post_init__(self) -> None:
        self.backbone.check_size(self.size)
        if self.backbone.layers:
            self.backbone.check_layers(self.layers, self.backbone.layers)
        if self.backbone.descriptors is not None and "grid3" in self.outputs:
            raise FerError(
                f"{self.backbone.name} has no grid3", hint="its pooled features keep all places"
            )


class Engine(ABC):
    """A compiled graph from bytes to features, run on its own threads.

    Attributes:
        name: the engine and its device, for tables and for the cache's provenance.
        batch_size: images per forward pass.
        depth: batches that are worth having in flight.
    """

    def __init__(self, name: str, *, batch_size: int, depth: int) -> None:
        self.name, self.batch_size, self.depth = name, batch_size, depth
        self._threads = ThreadPoolExecutor(depth, thread_name_prefix="engine")

    @abstractmethod
    def outputs(self) -> OutputSpecs:
        """Shape for one image and dtype of each feature."""

    @abstractmethod
    def compute(self, images: NDArray[np.uint8]) -> Features:
        """Features of up to `batch_size` images, uint8 (N, H, W)."""

    def submit(self, images: NDArray[np.uint8]) -> Future[Features]:
        """Start to compute up to `batch_size` images, uint8 (N, H, W)."""
        return self._threads.submit(self.compute, images)

    def close(self) -> None:
        """Release threads and memory."""
        self._threads.shutdown(cancel_futures=True)


def check_batch(batch_size: int | None, *, size: int) -> None:
    """Raise a `FerError` if a batch of images of that size is empty or too large for memory."""
    if batch_size is None:
        return
    if batch_size < 1:
        raise FerError(f"--batch-size must be at least 1, not {batch_size}")
    if batch_size * size**2 > MAX_PIXELS:
        raise FerError(
            f"--batch-size {batch_size} of images of {size} pixels does not fit into memory",
            hint=f"{MAX_PIXELS // size**2} at most; the default is the fastest",
        )


def pad_batch(images: NDArray[np.uint8], batch_size: int) -> NDArray[np.uint8]:
    """Pad a short batch with zeros.

    One graph then serves all batches, and a row's features do not depend on the batch's length.
    """
    return np.pad(images, ((0, batch_size - len(images)), (0, 0), (0, 0)))
