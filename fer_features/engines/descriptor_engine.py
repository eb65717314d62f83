"""Compute classical descriptors with NumPy, a batch on each core."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.descriptors import describe
from fer_features.engines.engine import Features, GraphSpec, OutputSpecs

BATCH = 64


class DescriptorEngine:
    """The recipes of a backbone's layers, on several threads: NumPy lets go of Python's lock.

    Args:
        spec: what is to be computed; its backbone has descriptors.
        batch_size: images that are computed at once; None for 64.
    """

    def __init__(self, spec: GraphSpec, *, batch_size: int | None = None) -> None:
        known = spec.backbone.descriptors or {}
        self._recipes = {name: known[name] for name in spec.layers}
        self._spec = spec
        self.batch_size = batch_size or BATCH
        self.depth = os.cpu_count() or 1
        self.name = f"numpy {np.__version__} on CPU"
        self._threads = ThreadPoolExecutor(self.depth, thread_name_prefix="descriptor")

    def outputs(self) -> OutputSpecs:
        """Shape for one image and dtype of each feature."""
        one = np.zeros((1, *self._spec.image_shape), np.uint8)
        found = describe(one, self._recipes, self._spec.outputs)
        return {name: (array.shape[1:], str(array.dtype)) for name, array in found.items()}

    def submit(self, images: NDArray[np.uint8]) -> Future[Features]:
        """Start on up to `batch_size` images, uint8 (N, H, W)."""
        return self._threads.submit(describe, images, self._recipes, self._spec.outputs)

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(cancel_futures=True)
