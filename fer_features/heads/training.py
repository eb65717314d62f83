"""Batches, losses, prediction and channel moments of the Keras heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_features.heads.checks import Array
from fer_features.heads.choice import Part
from fer_features.runtime.keras_runtime import import_keras

INFERENCE_BATCH = 256
"""Rows of a batch in validation and prediction."""

Moments = tuple[Array, Array]
"""Each channel's mean and variance, float64 (C,)."""


def predict_in_batches(model: Any, features: Array) -> Array:
    """A network's outputs for features (N, …, C), N at least 1."""
    to_numpy = import_keras().ops.convert_to_numpy
    return np.concatenate(
        [
            to_numpy(model(features[start : start + INFERENCE_BATCH], training=False))
            for start in range(0, len(features), INFERENCE_BATCH)
        ]
    )


def channel_moments(part: Part) -> Moments:
    """Each channel's mean and variance, float64 (C,), over rows and positions of maps.

    Chunks of rows are summed in float64 and merged (Chan, Golub and LeVeque, 1983), so that
    float16 maps need no copy. A constant channel's variance is 1, to be divided by.
    """
    channels = part.X.shape[-1]
    count, mean, squares = 0, np.zeros(channels), np.zeros(channels)
    for start in range(0, len(part.rows), INFERENCE_BATCH):
        block = part.X[part.rows[start : start + INFERENCE_BATCH]].astype(np.float64)
        block = block.reshape(-1, channels)
        block_mean = block.mean(axis=0)
        difference = block_mean - mean
        total = count + len(block)
        squares += ((block - block_mean) ** 2).sum(axis=0) + difference**2 * count * len(
            block
        ) / total
        mean += difference * len(block) / total
        count = total
    variance = squares / count
    # Exactly 0 if constant: a chunk's sum of float16 or float32 values is exact in float64.
    return mean, np.where(variance > 0, variance, 1.0)


def loss_and_metrics(keras: Any, *, n_outputs: int) -> tuple[Any, Any, Any]:
    """Functions of (true, predicted) batches, each with a value for each row.

    `true` is as in `batches`: a row's code, then its target probabilities. The first function is
    the cross-entropy with the targets, the second that with the code; the third is 1 where the
    most probable class is the code's.
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


def batches(part: Part, targets: Array, *, size: int, shuffle: int | None = None) -> Any:
    """A Keras data set of batches of `part`, in a new order each epoch if `shuffle` is a seed.

    A batch is features and, for each row, its code and then its `targets`, float32 (n, 1 + K).
    Given whole arrays instead, Keras would first copy all maps to float32.
    """
    keras: Any = import_keras()
    true = np.hstack([part.codes[:, None].astype(np.float32), targets])

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # imported lazily
        def __init__(self) -> None:
            super().__init__()
            self.order = np.arange(len(part.rows))
            self.random = np.random.default_rng(shuffle)
            self.on_epoch_end()

        def __len__(self) -> int:
            return -(-len(self.order) // size)

        def __getitem__(self, index: int) -> tuple[Array, Array]:
            chosen = self.order[index * size : (index + 1) * size]
            return part.X[part.rows[chosen]], true[chosen]

        def on_epoch_end(self) -> None:
            if shuffle is not None:
                self.random.shuffle(self.order)

    return Batches()
