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
    if layer is None:
        inputs = keras.Input((IMAGE_SIZE,) * 2, dtype="uint8")
        grey = keras.ops.expand_dims(keras.ops.cast(inputs, "float32"), -1)
        return keras.Model(inputs, logits_of(backbone, content, grey))
    tail = tail_of(backbone, _network_of(backbone, content), layer)
    inputs = keras.Input(tail.input.shape[1:], dtype="float16")
    last = tail(keras.ops.cast(inputs, "float32"), training=False)
    return keras.Model(inputs, _classified(content, last))


def logits_of(backbone: Backbone, content: WeightsFile, grey: Any, *, name: str = "") -> Any:
    """A part of a Keras model: grey levels 0 to 255, float32 (N, 48, 48, 1), to logits.

    Args:
        backbone: the file's.
        content: of the file.
        grey: the images.
        name: of the network in the model; empty for the backbone's.
    """
    keras: Any = import_keras()
    network = _network_of(backbone, content)
    named = keras.Model(network.inputs, network.output, name=name or network.name)
    x = network_input(backbone, grey, trained_size(content) or backbone.default_size)
    return _classified(content, named(x, training=False))


def _network_of(backbone: Backbone, content: WeightsFile) -> Any:
    """The frozen network."""
    network = backbone.build(trained_size(content) or backbone.default_size)
    assign(network.weights, content.network)
    finalize(network)
    network.trainable = False
    return network


def _classified(content: WeightsFile, last: Any) -> Any:
    """Logits of the network's last maps."""
    ops: Any = import_keras().ops
    pooled = ops.mean(ops.cast(last, "float32"), axis=(1, 2))
    kernel, bias = (content.top[name].astype(np.float32) for name in ("kernel", "bias"))
    return ops.matmul(pooled, kernel) + bias


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
