"""Stage 1's network in the child: the usual Keras recipe, and this package's engines."""

from __future__ import annotations

import math
import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import LeftOut, Message
from fer_features.backbones import get_backbone, load_weights, resolve_weights
from fer_features.backbones.applications import LAST
from fer_features.backbones.weights import fetch_weights
from fer_features.data import IMAGE_SIZE
from fer_features.engines import Features, GraphSpec, choose_engine, make_engine
from fer_features.errors import FerError
from fer_features.extract.pipeline import AHEAD
from fer_features.runtime.keras_runtime import backend_name, import_keras, keras_settings

ROUND_S = 3.0
"""How long a round is to take where the number of images is left to the program."""

NAIVE_BATCH = 32
NAIVE_MOST = 2048
"""Images of the usual recipe's round at most: it holds them all, resized, in memory."""


def whole_batches(images: int, batch_size: int) -> int:
    """The number of images that fills at least one batch, and no batch in part."""
    return max(math.ceil(images / batch_size), 1) * batch_size


def images_for(seconds: float, *, of: int, step: int) -> int:
    """How many images take about `ROUND_S`, in whole steps, if `of` images took `seconds`."""
    return whole_batches(round(of * ROUND_S / max(seconds, 1e-6)), step)


def random_images(n: int) -> NDArray[np.uint8]:
    """Uint8 (n, 48, 48), each another image; the same at every call."""
    return np.random.default_rng(0).integers(0, 256, (n, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)


class NaiveContender:
    """The usual recipe: resize on the host, preprocess, `model.predict` in batches of 32.

    It gives what the engines give: the last layer's map, and its mean over space.

    Args:
        job: ``backbone``, ``weights``, ``size``, ``precision``, and ``images`` or None.

    Raises:
        LeftOut: this machine would only emulate the precision.
        FerError: the weights cannot be had.
    """

    @keras_settings()
    def __init__(self, job: Message) -> None:
        self._keras = import_keras()
        self._precision = job["precision"]
        if self._precision == "bfloat16":
            _check_keras_bfloat16()
        self._device = keras_device()
        self._backbone = get_backbone(job["backbone"])
        self._size = job["size"]
        weights = resolve_weights(job["weights"], self._backbone)
        path = fetch_weights(weights, self._backbone)
        with keras_settings(self._precision):
            network = self._backbone.build(self._size)
        load_weights(network, weights, self._backbone, path)
        self._model = network
        self._images = random_images(NAIVE_BATCH)
        self._pass()  # the compiler's
        n = NAIVE_BATCH
        wanted = job["images"] or images_for(self._pass(), of=n, step=n)
        self._images = random_images(min(whole_batches(wanted, n), NAIVE_MOST))

    @keras_settings()
    def _pass(self) -> float:
        begun = time.perf_counter()
        channels = self._backbone.channels
        images = np.repeat(self._images[..., None], channels, axis=-1).astype(np.float32)
        size = (self._size, self._size)
        large = self._keras.ops.image.resize(images, size, interpolation="bilinear")
        x = self._backbone.preprocess(self._keras.ops.convert_to_numpy(large).copy())
        maps = self._model.predict(x, batch_size=NAIVE_BATCH, verbose=0)
        maps.mean(axis=(1, 2), dtype=np.float32)
        return time.perf_counter() - begun

    def describe(self) -> Message:
        """What it is, and what it runs on."""
        return {
            **self._device,
            "engine": f"keras/{backend_name()} on {self._device['device']}, model.predict",
            "precision": self._precision,
            "batch_size": NAIVE_BATCH,
        }

    def run(self) -> Message:
        """One pass over the images."""
        return {"images": len(self._images), "seconds": self._pass()}


class EngineContender:
    """An engine, fed from memory as the pipeline feeds it.

    Args:
        job: ``engine`` and ``precision`` (``auto`` too), ``backbone``, ``weights``, ``size``,
            ``preprocess``, ``batch_size``, ``graphs``, and ``images`` or None. With ``cold`` true
            exactly so many images are run, and nothing before the first round.

    Raises:
        LeftOut: the engine or the precision is not available here.
        FerError: the weights cannot be had.
    """

    def __init__(self, job: Message) -> None:
        try:
            self._choice = choose_engine(job["engine"], job["precision"])
        except FerError as error:
            raise LeftOut(error.message) from error
        if job["precision"] == "bfloat16" and self._choice.engine == "keras":
            _check_keras_bfloat16()
        self._device: Message = {"device": "CPU", "device_name": ""}
        if self._choice.engine == "keras":
            self._device = keras_device()
        self._engine = make_engine(
            self._choice.engine,
            _graph_spec(job, self._choice.precision),
            batch_size=job["batch_size"],
            graphs=Path(job["graphs"]),
        )
        self._n = job["images"] or 0
        self._images = random_images(self._n)
        if not job["cold"]:
            self._warm_up()

    def _warm_up(self) -> None:
        step = self._engine.batch_size * self._engine.depth  # no request idles at a round's end
        self._images = random_images(2 * step)
        self._pass(step)  # the compiler's
        if self._n:
            self._n = whole_batches(self._n, self._engine.batch_size)
        else:
            self._n = images_for(self._pass(2 * step), of=2 * step, step=step)
        self._images = random_images(self._n)

    def _pass(self, n: int) -> float:
        size = self._engine.batch_size
        under_way: deque[Future[Features]] = deque()
        begun = time.perf_counter()
        for start in range(0, n, size):
            under_way.append(self._engine.submit(self._images[start : min(start + size, n)]))
            while len(under_way) > self._engine.depth + AHEAD:
                under_way.popleft().result()
        while under_way:
            under_way.popleft().result()
        return time.perf_counter() - begun

    def describe(self) -> Message:
        """What it is, and what it runs on."""
        return {
            **self._device,
            "engine": self._engine.name,
            "kind": self._choice.engine,
            "precision": self._choice.precision,
            "batch_size": self._engine.batch_size,
        }

    def run(self) -> Message:
        """One pass over the images."""
        seconds = self._pass(self._n)
        return {"images": self._n, "seconds": seconds, "peak_bytes": peak_bytes()}


def _graph_spec(job: Message, precision: str) -> GraphSpec:
    backbone = get_backbone(job["backbone"])
    return GraphSpec(
        backbone=backbone,
        weights=resolve_weights(job["weights"], backbone),
        size=job["size"],
        preprocess=job["preprocess"],
        layers=(backbone.layers[-1] if backbone.layers else LAST,),
        outputs=("pooled", "map"),
        image_shape=(IMAGE_SIZE, IMAGE_SIZE),
        precision=precision,
    )


def _check_keras_bfloat16() -> None:
    from fer_features.runtime.hardware import keras_has_bfloat16
    from fer_features.runtime.keras_runtime import backend_name

    if not keras_has_bfloat16():
        raise LeftOut(f"Keras on {backend_name()} would only emulate it on this machine")


def keras_device() -> Message:
    """Where Keras computes: ``device`` (CPU or GPU) and ``device_name``, empty for a CPU."""
    from fer_features.runtime.hardware import keras_devices
    from fer_features.runtime.keras_runtime import backend_name

    devices: tuple[Any, ...] = keras_devices()  # also keeps TensorFlow from taking all memory
    if not devices:
        return {"device": "CPU", "device_name": ""}
    backend = backend_name()
    if backend == "tensorflow":
        import tensorflow as tf

        first = tf.config.list_physical_devices("GPU")[0]
        name = tf.config.experimental.get_device_details(first).get("device_name", "")
    elif backend == "jax":
        name = devices[0].device_kind
    else:
        import torch

        name = torch.cuda.get_device_name(0)
    times = f" × {len(devices)}" if len(devices) > 1 else ""
    return {"device": "GPU", "device_name": f"{name}{times}"}


def peak_bytes() -> int:
    """The most memory that this process has held (resident set)."""
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
