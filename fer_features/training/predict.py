"""Class probabilities by a backbone with its classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from fer_features.backbones import Backbone
from fer_features.backbones.loading import finalize
from fer_features.backbones.weights_file import WeightsFile, assign, trained_size
from fer_features.data import IMAGE_SIZE
from fer_features.engines.graph import network_input
from fer_features.runtime.keras_runtime import import_keras, keras_settings
from fer_features.runtime.progress import Advance, no_advance
from fer_features.training.network import tail_of

BATCH = 256
"""Images per forward pass."""

Inputs = NDArray[np.uint8 | np.float16]
"""Images (N, 48, 48), or maps (N, h, w, C)."""

Logits = Callable[[Any], Any]
"""From inputs to a tensor (N, outputs)."""


@keras_settings()
def model_of(backbone: Backbone, content: WeightsFile, *, layer: str | None = None) -> Any:
    """A Keras model of a weights file, in float32: uint8 images (N, 48, 48) to logits.

    Args:
        backbone: the file's.
        content: of the file.
        layer: start from this layer's maps instead of images.
    """
    keras: Any = import_keras()
    size = trained_size(content) or backbone.default_size
    network = backbone.build(size)
    assign(network.weights, content.network)
    finalize(network)
    if layer is None:
        inputs = keras.Input((IMAGE_SIZE,) * 2, dtype="uint8")
        x = keras.ops.expand_dims(keras.ops.cast(inputs, "float32"), -1)
        last = network(network_input(backbone, x, size), training=False)
    else:
        tail = tail_of(backbone, network, layer)
        inputs = keras.Input(tail.input.shape[1:], dtype="float16")
        last = tail(keras.ops.cast(inputs, "float32"), training=False)
    pooled = keras.ops.mean(last, axis=(1, 2))
    kernel, bias = (content.top[name].astype(np.float32) for name in ("kernel", "bias"))
    return keras.Model(inputs, keras.ops.matmul(pooled, kernel) + bias)


@keras_settings()
def probabilities(
    logits: Logits,
    inputs: Inputs,
    *,
    classes: int,
    mirrored: Inputs | None = None,
    advance: Advance = no_advance,
) -> NDArray[np.float64]:
    """Probabilities (N, classes): the mean over an image and its mirror image.

    Args:
        logits: of a `Trainer`, or a `model_of` a file.
        inputs: images or maps.
        classes: number of classes, whose logits are the first.
        mirrored: the inputs of the mirror images; None to mirror the images.
        advance: progress callback, called with the number of images in each batch.
    """
    to_numpy = import_keras().ops.convert_to_numpy
    mirrored = inputs[:, :, ::-1] if mirrored is None else mirrored
    probability = np.zeros((len(inputs), classes))
    for start in range(0, len(inputs), BATCH):
        for view in (inputs, mirrored):
            # Not `predict`: on JAX it donates the variables' arrays, which others may hold.
            found = to_numpy(logits(view[start : start + BATCH])).astype(np.float64)[:, :classes]
            probability[start : start + BATCH] += softmax(found, axis=1) / 2
        advance(len(inputs[start : start + BATCH]))
    return probability
