"""What a network with its classifier says of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import Backbone
from fer_features.backbones.weights_file import WeightsFile, assign
from fer_features.runtime.keras_runtime import import_keras, keras_settings

PREDICTED = 256
"""Images put through the network at once."""


Logits = Callable[[NDArray[np.uint8]], Any]
"""From images (N, S, S) to a tensor (N, outputs)."""


@keras_settings()
def model_of(backbone: Backbone, content: WeightsFile) -> Any:
    """A Keras model of a file's arrays, in float32: uint8 images (N, S, S) to logits."""
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
    """Probabilities (N, classes): the mean of what is said of an image and of its mirror image.

    Args:
        logits: a learner's, or the `model_of` a file.
        images: uint8 (N, S, S).
        classes: how many of the logits are those of classes; the first.
    """
    to_numpy = import_keras().ops.convert_to_numpy
    out = np.zeros((len(images), classes))
    for start in range(0, len(images), PREDICTED):
        batch = images[start : start + PREDICTED]
        for view in (batch, batch[:, :, ::-1]):
            # Not `predict`: on JAX it gives the variables' arrays away, which others may hold.
            said = to_numpy(logits(view)).astype(np.float64)[:, :classes]
            odds = np.exp(said - said.max(axis=1, keepdims=True))
            out[start : start + PREDICTED] += odds / odds.sum(axis=1, keepdims=True) / 2
    return out
