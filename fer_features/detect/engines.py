"""What runs the face detector's network: OpenVINO, or Keras where OpenVINO is not installed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.weights_file import assign, read_weights
from fer_features.detect.retinaface import MEAN, STRIDES, WEIGHTS, network
from fer_features.engines.openvino_graph import OpenVinoLayers
from fer_features.engines.select import choose_engine
from fer_features.runtime.hardware import has_openvino
from fer_features.runtime.keras_runtime import import_keras, keras_settings
from fer_features.runtime.openvino_runtime import import_openvino

OFTEN = 32
"""Pictures of one size from which on it has a compiled model of its own."""

MODELS = 2
"""The most sizes with a model of their own."""

Maps = tuple[NDArray[np.float32], ...]
"""For each stride, float32 (height, width, 2 · VALUES)."""


Result = Callable[[], Maps]
"""Waits for a picture's maps; to be called once."""


class FaceNetwork(Protocol):
    """The network, ready to run; may be used by several threads."""

    def submit(self, picture: NDArray[np.uint8]) -> Result:
        """Start to compute the maps of an RGB picture whose sides are multiples of 32."""
        ...


def make_network(engine: str) -> FaceNetwork:
    """Build the network.

    Args:
        engine: ``openvino``, ``keras`` or ``auto``: OpenVINO if it is installed. Always in float32,
            so that a picture has the same faces on every processor.

    Raises:
        FerError: no such engine, or not available here.
    """
    if engine == "auto":
        engine = "openvino" if has_openvino() else "keras"
    engine = choose_engine(engine, "float32").engine
    return OpenVinoNetwork() if engine == "openvino" else KerasNetwork()


class OpenVinoNetwork:
    """The network in OpenVINO, with several requests in flight.

    One compiled model takes pictures of any size. A size that comes often, as those of a video do,
    has a model of its own, which takes 0.4 s to compile and then a quarter less time a picture.
    """

    def __init__(self) -> None:
        self._model = openvino_model()
        self._any_size = _Compiled(self._model)
        self._counts: Counter[tuple[int, ...]] = Counter()
        self._one_size: dict[tuple[int, ...], _Compiled] = {}
        self._lock = threading.Lock()

    def submit(self, picture: NDArray[np.uint8]) -> Result:
        """Start to compute."""
        return self._compiled(picture.shape).submit(picture)

    def _compiled(self, shape: tuple[int, ...]) -> _Compiled:
        with self._lock:
            self._counts[shape] += 1
            if self._counts[shape] == OFTEN and len(self._one_size) < MODELS:
                model = self._model.clone()
                model.reshape([1, *shape])
                self._one_size[shape] = _Compiled(model)
            return self._one_size.get(shape, self._any_size)


class _Compiled:
    """A compiled model with as many requests as are in flight at once.

    No callbacks: Python's end would abort a thread of OpenVINO that is still in one.
    """

    def __init__(self, model: Any) -> None:
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}
        self._model = import_openvino().Core().compile_model(model, "CPU", settings)
        self._free: list[Any] = []

    def submit(self, picture: NDArray[np.uint8]) -> Result:
        try:
            request = self._free.pop()
        except IndexError:
            request = self._model.create_infer_request()
        request.start_async({0: picture[None]})

        def result() -> Maps:
            request.wait()
            tensors = [request.get_output_tensor(number) for number in range(len(STRIDES))]
            maps = tuple(tensor.data[0].copy() for tensor in tensors)
            self._free.append(request)
            return maps

        return result


def openvino_model() -> Any:
    """The network as an OpenVINO model, with its weights: uint8 (1, H, W, 3) in."""
    ov = import_openvino()
    from openvino import opset13 as ops

    pictures = ops.parameter([1, -1, -1, 3], np.uint8, name="pictures")
    mean = np.array(MEAN, np.float32)
    x = ops.transpose(ops.convert(pictures, "f32") - mean, np.array([0, 3, 1, 2]))
    layers = OpenVinoLayers(read_weights(WEIGHTS).network)
    maps = [ops.transpose(one, np.array([0, 2, 3, 1])) for one in network(layers, x)]
    layers.check_all_used()
    return ov.Model(maps, [pictures], "retinaface")


class KerasNetwork:
    """The network in Keras; slower to build, and on a CPU slower to run."""

    def __init__(self) -> None:
        self._model = keras_model()

    def submit(self, picture: NDArray[np.uint8]) -> Result:
        """Compute at once."""
        to_numpy: Callable[[Any], NDArray[np.float32]] = import_keras().ops.convert_to_numpy
        with keras_settings():
            centred = picture[None].astype(np.float32) - np.array(MEAN, np.float32)
            maps = tuple(to_numpy(one)[0] for one in self._model(centred, training=False))
        return lambda: maps


@keras_settings()
def keras_model() -> Any:
    """The network as a Keras model of RGB pictures less their mean, with its weights."""
    from fer_features.backbones.layers import KerasLayers

    keras = import_keras()
    pictures = keras.Input((None, None, 3), name="pictures")
    model = keras.Model(pictures, list(network(KerasLayers(), pictures)), name="retinaface")
    assign(model.variables, read_weights(WEIGHTS).network)
    return model
