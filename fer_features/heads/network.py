"""The Keras side of heads: their networks, their batches, their training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.heads.choice import Part
from fer_features.keras_runtime import import_keras

Progress = Callable[[int, dict[str, float]], None]
"""Called after each epoch with its number, from 1, and what it adds to `history_`."""

CURVES = {
    "loss": "cross_entropy",
    "accuracy": "accuracy",
    "val_loss": "val_cross_entropy",
    "val_accuracy": "val_accuracy",
}
"""The names in `DenseHead.history_`, and what Keras calls the same: its "loss" has the penalty."""

STEPS_TOGETHER = 8
"""Training steps that are compiled into one: a quarter less time, the same numbers."""

PREDICTED = 256
"""Rows put through the network at once where nothing is learnt from them."""

Moments = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Each channel's mean and variance, float64 (C,)."""


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
) -> Any:
    """Return the dense head's network, a Keras model that is not compiled, with random weights.

    It takes float16 or float32 maps (N, h, w, C) and gives float32 (N, 1), the second class's
    probability, or (N, K) for K > 2 classes. The arguments are `DenseHead`'s.
    """
    keras: Any = import_keras()
    layers, penalty = keras.layers, keras.regularizers.L2(l2) if l2 else None
    # Seeds of its own for each layer, so that no global random state is read or written.
    seeds = iter(np.random.default_rng(seed).integers(2**31, size=len(units) + 3).tolist())

    def drawn() -> Any:
        return keras.initializers.GlorotUniform(seed=next(seeds))

    stack = [keras.Input(map_shape, dtype="float32", name="maps")]
    if moments is not None:
        mean, variance = moments
        stack.append(layers.Normalization(mean=mean, variance=variance, name="standardize"))
    stack += [
        layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            kernel_initializer=drawn(),
            name="convolution",
        ),
        layers.MaxPooling2D(2, padding="same", name="pool"),  # same: maps may be smaller than 2×2
        layers.Flatten(name="flatten"),
    ]
    stack += [
        layers.Dense(
            width,
            activation="relu",
            kernel_initializer=drawn(),
            kernel_regularizer=penalty,
            name=f"dense_{place}",
        )
        for place, width in enumerate(units, start=1)
    ]
    if dropout:
        stack.append(layers.Dropout(dropout, seed=next(seeds), name="dropout"))
    stack.append(
        layers.Dense(
            1 if n_classes == 2 else n_classes,
            activation="sigmoid" if n_classes == 2 else "softmax",
            kernel_initializer=drawn(),
            name="probability",
        )
    )
    return keras.Sequential(stack, name="dense_head")


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
    layers, penalty = keras.layers, keras.regularizers.L2(l2) if l2 else None
    seeds = iter(np.random.default_rng(seed).integers(2**31, size=2 * len(units) + 1).tolist())
    stack = [keras.Input((n_features,), dtype="float32", name="features")]
    if moments is not None:
        mean, variance = moments
        stack.append(layers.Normalization(mean=mean, variance=variance, name="standardize"))
    for place, width in enumerate(units, start=1):
        drawn = keras.initializers.GlorotUniform(seed=next(seeds))
        stack.append(
            layers.Dense(
                width,
                activation="relu",
                kernel_initializer=drawn,
                kernel_regularizer=penalty,
                name=f"dense_{place}",
            )
        )
        if dropout:
            stack.append(layers.Dropout(dropout, seed=next(seeds), name=f"dropout_{place}"))
    stack.append(
        layers.Dense(
            1 if n_classes == 2 else n_classes,
            activation="sigmoid" if n_classes == 2 else "softmax",
            kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
            name="probability",
        )
    )
    return keras.Sequential(stack, name="mlp_head")


def train(
    model: Any,
    training: Part,
    held: Part,
    *,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    patience: int,
    seed: int,
    progress: Progress | None = None,
    targets: NDArray[np.float32] | None = None,
) -> dict[str, list[float]]:
    """Train a `network` until the cross-entropy on the rows held out stops falling.

    `model` is left with the weights of its best epoch. Arguments and result are `DenseHead`'s;
    `targets` (N, K) are class probabilities of all rows of the training part's `X`.
    """
    keras: Any = import_keras()
    binary = model.output_shape[-1] == 1
    one_hot = not binary and targets is not None
    kind = "Binary" if binary else "Categorical" if one_hot else "SparseCategorical"
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=getattr(keras.losses, f"{kind}Crossentropy")(),
        metrics=[
            _agreement if binary else "accuracy",
            getattr(keras.metrics, f"{kind}Crossentropy")(name="cross_entropy"),
        ],
        # XLA takes 15 s to compile this for a CPU and gains nothing; without it JAX crawls.
        steps_per_execution=STEPS_TOGETHER,
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    history: dict[str, list[float]] = {name: [] for name in CURVES}

    def on_epoch_end(epoch: int, logs: dict[str, float]) -> None:
        values = {name: float(logs[key]) for name, key in CURVES.items()}
        for name, value in values.items():
            history[name].append(value)
        if progress is not None:
            progress(epoch + 1, values)

    model.fit(
        _batches(training, _said(training, targets, one_hot), size=batch_size, shuffle=seed),
        validation_data=_batches(held, _said(held, None, one_hot), size=PREDICTED),
        epochs=epochs,
        shuffle=False,  # Keras would draw the batches' order from NumPy's global state
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping(
                "val_cross_entropy", patience=patience, restore_best_weights=True
            ),
            keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end),
        ],
    )
    return history


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


def _agreement(true: Any, said: Any) -> Any:
    """Whether the likelier of two classes is the true one; the truth may be a share of votes."""
    ops = import_keras().ops
    return ops.mean(
        ops.cast((ops.cast(true, "float32") >= 0.5) == (said >= 0.5), "float32"), axis=-1
    )


_agreement.__name__ = "accuracy"


def _said(part: Part, targets: NDArray[np.float32] | None, one_hot: bool) -> NDArray[Any]:
    """What a network is told of each row of a part: its code, or each class's probability."""
    if targets is None:
        if one_hot:
            return np.eye(int(part.codes.max()) + 1, dtype=np.float32)[part.codes]
        return part.codes[:, None].astype(np.int32)
    return targets[part.rows] if one_hot else targets[part.rows, 1:]


def _batches(part: Part, said: NDArray[Any], *, size: int, shuffle: int | None = None) -> Any:
    """Return a Keras data set of batches of `part`, in a new order each epoch if `shuffle`d.

    Given whole arrays instead, Keras would first copy all maps to float32.
    """
    keras: Any = import_keras()

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # keras is known only when run
        def __init__(self) -> None:
            super().__init__()
            self.order = np.arange(len(part.rows))
            self.random = np.random.default_rng(shuffle)
            self.on_epoch_end()

        def __len__(self) -> int:
            return -(-len(self.order) // size)

        def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
            chosen = self.order[index * size : (index + 1) * size]
            return part.X[part.rows[chosen]], said[chosen]

        def on_epoch_end(self) -> None:
            if shuffle is not None:
                self.random.shuffle(self.order)

    return Batches()
