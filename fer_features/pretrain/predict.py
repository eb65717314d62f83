"""What a network with its classifier says of images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import Backbone
from fer_features.backbones.weights_file import WeightsFile, assign
from fer_features.keras_runtime import import_keras
from fer_features.pretrain.augment import DICE

PREDICTED = 256
"""Images put through the network at once."""


def model_of(backbone: Backbone, content: WeightsFile) -> Any:
    """A Keras model of a file's arrays, in float32.

    Like a learner's it takes uint8 images (N, S, S) and dice, of which it makes nothing, and gives
    logits (N, outputs).
    """
    keras: Any = import_keras()
    network = backbone.build(backbone.default_size)
    assign(network.variables, content.network)
    images = keras.Input((backbone.default_size,) * 2, dtype="uint8")
    dice = keras.Input((DICE,))
    x = keras.ops.expand_dims(keras.ops.cast(images, "float32"), -1)
    pooled = keras.ops.mean(network(backbone.preprocess(x)), axis=(1, 2))
    kernel, bias = (content.top[name].astype(np.float32) for name in ("kernel", "bias"))
    return keras.Model([images, dice], keras.ops.matmul(pooled, kernel) + bias)


def probabilities(model: Any, images: NDArray[np.uint8], *, classes: int) -> NDArray[np.float64]:
    """Probabilities (N, classes): the mean of what is said of an image and of its mirror image.

    Args:
        model: a learner's, or `model_of` a file.
        images: uint8 (N, S, S).
        classes: how many of the model's logits are those of classes; the first.
    """
    to_numpy = import_keras().ops.convert_to_numpy
    out = np.zeros((len(images), classes))
    for start in range(0, len(images), PREDICTED):
        batch = images[start : start + PREDICTED]
        dice = np.zeros((len(batch), DICE), np.float32)
        for view in (batch, batch[:, :, ::-1]):
            # Not `predict`: on JAX it gives the variables' arrays away, which others may hold.
            logits = to_numpy(model([view, dice], training=False)).astype(np.float64)[:, :classes]
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            out[start : start + PREDICTED] += odds / odds.sum(axis=1, keepdims=True) / 2
    return out
