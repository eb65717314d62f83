"""`fernet`: a small residual network with squeeze and excitation for grey faces of 48×48.

He and others, *Deep Residual Learning for Image Recognition*, 2016
(https://arxiv.org/abs/1512.03385); Hu and others, *Squeeze-and-Excitation Networks*, 2018
(https://arxiv.org/abs/1709.01507). 1.6 million parameters, 0.26 · 10⁹ operations an image.
"""

from __future__ import annotations

from typing import Any

from fer_features.runtime.keras_runtime import import_keras

SIZE = 48
STEM = 24
"""Channels of the first convolution."""

BLOCKS = ((48, 2), (48, 1), (96, 2), (96, 1), (192, 2), (192, 1))
"""Channels and stride of each block."""

LAYERS = ("stem", *(f"block_{number}" for number in range(1, len(BLOCKS) + 1)))
"""Layers that can be extracted, each after its ReLU."""

SQUEEZE = 8
"""Reduction ratio of squeeze and excitation."""

MEAN, STD = 0.507, 0.255
"""Mean and deviation of the grey levels, from 0 to 1: about those of FER2013."""


def preprocess(images: Any) -> Any:
    """Normalise grey levels 0 to 255 to about mean 0 and deviation 1."""
    return (images / 255.0 - MEAN) / STD


def build(size: int = SIZE) -> Any:
    """The network with random weights, a Keras model of grey images (size, size, 1)."""
    keras: Any = import_keras()
    inputs = keras.Input((size, size, 1), name="faces")
    x = _convolution(inputs, STEM, 3, name="stem_convolution")
    x = keras.layers.Activation("relu", name="stem")(x)
    for name, (filters, stride) in zip(LAYERS[1:], BLOCKS, strict=True):
        x = _block(x, filters, stride, name=name)
    return keras.Model(inputs, x, name="fernet")


def _block(x: Any, filters: int, stride: int, *, name: str) -> Any:
    layers: Any = import_keras().layers
    y = _normalized(x, filters, stride, name=f"{name}_1")
    y = layers.Activation("relu", name=f"{name}_relu")(y)
    y = _normalized(y, filters, 1, name=f"{name}_2")
    y = layers.Multiply(name=f"{name}_gated")([y, _gate(y, filters, name=name)])
    if stride != 1:
        x = layers.AveragePooling2D(stride, name=f"{name}_smaller")(x)
    if x.shape[-1] != filters:
        x = _convolution(x, filters, 1, name=f"{name}_shortcut")
    return layers.Activation("relu", name=name)(layers.Add(name=f"{name}_sum")([x, y]))


def _gate(y: Any, filters: int, *, name: str) -> Any:
    """Squeeze and excitation: a factor from 0 to 1 for each channel, from all channels' means."""
    layers: Any = import_keras().layers
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(y)
    gate = layers.Conv2D(filters // SQUEEZE, 1, activation="relu", name=f"{name}_squeeze")(gate)
    return layers.Conv2D(filters, 1, activation="sigmoid", name=f"{name}_excite")(gate)


def _normalized(x: Any, filters: int, stride: int, *, name: str) -> Any:
    """A convolution and a batch normalisation.

    Only in the branches: on a CPU the normalisation takes longer than the convolution, and the
    network learns no worse without it at the stem and on the shortcuts.
    """
    x = _convolution(x, filters, 3, stride, bias=False, name=f"{name}_convolution")
    layers: Any = import_keras().layers
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_normalization")(x)


def _convolution(
    x: Any, filters: int, size: int, stride: int = 1, *, bias: bool = True, name: str
) -> Any:
    return import_keras().layers.Conv2D(
        filters,
        size,
        stride,
        padding="same",
        use_bias=bias,
        kernel_initializer="he_normal",
        name=name,
    )(x)
