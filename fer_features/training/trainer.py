"""The network in training: augmentation before it, a classifier behind it, and the optimiser."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import fetch_weights, load_weights
from fer_features.backbones.weights_file import WeightsFile
from fer_features.config import TrainConfig
from fer_features.data import IMAGE_SIZE
from fer_features.engines.graph import network_input
from fer_features.runtime.keras_runtime import import_keras, keras_settings, suppressed_native_logs
from fer_features.training.augment import BLEND, DRAWS, IMAGES, MIRROR, blend
from fer_features.training.network import compiled_call, freeze_before, rate_shares, tail_of
from fer_features.training.optimizer import make_optimizer
from fer_features.training.recipe import (
    augmentation_of,
    backbone_of,
    is_cache,
    starting_weights,
)
from fer_features.training.teachers import answers

STATISTICS_BATCHES = 40
"""Batches for new statistics; with a moving average of 0.9 the last 20 count."""


@dataclass(frozen=True)
class Trainer:
    """A network, its classifier and its optimiser.

    Attributes:
        network: the backbone.
        top: the classifier, a dense layer on the backbone's pooled last layer.
        student: uint8 images (N, 48, 48) or float16 maps, and draws (N, `DRAWS`), to logits
            (N, outputs).
        model: the same, with the teachers' mean probabilities (N, classes) behind the logits if
            there are teachers; compiled, with the optimiser.
        moves: whether batch normalisation's statistics move.
    """

    network: Any
    top: Any
    student: Any
    model: Any
    moves: bool = True

    @cached_property
    def _forward(self) -> Any:
        return compiled_call(self.student)

    @cached_property
    def _forward_training(self) -> Any:
        return compiled_call(self.student, training=True)

    @property
    def unchanged(self) -> set[int]:
        """The `id` of each of the network's weights that the training does not change."""
        trained = {id(one) for one in self.student.trainable_variables}
        if self.moves:
            layers = (layer for layer in self.network.layers if layer.trainable)
            trained |= {id(one) for layer in layers for one in layer.weights}
        return {id(one) for one in self.network.weights} - trained

    @property
    def variables(self) -> list[Any]:
        """The variables of a checkpoint, in a fixed order."""
        return [*self.student.variables, *self.model.optimizer.variables]

    @property
    def values(self) -> list[NDArray[Any]]:
        """The values of the student's variables, copied."""
        to_numpy = import_keras().ops.convert_to_numpy
        return [to_numpy(one.value).copy() for one in self.student.variables]

    def assign(self, values: Sequence[NDArray[Any]]) -> None:
        """Give the student's variables these values."""
        for one, value in zip(self.student.variables, values, strict=True):
            one.assign(value)

    def logits(self, inputs: NDArray[np.uint8 | np.float16]) -> Any:
        """Logits (N, outputs) of images or maps without augmentation."""
        draws = np.zeros((len(inputs), DRAWS), np.float32)  # unused
        return self._forward([inputs, draws])

    @contextmanager
    def averaged(self, data: Any) -> Iterator[None]:
        """In the block, use the moving averages of the weights.

        The batch normalisations' statistics, which belong to the current weights, are computed
        anew: without that, averages of weights that still move are worth little (Izmailov and
        others, *Averaging Weights Leads to Wider Optima and Better Generalization*, 2018,
        https://arxiv.org/abs/1803.05407).

        Args:
            data: `batches`, of which the first are used for the statistics.
        """
        before = self.values
        self.model.optimizer.put_averages(self.model.trainable_variables)
        for number in range(min(len(data), STATISTICS_BATCHES) if self.moves else 0):
            self._forward_training(list(data[number][0]))
        try:
            yield
        finally:
            self.assign(before)


@keras_settings()
def make_trainer(
    config: TrainConfig,
    *,
    outputs: int,
    classes: int,
    steps: int,
    precision: str,
    teachers: Sequence[WeightsFile] = (),
) -> Trainer:
    """Build and compile.

    Args:
        config: the settled configuration.
        outputs: logits: those of the classes, then those of the votes, if there are any.
        classes: number of classes.
        steps: number of steps of the training.
        precision: ``float32`` or ``bfloat16``; variables are float32 either way.
        teachers: they are asked about each image as it has been augmented.

    Raises:
        FerError: the weights to start from cannot be loaded, or there is no such layer.
    """
    keras: Any = import_keras()
    with suppressed_native_logs(), suppress(ImportError):
        importlib.import_module("tensorflow")  # as Keras's `fit` does, on every backend
    backbone, weights = backbone_of(config), starting_weights(config)
    moves = weights is None or config.move_statistics
    path = fetch_weights(weights, backbone) if weights else None
    with _seeded(config.seed):
        with keras_settings(precision):
            network = backbone.build(config.size or 0)
        top = keras.layers.Dense(outputs, dtype="float32", name="top")
        dropout = keras.layers.Dropout(config.dropout or 0, dtype="float32", seed=config.seed)
    if weights is not None:
        load_weights(network, weights, backbone, path)
        network.trainable = True
    inputs, front, last = _body(config, network, moves)
    pooled = keras.ops.mean(keras.ops.cast(last, "float32"), axis=(1, 2))
    logits = top(dropout(pooled) if config.dropout else pooled)
    student = model = keras.Model(inputs, logits)
    if teachers:
        answer = answers(teachers, front, precision=precision)
        model = keras.Model(inputs, keras.ops.concatenate([logits, answer], axis=1))
    trained = model.trainable_variables
    shares = rate_shares(network, trained, decay=config.layer_decay or 0)
    optimizer = make_optimizer(config, steps=steps, shares=shares)
    optimizer.build(trained)  # a checkpoint needs its variables to be there
    model.compile(
        optimizer=optimizer,
        loss=_loss(config, classes, outputs),
        metrics=[keras.metrics.MeanMetricWrapper(_accuracy(classes), name="accuracy")],
        # XLA does not use the CPU's bfloat16 instructions; JAX is very slow without it.
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    return Trainer(network, top, student, model, moves)


def _body(config: TrainConfig, network: Any, moves: bool) -> tuple[list[Any], Any, Any]:
    """Inputs (images or maps, and draws), what augmentation makes of them, and the last maps."""
    keras: Any = import_keras()
    backbone = backbone_of(config)
    on_maps = is_cache(config.data)
    tail = tail_of(backbone, network, config.tail_from) if config.tail_from else network
    freeze_before(network, tail)
    augmentation = augmentation_of(config)

    class Front(keras.layers.Layer):  # type: ignore[misc]  # keras has no types here
        def call(self, inputs: Any, draws: Any, training: bool = False) -> Any:
            x = keras.ops.cast(inputs, "float32")
            x = x if on_maps else keras.ops.expand_dims(x, -1)
            if not training:
                return x
            x = augmentation(x, draws)
            share = keras.ops.reshape(draws[:, BLEND], (-1, 1, 1, 1))
            return blend(x, keras.ops.flip(x, axis=0), share) if config.mixup else x

        def compute_output_spec(self, inputs: Any, draws: Any, training: bool = False) -> Any:
            channel = () if on_maps else (1,)
            return keras.KerasTensor((None, *shape, *channel), "float32")

    body = tail if on_maps else network
    shape = body.input.shape[1:] if on_maps else (IMAGE_SIZE, IMAGE_SIZE)
    inputs = keras.Input(shape, dtype="float16" if on_maps else "uint8", name="images")
    draws = keras.Input((DRAWS,), dtype="float32", name="draws")
    front = Front(name="front")(inputs, draws)
    x = front if on_maps else network_input(backbone, front, int(config.size or 0))
    # with fixed statistics, batch normalisation's scale and offset are still trained
    return [inputs, draws], front, body(x) if moves else body(x, training=False)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """In the block, Keras's initialisers draw from this seed; Python's own state is restored."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def _loss(config: TrainConfig, classes: int, outputs: int) -> Any:
    """Of targets (N, outputs), and of the model's logits and its teachers' answers behind them."""
    keras: Any = import_keras()
    cross_entropy = partial(keras.losses.categorical_crossentropy, from_logits=True)
    share = config.teacher_weight

    def loss(true: Any, found: Any) -> Any:
        wanted = true[:, :classes]
        if found.shape[-1] > outputs:
            weight = keras.ops.sum(wanted, axis=1, keepdims=True)  # 1 unless classes are balanced
            wanted = (1 - share) * wanted + share * weight * found[:, outputs:]
        total = cross_entropy(wanted, found[:, :classes])
        if outputs > classes:
            votes = cross_entropy(true[:, classes:], found[:, classes:outputs])
            total = total + config.votes_weight * votes
        return total

    return loss


def _accuracy(classes: int) -> Any:
    metrics: Any = import_keras().metrics

    def accuracy(true: Any, logits: Any) -> Any:
        return metrics.categorical_accuracy(true[:, :classes], logits[:, :classes])

    return accuracy


def batches(
    inputs: Sequence[NDArray[np.uint8 | np.float16]],
    rows: NDArray[np.int64],
    targets: NDArray[np.float32],
    *,
    size: int,
    seed: int,
    epoch: int,
    mixup: float = 0.0,
) -> Any:
    """One epoch's batches as a Keras data set of ((inputs, draws), targets).

    Order and draws depend on the seed, the epoch and the batch's number alone. Rows that fill no
    batch are left out; they differ from epoch to epoch.

    Args:
        inputs: images (N, 48, 48), or maps of both views, of which a draw takes one.
        rows: indices (n,) of the rows to learn from.
        targets: theirs (n, outputs).
        size: rows in a batch.
        seed: of the training.
        epoch: its number, from 0.
        mixup: the parameter of the Beta distribution of each image's share, where images are
            blended with the batch in reverse order; 0 for none.
    """
    keras: Any = import_keras()
    order = np.random.default_rng([seed, epoch]).permutation(len(rows))

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(order) // size

        def __getitem__(self, index: int) -> Any:
            chosen = order[index * size : (index + 1) * size]
            rng = np.random.default_rng([seed, epoch, index])
            draws = np.ones((len(chosen), DRAWS), np.float32)
            draws[:, :BLEND] = rng.random((len(chosen), BLEND), dtype=np.float32)
            batch = inputs[0][rows[chosen]]
            if len(inputs) > 1:
                mirrored = draws[:, MIRROR] < IMAGES.mirror
                batch[mirrored] = inputs[1][rows[chosen[mirrored]]]
            wanted = targets[chosen]
            if mixup:
                draws[:, BLEND] = rng.beta(mixup, mixup, len(chosen))
                wanted = blend(wanted, wanted[::-1], draws[:, BLEND:])
            return (batch, draws), wanted

    return Batches()
