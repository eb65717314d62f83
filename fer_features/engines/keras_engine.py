"""Run a frozen backbone with Keras, on whichever backend Keras has been given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import Backbone, Weights, fetch_weights, load_weights
from fer_features.errors import FerError
from fer_features.keras_runtime import backend_name, import_keras

Features = dict[str, NDArray[Any]]
"""Arrays by ``layer/pooled`` (N, C) float32 and ``layer/map`` (N, h, w, C) float16."""


@dataclass(frozen=True)
class OutputSpec:
    """The shape of one output for one image, and how it is stored."""

    shape: tuple[int, ...]
    dtype: str


class KerasEngine:
    """One compiled graph from 48×48 bytes to features.

    Grey to RGB, resizing, preprocessing, pooling and the narrowing of maps to float16 are all part
    of the graph, so that only bytes go to the device and only features come back.

    Args:
        backbone: the network.
        weights: which weights it gets.
        size: height and width that images are resized to (bilinear, half-pixel centres).
        preprocess: ``keras`` or ``raw``.
        layers: names of the layers whose outputs are wanted.
        outputs: ``pooled`` (mean over space, float32), ``map`` (float16), or both.
        image_shape: height and width of the images that will come.
        batch_size: images that go through the network at once.

    Raises:
        FerError: the backbone has no such layer, or the weights cannot be had.
    """

    def __init__(
        self,
        backbone: Backbone,
        weights: Weights,
        *,
        size: int,
        preprocess: str,
        layers: tuple[str, ...],
        outputs: tuple[str, ...],
        image_shape: tuple[int, int],
        batch_size: int,
    ) -> None:
        if size < backbone.min_size:
            raise FerError(
                f"{backbone.name} needs images of at least {backbone.min_size} pixels, not {size}",
                hint=f"--size {backbone.default_size} is its usual size",
            )
        for layer in layers:
            if layer not in backbone.layers:
                raise FerError(
                    f"{backbone.name} has no layer {layer}",
                    hint=f"its layers are {', '.join(backbone.layers)}",
                )
        path = fetch_weights(weights, backbone)
        network = backbone.build(size)
        load_weights(network, weights, path)
        self.batch_size = batch_size
        self._image_shape = image_shape
        self._model = _graph(
            network, backbone, size, preprocess, layers, outputs, image_shape=image_shape
        )
        self._run = _COMPILERS[backend_name()](self._model)

    @property
    def name(self) -> str:
        """The engine and the device it runs on, for people and for the cache's provenance."""
        return f"keras/{backend_name()} on {_device()}"

    def outputs(self) -> dict[str, OutputSpec]:
        """Shape and type of each output for one image, by ``layer/pooled`` or ``layer/map``."""
        return {
            name: OutputSpec(tuple(tensor.shape[1:]), str(tensor.dtype))
            for name, tensor in self._model.output.items()
        }

    def run(self, images: NDArray[np.uint8]) -> Features:
        """Features of up to `batch_size` images, uint8 (N, H, W).

        A shorter batch is filled up to `batch_size` and cut again, so that one graph serves all
        and a row's features do not depend on how many rows came with it.
        """
        n = len(images)
        if n < self.batch_size:
            filled = np.zeros((self.batch_size, *self._image_shape), np.uint8)
            filled[:n] = images
            images = filled
        return {name: array[:n] for name, array in self._run(images).items()}


def _graph(
    network: Any,
    backbone: Backbone,
    size: int,
    preprocess: str,
    layers: tuple[str, ...],
    outputs: tuple[str, ...],
    *,
    image_shape: tuple[int, int],
) -> Any:
    """The whole path from bytes to features as one Keras model."""
    keras = import_keras()
    ops = keras.ops
    inputs = keras.Input(image_shape, dtype="uint8", name="images")
    x = ops.expand_dims(ops.cast(inputs, "float32"), -1)
    x = ops.image.resize(x, (size, size), interpolation="bilinear", antialias=False)
    x = ops.repeat(x, 3, axis=-1)
    if preprocess == "keras":
        x = backbone.preprocess(x)
    taps = keras.Model(network.input, [network.get_layer(layer).output for layer in layers])
    taps.trainable = False
    features = taps(x, training=False)
    features = features if isinstance(features, list) else [features]
    named = {}
    for layer, feature in zip(layers, features, strict=True):
        if "pooled" in outputs:
            named[f"{layer}/pooled"] = ops.mean(feature, axis=(1, 2))
        if "map" in outputs:
            named[f"{layer}/map"] = ops.cast(feature, "float16")
    return keras.Model(inputs, named)


def _compile_tensorflow(model: Any) -> Callable[[NDArray[np.uint8]], Features]:
    import tensorflow as tf

    function = tf.function(lambda images: model(images, training=False))
    return lambda images: {k: v.numpy() for k, v in function(tf.constant(images)).items()}


def _compile_jax(model: Any) -> Callable[[NDArray[np.uint8]], Features]:
    import jax

    trainable = [variable.value for variable in model.trainable_variables]
    fixed = [variable.value for variable in model.non_trainable_variables]

    def features(trainable: Any, fixed: Any, images: Any) -> Any:
        return model.stateless_call(trainable, fixed, images, training=False)[0]

    function = jax.jit(features)
    return lambda images: {k: np.asarray(v) for k, v in function(trainable, fixed, images).items()}


def _compile_torch(model: Any) -> Callable[[NDArray[np.uint8]], Features]:
    import torch  # an extra: pip install "fer-features[torch]"

    def run(images: NDArray[np.uint8]) -> Features:
        with torch.inference_mode():
            features: Mapping[str, Any] = model(images, training=False)
            return {k: v.cpu().numpy() for k, v in features.items()}

    return run


_COMPILERS: dict[str, Callable[[Any], Callable[[NDArray[np.uint8]], Features]]] = {
    "tensorflow": _compile_tensorflow,
    "jax": _compile_jax,
    "torch": _compile_torch,
}


def _device() -> str:
    """The first accelerator that Keras's backend sees, or the CPU."""
    backend = backend_name()
    if backend == "tensorflow":
        import tensorflow as tf

        return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if backend == "jax":
        import jax

        return str(jax.default_backend()).upper()
    import torch

    return "GPU" if torch.cuda.is_available() else "CPU"
