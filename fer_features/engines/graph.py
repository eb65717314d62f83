"""The path from bytes to features as one Keras model."""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_features.backbones import Backbone, fetch_weights, load_weights
from fer_features.config import GRID, grid_parts
from fer_features.engines.engine import GraphSpec
from fer_features.runtime.keras_runtime import import_keras, keras_settings


@keras_settings()
def build_graph(spec: GraphSpec) -> Any:
    """Build a frozen model: uint8 (N, H, W) in, a dict of features out.

    Resizing, grey to RGB, preprocessing, pooling and the cast of maps to float16 are all part of
    it, so that only bytes go to the device and only features come back.

    Raises:
        FerError: the weights cannot be loaded.
    """
    path = fetch_weights(spec.weights, spec.backbone)
    keras = import_keras()
    ops = keras.ops
    with keras_settings(spec.precision):
        network = spec.backbone.build(spec.size)
    load_weights(network, spec.weights, spec.backbone, path)
    inputs = keras.Input(spec.image_shape, dtype="uint8", name="images")
    x = ops.expand_dims(ops.cast(inputs, "float32"), -1)
    x = network_input(spec.backbone, x, spec.size, preprocess=spec.preprocess)
    known = spec.backbone.layer_outputs(network)
    spec.backbone.check_layers(spec.layers, known)
    layers = keras.Model(network.input, [known[name] for name in spec.layers])
    layers.trainable = False
    maps = layers(x, training=False)
    features = {}
    for name, one in zip(spec.layers, maps if isinstance(maps, list) else [maps], strict=True):
        if "pooled" in spec.outputs:
            features[f"{name}/pooled"] = ops.mean(ops.cast(one, "float32"), axis=(1, 2))
        if "grid3" in spec.outputs:
            features[f"{name}/grid3"] = grid_graph(ops.cast(one, "float32"))
        if "map" in spec.outputs:
            features[f"{name}/map"] = ops.cast(one, "float16")
    return keras.Model(inputs, features)


def network_input(backbone: Backbone, grey: Any, size: int, *, preprocess: str = "keras") -> Any:
    """Grey levels 0 to 255, float32 (N, H, W, 1), resized and preprocessed for a network."""
    ops = import_keras().ops
    if tuple(grey.shape[1:3]) != (size, size):
        grey = ops.image.resize(grey, (size, size), interpolation="bilinear", antialias=False)
    if backbone.channels == 3:
        # Grey to RGB. A convolution with ones does what `repeat` does, for which OpenVINO has no
        # fast kernel: 3 % of the network's time.
        grey = ops.conv(grey, np.ones((1, 1, 1, 3), np.float32), padding="valid")
    return backbone.preprocess(grey) if preprocess == "keras" else grey


def grid_graph(maps: Any, size: int = GRID) -> Any:
    """Means over a grid, row by row: (N, h, w, C) to (N, size · size · C).

    As PyTorch's adaptive average pooling: a place belongs to every cell that it touches.
    """
    ops = import_keras().ops
    _, height, width, _ = maps.shape
    cells = [
        ops.mean(maps[:, top:bottom, left:right], axis=(1, 2))
        for top, bottom in grid_parts(height, size)
        for left, right in grid_parts(width, size)
    ]
    return ops.concatenate(cells, axis=-1)
