"""RetinaFace on MobileNet 0.25: a network that finds faces and five landmarks in each.

Deng and others, *RetinaFace: Single-shot Multi-level Face Localisation in the Wild*, 2020
(https://arxiv.org/abs/1905.00641), in the form of
https://github.com/biubug6/Pytorch_Retinaface. 0.43 million parameters.

Each place of three maps, with strides of 8, 16 and 32 px, has two anchors: squares around the
place's centre. For each anchor the network gives `VALUES` numbers: the box relative to the anchor
(x, y, width, height), the logit of a face, and five landmarks (x, y).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fer_features.backbones.layers import Layers

WEIGHTS = Path(__file__).with_name("retinaface.h5")

BLOCKS = (
    (16, 1),
    (32, 2),
    (32, 1),
    (64, 2),
    (64, 1),
    (128, 2),
    *5 * ((128, 1),),
    (256, 2),
    (256, 1),
)
"""Channels and stride of each block: a depthwise and a pointwise convolution."""

TAPS = (5, 11, 13)
"""The blocks after which the maps of the three strides are taken."""

STRIDES = (8, 16, 32)
ANCHORS = ((16, 32), (64, 128), (256, 512))
"""Sides of the two anchors at each place of a stride, in px."""

VALUES = 15
CHANNELS = 64
"""Channels of the three maps."""

MEAN = (123, 117, 104)
"""The mean colour of the pictures that it was trained on (red, green, blue), subtracted first."""


def network(layers: Layers, pictures: Any) -> tuple[Any, ...]:
    """The network, of RGB pictures less `MEAN`, whose sides are multiples of 32.

    Returns:
        For each stride, a tensor with ``2 · VALUES`` channels.
    """
    x = _convolution(layers, pictures, 8, 3, 2, name="stem")
    taps = []
    for number, (filters, stride) in enumerate(BLOCKS, 1):
        name = f"block_{number}"
        x = layers.depthwise(x, 3, stride, bias=True, centred=stride > 1, name=f"{name}_depthwise")
        x = layers.activation(x, "leaky_relu", name=f"{name}_middle")
        x = _convolution(layers, x, filters, 1, name=f"{name}_pointwise")
        if number in TAPS:
            taps.append(x)
    fine, middle, coarse = (
        _convolution(layers, tap, CHANNELS, 1, name=f"lateral_{stride}")
        for tap, stride in zip(taps, STRIDES, strict=True)
    )
    middle = _merged(layers, middle, coarse, name="merged_16")
    fine = _merged(layers, fine, middle, name="merged_8")
    return tuple(
        layers.convolution(
            _context(layers, x, name=f"context_{stride}"), 2 * VALUES, 1, name=f"faces_{stride}"
        )
        for x, stride in zip((fine, middle, coarse), STRIDES, strict=True)
    )


def _merged(layers: Layers, x: Any, coarser: Any, *, name: str) -> Any:
    x = layers.add(x, layers.double(coarser, name=f"{name}_doubled"), name=f"{name}_sum")
    return _convolution(layers, x, CHANNELS, 3, name=name)


def _context(layers: Layers, x: Any, *, name: str) -> Any:
    """Views of 3, 5 and 7 places, of 3 × 3 convolutions."""
    narrow = layers.convolution(x, CHANNELS // 2, 3, name=f"{name}_3")
    x = _convolution(layers, x, CHANNELS // 4, 3, name=f"{name}_5a")
    middle = layers.convolution(x, CHANNELS // 4, 3, name=f"{name}_5b")
    x = _convolution(layers, x, CHANNELS // 4, 3, name=f"{name}_7a")
    wide = layers.convolution(x, CHANNELS // 4, 3, name=f"{name}_7b")
    joined = layers.concatenate([narrow, middle, wide], name=f"{name}_joined")
    return layers.activation(joined, "relu", name=name)


def _convolution(
    layers: Layers, x: Any, filters: int, size: int, stride: int = 1, *, name: str
) -> Any:
    x = layers.convolution(x, filters, size, stride, centred=stride > 1, name=name)
    return layers.activation(x, "leaky_relu", name=f"{name}_active")
