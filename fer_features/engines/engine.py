"""What every engine does: bytes of images in, named features out, several batches in flight."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import Backbone, Weights
from fer_features.errors import FerError

MOST_PIXELS = 2**28
"""Pixels of a batch at most: as RGB in float32 they take 3.2 GB."""

Features = dict[str, NDArray[Any]]
"""Arrays by ``layer/pooled`` (N, C) float32 and ``layer/map`` (N, h, w, C) float16."""

OutputSpecs = Mapping[str, tuple[tuple[int, ...], str]]
"""Shape for one image and dtype of each feature."""


@dataclass(frozen=True)
class GraphSpec:
    """What is to be computed, whatever computes it.

    Attributes:
        backbone: the network.
        weights: which weights it gets.
        size: height and width that images are resized to (bilinear, half-pixel centres).
        preprocess: ``keras`` or ``raw``.
        layers: names of the layers whose outputs are wanted.
        outputs: ``pooled`` (mean over space, float32), ``map`` (float16), or both.
        image_shape: height and width of the images that will come.
        precision: ``float32`` or ``bfloat16``, the arithmetic's type.

    Raises:
        FerError: the backbone has no such layer, or does not take so small a size.
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
        backbone = self.backbone
        backbone.check_size(self.size)
        for layer in self.layers:
            if layer not in backbone.layers:
                raise FerError(
                    f"{backbone.name} has no layer {layer}",
                    hint=f"fer data layers {backbone.name} lists those it has",
                )


class Engine(Protocol):
    """A compiled graph from bytes to features.

    Attributes:
        name: the engine and the device it runs on, for people and for the cache's provenance.
        batch_size: images that go through the network at once.
        depth: batches that are worth having in flight.
    """

    name: str
    batch_size: int
    depth: int

    def outputs(self) -> OutputSpecs:
        """Shape for one image and dtype of each feature."""

    def submit(self, images: NDArray[np.uint8]) -> Future[Features]:
        """Start on up to `batch_size` images, uint8 (N, H, W); waits if `depth` are in flight."""

    def close(self) -> None:
        """Let go of threads and memory."""


def check_batch(batch_size: int | None, *, size: int) -> None:
    """Make sure that a batch of images of that height and width can be held in memory.

    Raises:
        FerError: it has no image, or too many pixels.
    """
    if batch_size is None:
        return
    if batch_size < 1:
        raise FerError(f"--batch-size must be at least 1, not {batch_size}")
    if batch_size * size**2 > MOST_PIXELS:
        raise FerError(
            f"--batch-size {batch_size} of images of {size} pixels does not fit into memory",
            hint=f"{MOST_PIXELS // size**2} at most; what is fastest is the default",
        )


class NoNetwork:
    """An engine that computes nothing, for what needs the images alone."""

    name = "no network"
    batch_size = 256
    depth = 1

    def outputs(self) -> OutputSpecs:
        """No feature."""
        return {}

    def submit(self, images: NDArray[np.uint8]) -> Future[Features]:
        """Nothing, at once."""
        future: Future[Features] = Future()
        future.set_result({})
        return future

    def close(self) -> None:
        """There is nothing to let go of."""


def fill_up(images: NDArray[np.uint8], batch_size: int) -> NDArray[np.uint8]:
    """Make a short batch a whole one.

    One graph then serves all batches, and a row's features do not depend on how many rows came
    with it.
    """
    if len(images) == batch_size:
        return images
    filled = np.zeros((batch_size, *images.shape[1:]), np.uint8)
    filled[: len(images)] = images
    return filled
