"""Compute classical descriptors, several batches at once in processes of their own."""

from __future__ import annotations

import os
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.descriptors import describe
from fer_features.engines.engine import Features, GraphSpec, OutputSpecs

BATCH = 512


class DescriptorEngine:
    """A backbone's descriptors, on all cores.

    The first batch is computed here, and processes are started for the second: fewer images than a
    batch take less time than it takes to start them.

    Args:
        spec: what is to be computed.
        batch_size: images that are computed together; None for 512.
    """

    def __init__(self, spec: GraphSpec, *, batch_size: int | None = None) -> None:
        from importlib.metadata import version

        known = spec.backbone.descriptors or {}
        self._layers = {name: known[name] for name in spec.layers}
        self._outputs = spec.outputs
        self._shape = spec.image_shape
        self._cores = os.cpu_count() or 1
        self._pool: Any = None
        self._begun = False
        self.name = f"scikit-image {version('scikit-image')} on {self._cores} cores"
        self.batch_size = batch_size or BATCH
        self.depth = self._cores + 1

    def outputs(self) -> OutputSpecs:
        """Shape for one image and dtype of each feature."""
        one = describe(np.zeros((1, *self._shape), np.uint8), self._layers, self._outputs)
        return {name: (array.shape[1:], str(array.dtype)) for name, array in one.items()}

    def submit(self, images: NDArray[np.uint8]) -> Future[Features]:
        """Start on some images, uint8 (N, H, W)."""
        if not self._begun:
            self._begun = True
            future: Future[Features] = Future()
            future.set_result(describe(images, self._layers, self._outputs))
            return future
        if self._pool is None:
            from joblib.externals.loky import ProcessPoolExecutor

            self._pool = ProcessPoolExecutor(self._cores)
        started: Future[Features] = self._pool.submit(describe, images, self._layers, self._outputs)
        return started

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, kill_workers=True)
