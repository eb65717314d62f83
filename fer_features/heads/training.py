"""Training of the heads that are Keras networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.heads.choice import Part
from fer_features.heads.network import CURVES, PREDICTED, Progress
from fer_features.runtime.keras_runtime import import_keras

STEPS = 8
"""Training steps compiled together, where the backend can: fewer returns to Python."""


def train(
    model: Any,
    training: Part,
    held: Part,
    *,
    targets: NDArray[np.float32],
    learning_rate: float,
    batch_size: int,
    epochs: int,
    patience: int,
    seed: int,
    on_epoch: Progress | None = None,
) -> dict[str, list[float]]:
    """Train a `network` until the cross-entropy on the rows held out stops falling.

    `model` is left with the weights of its best epoch. `targets`, float32 (rows, K), are what is
    learnt in place of the training rows' codes. The other arguments and the result are
    `KerasHead`'s.
    """
    keras: Any = import_keras()
    loss, cross_entropy, hits = _measures(keras, n_outputs=model.output_shape[-1])
    backend = keras.backend.backend()
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=loss,
        metrics=[
            keras.metrics.MeanMetricWrapper(hits, name="hits"),
            keras.metrics.MeanMetricWrapper(cross_entropy, name="cross_entropy"),
        ],
        # XLA takes seconds to compile this for a CPU and gains nothing; without it JAX crawls.
        jit_compile="auto" if backend == "jax" else False,
        steps_per_execution=1 if backend == "torch" else STEPS,
    )
    history: dict[str, list[float]] = {name: [] for name in CURVES}

    def on_epoch_end(epoch: int, logs: dict[str, float]) -> None:
        values = {name: float(logs[key]) for name, key in CURVES.items()}
        for name, value in values.items():
            history[name].append(value)
        if on_epoch is not None:
            on_epoch(epoch + 1, values)

    one_hot = np.eye(targets.shape[1], dtype=np.float32)[held.codes]
    model.fit(
        _batches(training, targets, size=batch_size, shuffle=seed),
        validation_data=_batches(held, one_hot, size=PREDICTED),
        epochs=epochs,
        shuffle=False,  # Keras would draw the batches' order from NumPy's global state
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping(
                "val_cross_entropy", mode="min", patience=patience, restore_best_weights=True
            ),
            keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end),
        ],
    )
    return history


def _measures(keras: Any, *, n_outputs: int) -> tuple[Any, Any, Any]:
    """Return functions of (true, predicted) batches, each giving a value for each row.

    `true` is what `_batches` gives: a row's code, then the probabilities to learn. The first
    function is the cross-entropy from those, the second from the code; the third says whether
    the most probable class is the code's.
    """
    ops, losses = keras.ops, keras.losses
    if n_outputs == 1:
        return (
            lambda true, p: losses.binary_crossentropy(true[:, 2:], p),
            lambda true, p: losses.binary_crossentropy(true[:, :1], p),
            lambda true, p: ops.cast(ops.equal(p[:, 0] > 0.5, true[:, 0] > 0.5), "float32"),
        )
    return (
        lambda true, p: losses.categorical_crossentropy(true[:, 1:], p),
        lambda true, p: losses.sparse_categorical_crossentropy(true[:, 0], p),
        lambda true, p: ops.cast(
            ops.equal(ops.argmax(p, axis=-1), ops.cast(true[:, 0], "int32")), "float32"
        ),
    )


def _batches(
    part: Part, targets: NDArray[np.float32], *, size: int, shuffle: int | None = None
) -> Any:
    """Return a Keras data set of batches of `part`, in a new order each epoch if `shuffle`d.

    A batch is features and, for each row, its code and then its `targets`, float32 (n, 1 + K).
    Given whole arrays instead, Keras would first copy all maps to float32.
    """
    keras: Any = import_keras()
    true = np.hstack([part.codes[:, None].astype(np.float32), targets])

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # keras is known only when run
        def __init__(self) -> None:
            super().__init__()
            self.order = np.arange(len(part.rows))
            self.random = np.random.default_rng(shuffle)
            self.on_epoch_end()

        def __len__(self) -> int:
            return -(-len(self.order) // size)

        def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
            chosen = self.order[index * size : (index + 1) * size]
            return part.X[part.rows[chosen]], true[chosen]

        def on_epoch_end(self) -> None:
            if shuffle is not None:
                self.random.shuffle(self.order)

    return Batches()
