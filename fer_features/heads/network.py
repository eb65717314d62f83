"""The Keras side of the heads that are networks: layers, batches, training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_features.heads.choice import HeadError, Part
from fer_features.heads.convolution import convolution
from fer_features.runtime.keras_runtime import import_keras

Progress = Callable[[int, dict[str, float]], None]
"""Called after each epoch with its number, from 1, and what it adds to `history_`."""

CURVES = {
    "loss": "cross_entropy",
    "accuracy": "hits",
    "val_loss": "val_cross_entropy",
    "val_accuracy": "val_hits",
}
"""The names in a head's `history_`, and what Keras calls the same: its "loss" has the penalty."""

PREDICTED = 256
"""Rows put through the network at once where nothing is learnt from them."""

Moments = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Each channel's mean and variance, float64 (C,)."""

TOLERANCE = 1e-3
"""How far from 1 the sum of a row's targets may be."""


def network(
    *,
    map_shape: tuple[int, ...],
    n_classes: int,
    moments: Moments | None,
    filters: int,
    units: Sequence[int],
    l2: float,
    dropout: float,
    seed: int,
    learning: bool = False,
) -> Any:
    """Return the dense head's network, a Keras model that is not compiled, with random weights.

    It takes float16 or float32 maps (N, h, w, C) and gives float32 (N, 1), the second class's
    probability, or (N, K) for K > 2 classes. With `learning`, its convolution learns in bfloat16
    where the hardware does; the weights are the same either way. The other arguments are
    `DenseHead`'s.
    """
    keras: Any = import_keras()
    layers = keras.layers
    drawn = _initializers(seed)
    stack = [
        *_standardized(keras.Input(map_shape, dtype="float32", name="maps"), moments),
        convolution(
            learning=learning,
            filters=filters,
            activation="relu",
            kernel_initializer=next(drawn),
            name="convolution",
        ),
        layers.MaxPooling2D(2, padding="same", name="pool"),  # same: maps may be smaller than 2×2
        layers.Flatten(name="flatten"),
        *(_hidden(width, place, l2, next(drawn)) for place, width in enumerate(units, start=1)),
    ]
    if dropout:
        stack.append(layers.Dropout(dropout, seed=seed, name="dropout"))
    return keras.Sequential([*stack, _probability(n_classes, next(drawn))], name="dense_head")


def perceptron(
    *,
    n_features: int,
    n_classes: int,
    moments: Moments | None,
    units: Sequence[int],
    l2: float,
    dropout: float,
    seed: int,
) -> Any:
    """Return the mlp head's network, as `network` returns the dense head's.

    It takes float32 features (N, C). The arguments are `MlpHead`'s.
    """
    keras: Any = import_keras()
    drawn = _initializers(seed)
    stack = _standardized(keras.Input((n_features,), dtype="float32", name="features"), moments)
    for place, width in enumerate(units, start=1):
        stack.append(_hidden(width, place, l2, next(drawn)))
        if dropout:
            name = f"dropout_{place}"
            stack.append(keras.layers.Dropout(dropout, seed=seed + place, name=name))
    return keras.Sequential([*stack, _probability(n_classes, next(drawn))], name="mlp_head")


def training_targets(part: Part, targets: ArrayLike | None, *, K: int) -> NDArray[np.float32]:
    """Return what a network is trained on for the rows of `part`: float32 (len(part.rows), K).

    Args:
        part: the rows.
        targets: float (N, K), the classes' probabilities for each row of `part.X`, or None for 1
            for the class that each row is labelled with.
        K: number of classes.

    Raises:
        HeadError: `targets` are not probabilities of `K` classes for each row.
    """
    if targets is None:
        return np.eye(K, dtype=np.float32)[part.codes]
    given = np.asarray(targets, dtype=np.float64)
    hint = "give each row's probabilities of the classes, in the ascending order of the labels"
    n_rows = len(part.X)
    if given.shape != (n_rows, K):
        raise HeadError(
            f"targets are {given.shape}, where {n_rows} rows of {K} classes make ({n_rows}, {K})",
            hint=hint,
        )
    bad = ~((given >= 0).all(axis=1) & (abs(given.sum(axis=1) - 1) <= TOLERANCE))
    if bad.any():
        row = int(bad.argmax())
        raise HeadError(
            f"targets are no probabilities in row {row}: {given[row].tolist()}, sum "
            f"{given[row].sum():g}",
            hint=hint,
        )
    chosen: NDArray[np.float32] = given[part.rows].astype(np.float32)
    return chosen


def outputs(model: Any, maps: NDArray[Any]) -> NDArray[np.float32]:
    """Return what a `network` says of maps (N, h, w, C), N at least 1, a batch at a time."""
    to_numpy = import_keras().ops.convert_to_numpy
    return np.concatenate(
        [
            to_numpy(model(maps[start : start + PREDICTED], training=False))
            for start in range(0, len(maps), PREDICTED)
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


def _initializers(seed: int) -> Iterator[Any]:
    """Yield Glorot initialisers, each of a seed of its own: no global random state is touched."""
    keras: Any = import_keras()
    random = np.random.default_rng(seed)
    while True:
        yield keras.initializers.GlorotUniform(seed=int(random.integers(2**31)))


def _standardized(inputs: Any, moments: Moments | None) -> list[Any]:
    """Return the first layers: the input and, of `moments`, what makes them 0 and 1."""
    if moments is None:
        return [inputs]
    mean, variance = moments
    layers = import_keras().layers
    return [inputs, layers.Normalization(mean=mean, variance=variance, name="standardize")]


def _hidden(width: int, place: int, l2: float, initializer: Any) -> Any:
    keras: Any = import_keras()
    return keras.layers.Dense(
        width,
        activation="relu",
        kernel_initializer=initializer,
        kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
        name=f"dense_{place}",
    )


def _probability(n_classes: int, initializer: Any) -> Any:
    return import_keras().layers.Dense(
        1 if n_classes == 2 else n_classes,
        activation="sigmoid" if n_classes == 2 else "softmax",
        kernel_initializer=initializer,
        name="probability",
    )
