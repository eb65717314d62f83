"""Run a backbone with Keras, on whichever backend Keras uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.engines.engine import Engine, Features, GraphSpec, OutputSpecs, pad_batch
from fer_features.engines.graph import build_graph
from fer_features.runtime.hardware import keras_devices
from fer_features.runtime.keras_runtime import backend_name, keras_settings

CPU_BATCH = 32
GPU_BATCH = 256

Compiled = tuple[Any, Callable[[NDArray[np.uint8]], Features]]
"""The Keras model, and the function that runs it on a full batch."""


class KerasEngine(Engine):
    """One compiled graph, on the CPU or on all local GPUs at once.

    With several GPUs a batch is split evenly among them (TensorFlow and JAX; PyTorch uses the
    first).

    Args:
        spec: what to compute.
        batch_size: images per device and forward pass; None for 32 on a CPU and 256 on a GPU.

    Raises:
        FerError: the weights cannot be loaded.
    """

    def __init__(self, spec: GraphSpec, *, batch_size: int | None = None) -> None:
        backend, devices = backend_name(), keras_devices()
        parts = max(len(devices), 1) if backend != "torch" else 1
        device = ("GPU" if devices else "CPU") + (f" × {parts}" if parts > 1 else "")
        super().__init__(
            f"keras/{backend} on {device}",
            batch_size=(batch_size or (GPU_BATCH if devices else CPU_BATCH)) * parts,
            # While a GPU runs one batch, the host prepares the next; a CPU has no idle cores.
            depth=2 if devices else 1,
        )
        self._model, self._run = COMPILERS[backend](spec, devices)

    def outputs(self) -> OutputSpecs:
        """Shape for one image and dtype of each feature."""
        return {
            name: (tuple(one.shape[1:]), str(one.dtype)) for name, one in self._model.output.items()
        }

    @keras_settings()
    def compute(self, images: NDArray[np.uint8]) -> Features:
        """Features of up to `batch_size` images, uint8 (N, H, W)."""
        features = self._run(pad_batch(images, self.batch_size))
        return {name: array[: len(images)] for name, array in features.items()}


def _compile_tensorflow(spec: GraphSpec, devices: Sequence[Any]) -> Compiled:
    import tensorflow as tf

    if len(devices) > 1:
        return _compile_mirrored(spec, devices)
    model = build_graph(spec)
    function = tf.function(lambda images: model(images, training=False))

    def run(images: NDArray[np.uint8]) -> Features:
        return {name: one.numpy() for name, one in function(tf.constant(images)).items()}

    return model, run


def _compile_mirrored(spec: GraphSpec, devices: Sequence[Any]) -> Compiled:
    """On several of TensorFlow's devices, each with a copy of the weights."""
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(list(devices))
    with strategy.scope():
        model = build_graph(spec)

    @tf.function  # type: ignore[untyped-decorator]
    def run_replicas(parts: Any) -> Any:
        return strategy.run(lambda images: model(images, training=False), args=(parts,))

    def run(images: NDArray[np.uint8]) -> Features:
        parts = np.split(images, len(devices))
        features = run_replicas(
            strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(parts[context.replica_id_in_sync_group])
            )
        )
        return {
            name: np.concatenate([p.numpy() for p in strategy.experimental_local_results(one)])
            for name, one in features.items()
        }

    return model, run


def _compile_jax(spec: GraphSpec, devices: Sequence[Any]) -> Compiled:
    """One program over all devices: the batch is split, the weights are replicated."""
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    model = build_graph(spec)
    mesh = Mesh(np.array(devices or jax.devices()[:1]), ("batch",))
    split = NamedSharding(mesh, PartitionSpec("batch"))
    replicated = NamedSharding(mesh, PartitionSpec())
    weights = [
        [jax.device_put(variable.value, replicated) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    function = jax.jit(
        lambda trainable, fixed, images: model.stateless_call(
            trainable, fixed, images, training=False
        )[0]
    )

    def run(images: NDArray[np.uint8]) -> Features:
        features = function(*weights, jax.device_put(images, split))
        return {name: np.asarray(one) for name, one in features.items()}

    return model, run


def _compile_torch(spec: GraphSpec, devices: Sequence[Any]) -> Compiled:
    import torch  # an extra: pip install ".[torch]"

    model = build_graph(spec)

    def run(images: NDArray[np.uint8]) -> Features:
        with torch.inference_mode():
            return {n: one.cpu().numpy() for n, one in model(images, training=False).items()}

    return model, run


COMPILERS = {"tensorflow": _compile_tensorflow, "jax": _compile_jax, "torch": _compile_torch}
