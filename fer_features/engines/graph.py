"""The whole path from bytes to features as one Keras model."""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_features.backbones import fetch_weights, load_weights
from fer_features.engines.engine import GraphSpec
from fer_features.runtime.keras_runtime import import_keras, keras_settings


@keras_settings()
def build_graph(spec: GraphSpec) -> Any:
    """Make the model: uint8 (N, H, W) in, a dict of features out, frozen.

    Resizing, grey to RGB, preprocessing, pooling and the narrowing of maps to float16 are all part
    of it, so that only bytes go to the device and only features come back.

    Raises:
        FerError: the weights cannot be had.
    """
    path = fetch_weights(spec.weights, spec.backbone)
    keras = import_keras()
    ops = keras.ops
    with keras_settings(spec.precision):
        network = spec.backbone.build(spec.size)
    load_weights(network, spec.weights, path)
    inputs = keras.Input(spec.image_shape, dtype="uint8", name="images")
    x = ops.expand_dims(ops.cast(inputs, "float32"), -1)
    if spec.image_shape != (spec.size, spec.size):
        x = ops.image.resize(x, (spec.size, spec.size), interpolation="bilinear", antialias=False)
    if spec.backbone.channels == 3:
        # Grey to RGB. A convolution with ones says the same as `repeat`, for which OpenVINO has no
        # fast way: 3 % of the whole network's time.
        x = ops.conv(x, np.ones((1, 1, 1, 3), np.float32), padding="valid")
    if spec.preprocess == "keras":
        x = spec.backbone.preprocess(x)
    taps = keras.Model(network.input, [network.get_layer(layer).output for layer in spec.layers])
    taps.trainable = False
    features = taps(x, training=False)
    features = features if isinstance(features, list) else [features]
    named = {}
    for layer, feature in zip(spec.layers, features, strict=True):
        if "pooled" in spec.outputs:
            named[f"{layer}/pooled"] = ops.mean(ops.cast(feature, "float32"), axis=(1, 2))
        if "map" in spec.outputs:
            named[f"{layer}/map"] = ops.cast(feature, "float16")
    return keras.Model(inputs, named)


def output_specs(model: Any) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape for one image and dtype of each of the model's features."""
    return {
        name: (tuple(tensor.shape[1:]), str(tensor.dtype)) for name, tensor in model.output.items()
    }
