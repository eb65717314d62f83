"""Weights into a backbone's network: those of a file, or random ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from fer_features.backbones.weights import Weights
from fer_features.backbones.weights_file import assign, is_weights_file, read_weights
from fer_features.errors import FerError
from fer_features.runtime.keras_runtime import import_keras


def load_weights(model: Any, weights: Weights, path: Path | None) -> None:
    """Load weights into a backbone's network, without its top, and freeze it.

    Args:
        model: the network.
        weights: which weights.
        path: their file, as returned by `fetch_weights`.

    Raises:
        FerError: the file is not of this network.
    """
    if path is not None:
        _load_file(model, path)
    else:
        _initialize(model, seed=weights.seed or 0)
    model.trainable = False


def _initialize(model: Any, *, seed: int) -> None:
    """Glorot-uniform kernels drawn by NumPy, so that every Keras backend gets the same numbers.

    Other variables keep their initial constants (batch normalisation: mean 0, variance 1,
    offset 0).
    """
    kernels = [weight for weight in model.weights if weight.name == "kernel"]
    for number, kernel in enumerate(kernels):
        shape = tuple(kernel.shape)
        receptive = int(np.prod(shape[:-2]))
        limit = np.sqrt(6 / (receptive * (shape[-2] + shape[-1])))
        rng = np.random.default_rng([seed, number])
        kernel.assign((rng.random(shape, dtype=np.float32) * 2 - 1) * np.float32(limit))


def _load_file(model: Any, path: Path) -> None:
    """Load all arrays of a `.h5`, `.weights.h5` or `.keras` file, or none."""
    try:
        if is_weights_file(path):
            assign(model.weights, read_weights(path).network)
        elif path.suffix == ".keras":
            arrays = import_keras().saving.load_model(path, compile=False).get_weights()
            if [one.shape for one in arrays] != [tuple(one.shape) for one in model.weights]:
                raise ValueError(
                    f"the shapes of its {len(arrays)} arrays are not those of the network's "
                    f"{len(model.weights)}"
                )
            model.set_weights(arrays)
        else:
            model.load_weights(os.fspath(path))
    except Exception as error:  # h5py, zipfile and Keras each raise their own kinds
        keras_applications = "save them from keras.applications with include_top=False"
        raise FerError(
            f"{path}: not weights of {model.name} without its top: {_first_line(error)}",
            hint="fer pretrain writes them" if model.name == "fernet" else keras_applications,
        ) from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
