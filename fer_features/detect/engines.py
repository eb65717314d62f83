"""What runs the face detector's network: OpenVINO, or Keras where OpenVINO is not installed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.weights_file import assign, read_weights
from fer_features.detect.retinaface import MEAN, STRIDES, WEIGHTS, network
from fer_features.engines.openvino_graph import OpenVinoLayers
from fer_features.engines.select import choose_engine
from fer_features.runtime.hardware import has_openvino
from fer_features.runtime.keras_runtime import import_keras, keras_settings
from fer_features.runtime.openvino_runtime import import_openvino, make_queue

Maps = tuple[NDArray[np.float32], ...]
"""For each stride, float32 (height, width, 2 · VALUES)."""


class FaceNetwork(Protocol):
    """The network, ready to run on several threads at once."""

    def submit(self, picture: NDArray[np.uint8]) -> Future[Maps]:
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
    """The network in OpenVINO, for pictures of any size, with several requests in flight."""

    def __init__(self) -> None:
        ov = import_openvino()
        from openvino import opset13 as ops

        pictures = ops.parameter([1, -1, -1, 3], np.uint8, name="pictures")
        mean = np.array(MEAN, np.float32)
        x = ops.transpose(ops.convert(pictures, "f32") - mean, np.array([0, 3, 1, 2]))
        layers = OpenVinoLayers(read_weights(WEIGHTS).network)
        maps = [ops.transpose(one, np.array([0, 2, 3, 1])) for one in network(layers, x)]
        model = ov.Core().compile_model(
            ov.Model(maps, [pictures], "retinaface"),
            "CPU",
            {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"},
        )
        self._queue = make_queue(model, _complete)

    def submit(self, picture: NDArray[np.uint8]) -> Future[Maps]:
        """Start to compute; waits for a free request."""
        future: Future[Maps] = Future()
        self._queue.start_async({0: picture[None]}, userdata=future)
        return future


def _complete(request: Any, future: Future[Maps]) -> None:
    """Copy a finished request's maps, which the next picture will overwrite."""
    try:
        maps = tuple(request.get_output_tensor(i).data[0].copy() for i in range(len(STRIDES)))
    except BaseException as error:  # it has to reach the thread that waits for the future
        future.set_exception(error)
    else:
        future.set_result(maps)


class KerasNetwork:
    """The network in Keras; slower to build, and on a CPU slower to run."""

    def __init__(self) -> None:
        self._model = keras_model()

    def submit(self, picture: NDArray[np.uint8]) -> Future[Maps]:
        """Compute at once."""
        to_numpy: Callable[[Any], NDArray[np.float32]] = import_keras().ops.convert_to_numpy
        future: Future[Maps] = Future()
        with keras_settings():
            centred = picture[None].astype(np.float32) - np.array(MEAN, np.float32)
            maps = self._model(centred, training=False)
            future.set_result(tuple(to_numpy(one)[0] for one in maps))
        return future


@keras_settings()
def keras_model() -> Any:
    """The network as a Keras model of RGB pictures less their mean, with its weights."""
    from fer_features.backbones.layers import KerasLayers

    keras = import_keras()
    pictures = keras.Input((None, None, 3), name="pictures")
    model = keras.Model(pictures, list(network(KerasLayers(), pictures)), name="retinaface")
    assign(model.variables, read_weights(WEIGHTS).network)
    return model
