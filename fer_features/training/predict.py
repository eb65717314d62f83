"""Class probabilities by a backbone with its classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from fer_features.backbones import Backbone
from fer_features.backbones.weights_file import WeightsFile, assign
from fer_features.runtime.keras_runtime import import_keras, keras_settings

BATCH = 256
"""Images per forward pass."""

Logits = Callable[[NDArray[np.uint8]], Any]
"""From images (N, S, S) to a tensor (N, outputs)."""


@keras_settings()
def model_of(backbone: Backbone, content: WeightsFile) -> Any:
    """A Keras model of a weights file, in float32: uint8 images (N, S, S) to logits."""
    keras: Any = import_keras()
    network = backbone.build(backbone.default_size)
    assign(network.variables, content.network)
    images = keras.Input((backbone.default_size,) * 2, dtype="uint8")
    x = keras.ops.expand_dims(keras.ops.cast(images, "float32"), -1)
    pooled = keras.ops.mean(network(backbone.preprocess(x), training=False), axis=(1, 2))
    kernel, bias = (content.top[name].astype(np.float32) for name in ("kernel", "bias"))
    return keras.Model(images, keras.ops.matmul(pooled, kernel) + bias)


@keras_settings()
def probabilities(
    logits: Logits, images: NDArray[np.uint8], *, classes: int
) -> NDArray[np.float64]:
    """Probabilities (N, classes): the mean over an image and its mirror image.

    Args:
        logits: of a `Trainer`, or a `model_of` a file.
        images: uint8 (N, S, S).
        classes: number of classes, whose logits are the first.
    """
    to_numpy = import_keras().ops.convert_to_numpy
    probability = np.zeros((len(images), classes))
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        for view in (batch, batch[:, :, ::-1]):
            # Not `predict`: on JAX it donates the variables' arrays, which others may hold.
            found = to_numpy(logits(view)).astype(np.float64)[:, :classes]
            probability[start : start + BATCH] += softmax(found, axis=1) / 2
    return probability
