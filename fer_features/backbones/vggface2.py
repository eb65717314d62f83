"""ResNet-50 trained on VGGFace2's faces, with weights from a local file.

Cao and others, *VGGFace2: A dataset for recognising faces across pose and age*, 2018
(https://arxiv.org/abs/1710.08092), as converted to Keras by
https://github.com/rcmalli/keras-vggface: the file ``rcmalli_vggface_tf_notop_resnet50.h5`` of its
release 2.0. It is not the ResNet-50 of `keras.applications`: its convolutions have no biases, its
first one pads as TensorFlow does, and batch normalisation adds 1e-3 to the variance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.runtime.keras_runtime import import_keras

STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
"""Blocks of each stage, and channels inside a block: a block's output has four times as many."""

LAYERS = (
    "conv1",
    *(f"conv{stage}_{k}" for stage, (n, _) in enumerate(STAGES, 2) for k in range(1, n + 1)),
)
"""Layers that can be extracted: the first convolution and each block, after the ReLU."""

MEAN = np.array([91.4953, 103.8827, 131.0912], np.float32)
"""Means of VGGFace2's blue, green and red levels."""

TOP = "classifier"


def preprocess(images: Any) -> Any:
    """Red, green and blue levels 0 to 255 to blue, green and red less their means."""
    return import_keras().ops.flip(images, axis=-1) - MEAN


def build(size: int) -> Any:
    """The Keras model without its classifier, for images (size, size, 3)."""
    keras = import_keras()
    inputs = keras.Input((size, size, 3), name="faces")
    x = _normalized(inputs, 64, 7, 2, name="conv1_7x7_s2")
    x = keras.layers.ReLU(name="conv1")(x)
    x = keras.layers.MaxPooling2D(3, 2, name="pool1")(x)
    names = iter(LAYERS[1:])
    for stage, (blocks, filters) in enumerate(STAGES):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            x = _block(x, filters, stride, project=block == 0, name=next(names))
    return keras.Model(inputs, x, name="resnet50_vggface2")


def _block(x: Any, filters: int, stride: int, *, project: bool, name: str) -> Any:
    """A bottleneck: reduce, convolve, increase, and add the input or its projection."""
    layers = import_keras().layers
    y = _normalized(x, filters, 1, stride, name=f"{name}_1x1_reduce")
    y = layers.ReLU(name=f"{name}_1x1_reduce_relu")(y)
    y = _normalized(y, filters, 3, 1, name=f"{name}_3x3")
    y = layers.ReLU(name=f"{name}_3x3_relu")(y)
    y = _normalized(y, 4 * filters, 1, 1, name=f"{name}_1x1_increase")
    if project:
        x = _normalized(x, 4 * filters, 1, stride, name=f"{name}_1x1_proj")
    return layers.ReLU(name=name)(layers.Add(name=f"{name}_sum")([x, y]))


def _normalized(x: Any, filters: int, size: int, stride: int, *, name: str) -> Any:
    layers = import_keras().layers
    x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False, name=name)(x)
    return layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)


def read_arrays(path: Path) -> dict[str, NDArray[np.float32]] | None:
    """The network's arrays, by the paths of their variables; None if the file is of another layout.

    By name, since the order of a file's layers depends on the Keras version that wrote it, and
    arrays of a block's two last convolutions can have the same shape. Keras 2 names layers
    ``conv1/7x7_s2`` and ``conv1/7x7_s2/bn``; Keras 3 allows no ``/`` in a name.
    """
    import h5py

    if path.suffix != ".h5":
        return None
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        if "layer_names" not in root.attrs:
            return None
        arrays = {}
        for layer in np.asarray(root.attrs["layer_names"]).astype(str):
            for name in np.asarray(root[layer].attrs["weight_names"]).astype(str):
                if layer != TOP:
                    variable = name.rpartition("/")[2].partition(":")[0]
                    arrays[f"{layer.replace('/', '_')}/{variable}"] = root[layer][name][:]
        return arrays
