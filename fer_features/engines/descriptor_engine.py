"""Compute classical descriptors with NumPy, a batch per core."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.descriptors import describe
from fer_features.engines.engine import Engine, Features, GraphSpec, OutputSpecs

BATCH = 64


class DescriptorEngine(Engine):
    """Descriptors on several threads: NumPy releases Python's lock.

    Args:
        spec: what to compute; its backbone has descriptors.
        batch_size: images computed at once; None for 64.
        threads: batches at once; None for as many as there are cores.
    """

    def __init__(
        self, spec: GraphSpec, *, batch_size: int | None = None, threads: int | None = None
    ) -> None:
        super().__init__(
            f"numpy {np.__version__} on CPU",
            batch_size=batch_size or BATCH,
            depth=threads or os.cpu_count() or 1,
        )
        known = spec.backbone.descriptors or {}
        self._recipes = {name: known[name] for name in spec.layers}
        self._spec = spec

    def outputs(self) -> OutputSpecs:
        """Shape for one image and dtype of each feature."""
        features = self.compute(np.zeros((1, *self._spec.image_shape), np.uint8))
        return {name: (array.shape[1:], str(array.dtype)) for name, array in features.items()}

    def compute(self, images: NDArray[np.uint8]) -> Features:
        """Features of images uint8 (N, H, W)."""
        return describe(images, self._recipes, self._spec.outputs)
