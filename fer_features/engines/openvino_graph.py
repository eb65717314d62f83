"""The path from bytes to features as an OpenVINO model, built without Keras.

For this package's own networks with weights of which the arrays can be read. Building takes a
fraction of a second, where importing Keras and converting its graph takes 10 to 20.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.layers import EPSILON, LEAK
from fer_features.backbones.loading import not_of, read_arrays
from fer_features.config import GRID
from fer_features.engines.engine import GraphSpec
from fer_features.runtime.openvino_runtime import import_openvino

SAME: dict[str, Any] = {
    "pads_begin": [0, 0],
    "pads_end": [0, 0],
    "dilations": [1, 1],
    "auto_pad": "same_upper",
}


def direct_graph(spec: GraphSpec) -> Any | None:
    """An OpenVINO model: uint8 (N, H, W) in, features out; None if only Keras can build it.

    Raises:
        FerError: the weights cannot be read, or are not of this network.
    """
    network = spec.backbone.network
    arrays = read_arrays(spec.weights, spec.backbone) if network else None
    if network is None or arrays is None:
        return None
    ops = _operations()
    images = ops.parameter([-1, *spec.image_shape], np.uint8, name="images")
    x = ops.unsqueeze(ops.convert(images, "f32"), _constant([1]))
    if spec.image_shape != (spec.size, spec.size):
        x = ops.interpolate(
            x,
            _constant([spec.size, spec.size]),
            "linear",
            "sizes",
            coordinate_transformation_mode="half_pixel",
            axes=_constant([2, 3]),
        )
    if spec.backbone.channels == 3:
        ones = np.ones((3, 1, 1, 1), np.float32)
        x = ops.convolution(x, ones, [1, 1], **SAME)
    if spec.preprocess == "keras":
        x = spec.backbone.preprocess(x)
    layers = OpenVinoLayers(arrays)
    try:
        network(layers, x)
        layers.check_all_used()
    except (ValueError, RuntimeError) as error:  # OpenVINO's are RuntimeErrors
        raise not_of(spec.backbone, spec.weights.path, error) from error
    outputs = []
    for name in spec.layers:
        for output in spec.outputs:
            feature = ops.convert(_output(layers.named[name], output), _DTYPES[output])
            feature.output(0).set_names({f"{name}/{output}"})
            outputs.append(feature)
    return import_openvino().Model(outputs, [images], spec.backbone.name)


_DTYPES = {"pooled": "f32", "grid3": "f32", "map": "f16"}


def _output(layer: Any, output: str) -> Any:
    """One output of a layer, with the channels last."""
    ops = _operations()
    if output == "pooled":
        return ops.reduce_mean(layer, _constant([2, 3]))
    if output == "grid3":
        layer = ops.adaptive_avg_pool(layer, _constant([GRID, GRID]))
    last = ops.transpose(layer, _constant([0, 2, 3, 1]))
    return ops.reshape(last, _constant([0, -1]), special_zero=True) if output == "grid3" else last


def _padding(size: int, centred: bool) -> dict[str, Any]:
    half = [size // 2] * 2
    return (
        {**SAME, "pads_begin": half, "pads_end": half, "auto_pad": "explicit"} if centred else SAME
    )


def _operations() -> Any:
    import_openvino()
    from openvino import opset13

    return opset13


def _constant(values: list[int]) -> Any:
    return _operations().constant(np.array(values, np.int64))


class OpenVinoLayers:
    """`Layers` of OpenVINO, with the weights in them; axes are (N, C, H, W).

    Args:
        arrays: the weights, by the paths of their variables, in Keras's order of axes.

    Attributes:
        named: the outputs of the layers so far, by name.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays, self._used = arrays, set[str]()
        self._ops = _operations()
        self.named: dict[str, Any] = {}

    def channels(self, x: Any) -> int:
        """Number of channels of a tensor."""
        return int(x.get_output_partial_shape(0)[1].get_length())

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
        shape = size, size, self.channels(x), filters
        kernel = np.ascontiguousarray(self._array(f"{name}/kernel", *shape).transpose(3, 2, 0, 1))
        padding = _padding(size, centred)
        x = self._ops.convolution(x, kernel, [stride] * 2, **padding)
        return self._named(name, self._biased(x, name) if bias else x)

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
        kernel = self._array(f"{name}/kernel", size, size, self.channels(x), 1)
        kernel = np.ascontiguousarray(kernel.transpose(2, 3, 0, 1)[:, :, None])
        padding = _padding(size, centred)
        x = self._ops.group_convolution(x, kernel, [stride] * 2, **padding)
        return self._named(name, self._biased(x, name) if bias else x)

    def normalization(self, x: Any, *, name: str) -> Any:
        """Batch normalisation."""
        variables = ("gamma", "beta", "moving_mean", "moving_variance")
        arrays = [self._array(f"{name}/{one}", self.channels(x)) for one in variables]
        return self._named(name, self._ops.batch_norm_inference(x, *arrays, EPSILON))

    def activation(self, x: Any, kind: str, *, name: str) -> Any:
        """An activation."""
        if kind == "relu6":
            x = self._ops.clamp(x, 0.0, 6.0)
        elif kind == "leaky_relu":
            x = self._ops.prelu(x, np.array([LEAK], np.float32))
        elif kind != "linear":
            x = getattr(self._ops, kind)(x)
        return self._named(name, x)

    def mean(self, x: Any, *, name: str) -> Any:
        """The mean over all places."""
        return self._named(name, self._ops.reduce_mean(x, _constant([2, 3]), keep_dims=True))

    def average_pool(self, x: Any, size: int, *, name: str) -> Any:
        """Means over squares."""
        none = [0, 0]
        return self._named(
            name, self._ops.avg_pool(x, [size] * 2, none, none, [size] * 2, exclude_pad=True)
        )

    def add(self, x: Any, y: Any, *, name: str) -> Any:
        """The sum of two tensors."""
        return self._named(name, self._ops.add(x, y))

    def multiply(self, x: Any, y: Any, *, name: str) -> Any:
        """The product of two tensors."""
        return self._named(name, self._ops.multiply(x, y))

    def double(self, x: Any, *, name: str) -> Any:
        """An image of twice the height and width."""
        twice = self._ops.interpolate(
            x,
            np.array([2, 2], np.float32),
            "nearest",
            "scales",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
            axes=_constant([2, 3]),
        )
        return self._named(name, twice)

    def concatenate(self, tensors: Sequence[Any], *, name: str) -> Any:
        """The channels of several tensors."""
        return self._named(name, self._ops.concat(list(tensors), 1))

    def check_all_used(self) -> None:
        """Raise a `ValueError` if there are weights of other layers too."""
        if odd := sorted(set(self._arrays) - self._used):
            raise ValueError(f"{odd[0]} is not in the network")

    def _biased(self, x: Any, name: str) -> Any:
        return x + self._array(f"{name}/bias", self.channels(x)).reshape(1, -1, 1, 1)

    def _array(self, path: str, *shape: int) -> NDArray[np.float32]:
        found = self._arrays.get(path)
        if found is None or found.shape != shape:
            raise ValueError(f"{path} {shape} is not in both the file and the network")
        self._used.add(path)
        return found.astype(np.float32)

    def _named(self, name: str, x: Any) -> Any:
        self.named[name] = x
        return x
