"""Weights files in the HDF5 layout of Keras 2, in which published weights are kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def write_legacy(path: Path, layers: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Write arrays by the names of their layers and weights."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for layer, weights in layers.items():
            group = file.require_group(layer)  # conv1 holds conv1/bn
            group.attrs["weight_names"] = [name.encode() for name in weights]
            for name, array in weights.items():
                group[name] = array


def save_legacy(model: Any, path: Path) -> None:
    """Save a Keras model's weights."""
    write_legacy(
        path,
        {one.name: {w.path: np.asarray(w) for w in one.weights} for one in model.layers},
    )
