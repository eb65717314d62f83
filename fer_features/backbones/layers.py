"""The layers that this package's own networks are described with, once for all libraries.

A network is a function of `Layers` and its input. Called with `KerasLayers` it makes a Keras model,
which can be trained; the OpenVINO engine has layers of its own, which need no Keras: importing it
takes longer than extracting the features of a few thousand faces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fer_features.runtime.keras_runtime import import_keras

EPSILON = 1e-3
"""Added to the variance in batch normalisation."""

LEAK = 0.1
"""Slope of ``leaky_relu`` below 0."""


class Layers(Protocol):
    """Layers of some library; names are those of the variables.

    Padding is ``same``: at a stride of 2, images of even size are padded at their end only.
    `centred`: by half the kernel on every side, as PyTorch's networks are.
    """

    def channels(self, x: Any) -> int:
        """Number of channels of a tensor."""
        ...

    def convolution(
        self,
        x: Any,
        filters: int,
        size: int,
        stride: int = 1,
        *,
        bias: bool = True,
        centred: bool = False,
        name: str,
    ) -> Any:
        """A convolution with a square kernel: ``kernel`` (size, size, C, filters), ``bias``."""
        ...

    def depthwise(
        self,
        x: Any,
        size: int,
        stride: int = 1,
        *,
        bias: bool = False,
        centred: bool = False,
        name: str,
    ) -> Any:
        """A convolution of each channel by itself: ``kernel`` (size, size, C, 1), ``bias``."""
        ...

    def normalization(self, x: Any, *, name: str) -> Any:
        """Batch normalisation: ``gamma``, ``beta``, ``moving_mean``, ``moving_variance``."""
        ...

    def activation(self, x: Any, kind: str, *, name: str) -> Any:
        """One of ``relu``, ``relu6``, ``leaky_relu``, ``sigmoid``, or ``linear`` to name it."""
        ...

    def mean(self, x: Any, *, name: str) -> Any:
        """The mean over all places, (N, 1, 1, C) in Keras's order of axes."""
        ...

    def average_pool(self, x: Any, size: int, *, name: str) -> Any:
        """Means over squares of `size` × `size` places."""
        ...

    def add(self, x: Any, y: Any, *, name: str) -> Any:
        """The sum of two tensors."""
        ...

    def multiply(self, x: Any, y: Any, *, name: str) -> Any:
        """The product of two tensors."""
        ...

    def double(self, x: Any, *, name: str) -> Any:
        """An image of twice the height and width: each place becomes 2 × 2."""
        ...

    def concatenate(self, tensors: Sequence[Any], *, name: str) -> Any:
        """The channels of several tensors, one after the other."""
        ...


Network = Callable[[Layers, Any], Any]
"""Describes a network: applies layers to its input, and returns the last one's output."""


def keras_network(network: Network, *, name: str, size: int, channels: int) -> Any:
    """A network as a Keras model of images (size, size, channels), with random weights."""
    keras = import_keras()
    inputs = keras.Input((size, size, channels), name="faces")
    return keras.Model(inputs, network(KerasLayers(), inputs), name=name)


class KerasLayers:
    """`Layers` of Keras."""

    def __init__(self) -> None:
        self._layers: Any = import_keras().layers

    def channels(self, x: Any) -> int:
        """Number of channels of a tensor."""
        return int(x.shape[-1])

    def convolution(
        self,
        x: Any,
        filters: int,
        size: int,
        stride: int = 1,
        *,
        bias: bool = True,
        centred: bool = False,
        name: str,
    ) -> Any:
        """A convolution with a square kernel."""
        x, padding = self._padded(x, size, centred)
        return self._layers.Conv2D(
            filters,
            size,
            stride,
            padding=padding,
            use_bias=bias,
            kernel_initializer="he_normal",
            name=name,
        )(x)

    def depthwise(
        self,
        x: Any,
        size: int,
        stride: int = 1,
        *,
        bias: bool = False,
        centred: bool = False,
        name: str,
    ) -> Any:
        """A convolution of each channel by itself."""
        x, padding = self._padded(x, size, centred)
        return self._layers.DepthwiseConv2D(
            size, stride, padding=padding, use_bias=bias, name=name
        )(x)

    def normalization(self, x: Any, *, name: str) -> Any:
        """Batch normalisation."""
        return self._layers.BatchNormalization(momentum=0.9, epsilon=EPSILON, name=name)(x)

    def activation(self, x: Any, kind: str, *, name: str) -> Any:
        """An activation."""
        if kind == "leaky_relu":
            return self._layers.LeakyReLU(LEAK, name=name)(x)
        return self._layers.Activation(kind, name=name)(x)

    def mean(self, x: Any, *, name: str) -> Any:
        """The mean over all places."""
        return self._layers.GlobalAveragePooling2D(keepdims=True, name=name)(x)

    def average_pool(self, x: Any, size: int, *, name: str) -> Any:
        """Means over squares."""
        return self._layers.AveragePooling2D(size, name=name)(x)

    def add(self, x: Any, y: Any, *, name: str) -> Any:
        """The sum of two tensors."""
        return self._layers.Add(name=name)([x, y])

    def multiply(self, x: Any, y: Any, *, name: str) -> Any:
        """The product of two tensors."""
        return self._layers.Multiply(name=name)([x, y])

    def double(self, x: Any, *, name: str) -> Any:
        """An image of twice the height and width."""
        return self._layers.UpSampling2D(2, name=name)(x)

    def concatenate(self, tensors: Sequence[Any], *, name: str) -> Any:
        """The channels of several tensors."""
        return self._layers.Concatenate(name=name)(tensors)

    def _padded(self, x: Any, size: int, centred: bool) -> tuple[Any, str]:
        if not centred:
            return x, "same"
        return self._layers.ZeroPadding2D(size // 2)(x), "valid"
