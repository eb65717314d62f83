"""`fernet`: a small residual network with squeeze and excitation for grey faces of 48×48.

He and others, *Deep Residual Learning for Image Recognition*, 2016
(https://arxiv.org/abs/1512.03385); Hu and others, *Squeeze-and-Excitation Networks*, 2018
(https://arxiv.org/abs/1709.01507). 1.6 million parameters, 0.26 · 10⁹ operations an image;
`fernet_wide`, a teacher for it, has twice the channels, and four times of both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_features.backbones.layers import Layers

SIZE = 48
STEM = 24
"""Channels of the first convolution."""

BLOCKS = ((48, 2), (48, 1), (96, 2), (96, 1), (192, 2), (192, 1))
"""Channels and stride of each block."""

LAYERS = ("stem", *(f"block_{number}" for number in range(1, len(BLOCKS) + 1)))
"""Layers that can be extracted, each after its ReLU."""

SQUEEZE = 8
"""Reduction ratio of squeeze and excitation."""

LEVELS, MEAN, STD = np.array([[255], [0.507], [0.255]], np.float32)
"""The largest grey level; mean and deviation of the levels from 0 to 1, about those of FER2013.

Arrays (1,), with which tensors of every library can be calculated."""


def preprocess(images: Any) -> Any:
    """Normalise grey levels 0 to 255 to about mean 0 and deviation 1."""
    return (images / LEVELS - MEAN) / STD


def network(layers: Layers, faces: Any, *, width: int = 1) -> Any:
    """The network, of grey images (48, 48, 1), with `width` times the channels."""
    x = layers.convolution(faces, width * STEM, 3, name="stem_convolution")
    x = layers.activation(x, "relu", name="stem")
    for name, (filters, stride) in zip(LAYERS[1:], BLOCKS, strict=True):
        x = _block(layers, x, width * filters, stride, name=name)
    return x


def wide_network(layers: Layers, faces: Any) -> Any:
    """`network` with twice the channels."""
    return network(layers, faces, width=2)


def _block(layers: Layers, x: Any, filters: int, stride: int, *, name: str) -> Any:
    y = _normalized(layers, x, filters, stride, name=f"{name}_1")
    y = layers.activation(y, "relu", name=f"{name}_relu")
    y = _normalized(layers, y, filters, name=f"{name}_2")
    y = layers.multiply(y, _gate(layers, y, filters, name=name), name=f"{name}_gated")
    if stride != 1:
        x = layers.average_pool(x, stride, name=f"{name}_smaller")
    if layers.channels(x) != filters:
        x = layers.convolution(x, filters, 1, name=f"{name}_shortcut")
    return layers.activation(layers.add(x, y, name=f"{name}_sum"), "relu", name=name)


def _gate(layers: Layers, y: Any, filters: int, *, name: str) -> Any:
    """Squeeze and excitation: a factor from 0 to 1 for each channel, from all channels' means."""
    gate = layers.mean(y, name=f"{name}_mean")
    gate = layers.convolution(gate, filters // SQUEEZE, 1, name=f"{name}_squeeze")
    gate = layers.activation(gate, "relu", name=f"{name}_squeezed")
    gate = layers.convolution(gate, filters, 1, name=f"{name}_excite")
    return layers.activation(gate, "sigmoid", name=f"{name}_gate")


def _normalized(layers: Layers, x: Any, filters: int, stride: int = 1, *, name: str) -> Any:
    """A convolution and a batch normalisation.

    Only in the branches: on a CPU the normalisation takes longer than the convolution, and the
    network learns no worse without it at the stem and on the shortcuts.
    """
    x = layers.convolution(x, filters, 3, stride, bias=False, name=f"{name}_convolution")
    return layers.normalization(x, name=f"{name}_normalization")
