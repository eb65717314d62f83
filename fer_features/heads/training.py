"""What training and running a head's Keras network takes: batches, measures, moments."""

from __future__ import annotations

from typing import Any

import numpy as np

from fer_features.heads.checks import Array
from fer_features.heads.choice import Part
from fer_features.runtime.keras_runtime import import_keras

PREDICTED = 256
"""Rows put through the network at once where nothing is learnt from them."""

Moments = tuple[Array, Array]
"""Each channel's mean and variance, float64 (C,)."""


def outputs(model: Any, features: Array) -> Array:
    """Return a network's outputs for features (N, …, C), N at least 1, a batch at a time."""
    to_numpy = import_keras().ops.convert_to_numpy
    return np.concatenate(
        [
            to_numpy(model(features[start : start + PREDICTED], training=False))
            for start in range(0, len(features), PREDICTED)
        ]
    )


def channel_moments(part: Part) -> Moments:
    """Return each channel's mean and variance, float64 (C,), over the rows and places of maps.

    Chunks of rows are summed in float64 and merged (Chan, Golub and LeVeque, 1983), so that
    float16 maps need no copy. A constant channel's variance is given as 1, to divide by.
    """
    channels = part.X.shape[-1]
    count, mean, squares = 0, np.zeros(channels), np.zeros(channels)
    for start in range(0, len(part.rows), PREDICTED):
        block = part.X[part.rows[start : start + PREDICTED]].astype(np.float64)
        block = block.reshape(-1, channels)
        block_mean = block.mean(axis=0)
        apart = block_mean - mean
        total = count + len(block)
        squares += ((block - block_mean) ** 2).sum(axis=0) + apart**2 * count * len(block) / total
        mean += apart * len(block) / total
        count = total
    variance = squares / count
    # Exactly 0 where constant: a chunk's sum of float16 or float32 values is exact in float64.
    return mean, np.where(variance > 0, variance, 1.0)


def measures(keras: Any, *, n_outputs: int) -> tuple[Any, Any, Any]:
    """Return functions of (true, predicted) batches, each giving a value for each row.

    `true` is what `batches` gives: a row's code, then the probabilities to learn. The first
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


def batches(part: Part, targets: Array, *, size: int, shuffle: int | None = None) -> Any:
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

        def __getitem__(self, index: int) -> tuple[Array, Array]:
            chosen = self.order[index * size : (index + 1) * size]
            return part.X[part.rows[chosen]], true[chosen]

        def on_epoch_end(self) -> None:
            if shuffle is not None:
                self.random.shuffle(self.order)

    return Batches()
