"""Run a frozen backbone with Keras, on whichever backend Keras has been given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.engines.engine import Features, GraphSpec, OutputSpecs, fill_up
from fer_features.engines.graph import build_graph, output_specs
from fer_features.runtime.hardware import keras_devices
from fer_features.runtime.keras_runtime import backend_name, keras_settings

Devices = Sequence[Any]
Run = Callable[[NDArray[np.uint8]], Features]

CPU_BATCH = 32
GPU_BATCH = 256


class KerasEngine:
    """One compiled graph, on the CPU or on all local GPUs at once.

    With several GPUs a batch is cut into equal parts, one for each (TensorFlow and JAX; PyTorch
    uses the first).

    Args:
        spec: what is to be computed.
        batch_size: images that go through each device at once; None for 32 on a CPU and 256 on a
            GPU.

    Raises:
        FerError: the weights cannot be had.
    """

    def __init__(self, spec: GraphSpec, *, batch_size: int | None = None) -> None:
        backend = backend_name()
        devices = keras_devices()
        kind = "GPU" if devices else "CPU"
        usual = GPU_BATCH if devices else CPU_BATCH
        parts = max(len(devices), 1) if backend != "torch" else 1
        self.batch_size = (batch_size or usual) * parts
        self.name = f"keras/{backend} on {kind}" + (f" × {parts}" if parts > 1 else "")
        # While a GPU runs one batch, the host prepares the next; a CPU has nothing to spare.
        self.depth = 2 if devices else 1
        self._outputs, self._run = _COMPILERS[backend](spec, devices)
        self._threads = ThreadPoolExecutor(self.depth, thread_name_prefix="keras")

    def outputs(self) -> OutputSpecs:
        """Shape for one image and dtype of each feature."""
        return self._outputs

    def submit(self, images: NDArray[np.uint8]) -> Future[Features]:
        """Start on up to `batch_size` images, uint8 (N, H, W)."""
        return self._threads.submit(self._padded, images)

    @keras_settings()
    def _padded(self, images: NDArray[np.uint8]) -> Features:
        features = self._run(fill_up(images, self.batch_size))
        return {name: array[: len(images)] for name, array in features.items()}

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(cancel_futures=True)


def _compile_tensorflow(spec: GraphSpec, devices: Devices) -> tuple[OutputSpecs, Run]:
    import tensorflow as tf

    if len(devices) > 1:
        return _compile_mirrored(spec, devices)
    model = build_graph(spec)
    function = tf.function(lambda images: model(images, training=False))

    def run(images: NDArray[np.uint8]) -> Features:
        return {name: one.numpy() for name, one in function(tf.constant(images)).items()}

    return output_specs(model), run


def _compile_mirrored(spec: GraphSpec, devices: Devices) -> tuple[OutputSpecs, Run]:
    """The same on several devices of TensorFlow's, each with a copy of the weights."""
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(list(devices))
    with strategy.scope():
        model = build_graph(spec)

    @tf.function  # type: ignore[untyped-decorator]
    def everywhere(parts: Any) -> Any:
        return strategy.run(lambda images: model(images, training=False), args=(parts,))

    def run(images: NDArray[np.uint8]) -> Features:
        parts = np.split(images, len(devices))
        features = everywhere(
            strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(parts[context.replica_id_in_sync_group])
            )
        )
        return {
            name: np.concatenate([p.numpy() for p in strategy.experimental_local_results(one)])
            for name, one in features.items()
        }

    return output_specs(model), run


def _compile_jax(spec: GraphSpec, devices: Devices) -> tuple[OutputSpecs, Run]:
    """One program over all devices: the batch is cut among them, the weights lie on each."""
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    model = build_graph(spec)
    mesh = Mesh(np.array(devices or jax.devices()[:1]), ("batch",))
    cut, whole = NamedSharding(mesh, PartitionSpec("batch")), NamedSharding(mesh, PartitionSpec())
    trainable, fixed = (
        [jax.device_put(variable.value, whole) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )

    def features(trainable: Any, fixed: Any, images: Any) -> Any:
        return model.stateless_call(trainable, fixed, images, training=False)[0]

    function = jax.jit(features)

    def run(images: NDArray[np.uint8]) -> Features:
        found = function(trainable, fixed, jax.device_put(images, cut))
        return {name: np.asarray(one) for name, one in found.items()}

    return output_specs(model), run


def _compile_torch(spec: GraphSpec, devices: Devices) -> tuple[OutputSpecs, Run]:
    import torch  # an extra: pip install ".[torch]"

    model = build_graph(spec)

    def run(images: NDArray[np.uint8]) -> Features:
        with torch.inference_mode():
            features: Mapping[str, Any] = model(images, training=False)
            return {name: one.cpu().numpy() for name, one in features.items()}

    return output_specs(model), run


_COMPILERS: dict[str, Callable[[GraphSpec, Devices], tuple[OutputSpecs, Run]]] = {
    "tensorflow": _compile_tensorflow,
    "jax": _compile_jax,
    "torch": _compile_torch,
}
