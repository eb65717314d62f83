"""The network in training: augmentation before it, a classifier behind it, and the optimiser."""

from __future__ import annotations

import importlib
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import get_backbone
from fer_features.config import PretrainConfig
from fer_features.runtime.keras_runtime import import_keras, keras_settings, suppressed_native_logs
from fer_features.training.augment import DRAWS, Augmentation

STATISTICS_BATCHES = 40
"""Batches for new statistics; with a moving average of 0.9 the last 20 count."""

UNDECAYED = ("bias", "gamma", "beta")
"""Variables without weight decay."""


@dataclass(frozen=True)
class Trainer:
    """A network, its classifier and its optimiser.

    Attributes:
        network: the backbone.
        top: the classifier, a dense layer on the backbone's pooled last layer.
        model: uint8 images (N, S, S) and draws (N, `DRAWS`) to logits (N, outputs); compiled.
    """

    network: Any
    top: Any
    model: Any

    @property
    def variables(self) -> list[Any]:
        """The variables of a checkpoint, in a fixed order."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def logits(self, images: NDArray[np.uint8]) -> Any:
        """Logits (N, outputs) of images (N, S, S) without augmentation."""
        draws = np.zeros((len(images), DRAWS), np.float32)  # unused
        return self.model([images, draws], training=False)

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
        variables = self.model.variables
        to_numpy = import_keras().ops.convert_to_numpy
        before = [to_numpy(one.value).copy() for one in variables]
        self.model.optimizer.put_averages(self.model.trainable_variables)
        for number in range(min(len(data), STATISTICS_BATCHES)):
            self.model(list(data[number][0]), training=True)
        try:
            yield
        finally:
            for one, value in zip(variables, before, strict=True):
                one.assign(value)


@keras_settings()
def make_trainer(
    config: PretrainConfig, *, outputs: int, classes: int, steps: int, precision: str
) -> Trainer:
    """Build and compile.

    Args:
        config: the backbone and the optimiser's parameters.
        outputs: logits: those of the classes, then those of the votes, if there are any.
        classes: number of classes.
        steps: number of steps of the training.
        precision: ``float32`` or ``bfloat16``; variables are float32 either way.
    """
    keras: Any = import_keras()
    with suppressed_native_logs(), suppress(ImportError):
        importlib.import_module("tensorflow")  # as Keras's `fit` does, on every backend
    ops = keras.ops
    backbone = get_backbone(config.backbone)
    size = backbone.default_size
    with _seeded(config.seed):
        with keras_settings(precision):
            network = backbone.build(size)
        top = keras.layers.Dense(outputs, dtype="float32", name="top")
    augmentation = Augmentation()

    class Front(keras.layers.Layer):  # type: ignore[misc]  # keras has no types here
        def call(self, images: Any, draws: Any, training: bool = False) -> Any:
            x = ops.expand_dims(ops.cast(images, "float32"), -1)
            return backbone.preprocess(augmentation(x, draws) if training else x)

        def compute_output_spec(self, images: Any, draws: Any, training: bool = False) -> Any:
            return keras.KerasTensor((*images.shape, 1), "float32")

    images = keras.Input((size, size), dtype="uint8", name="images")
    draws = keras.Input((DRAWS,), dtype="float32", name="draws")
    last = network(Front(name="front")(images, draws))
    model = keras.Model([images, draws], top(ops.mean(ops.cast(last, "float32"), axis=(1, 2))))
    optimizer = _optimizer(config, steps=steps)
    optimizer.build(model.trainable_variables)  # a checkpoint needs its variables to be there
    loss, accuracy = _loss(classes, votes_weight=config.votes_weight), _accuracy(classes)
    model.compile(
        optimizer=optimizer,
        loss=loss,
        metrics=[keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")],
        # XLA does not use the CPU's bfloat16 instructions; JAX is very slow without it.
        jit_compile="auto" if keras.backend.backend() == "jax" else False,
    )
    return Trainer(network, top, model)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """In the block, Keras's initialisers draw from this seed; Python's own state is restored."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def _loss(classes: int, *, votes_weight: float) -> Any:
    cross_entropy = partial(import_keras().losses.categorical_crossentropy, from_logits=True)

    def loss(true: Any, logits: Any) -> Any:
        total = cross_entropy(true[:, :classes], logits[:, :classes])
        if logits.shape[-1] > classes:
            total = total + votes_weight * cross_entropy(true[:, classes:], logits[:, classes:])
        return total

    return loss


def _accuracy(classes: int) -> Any:
    metrics: Any = import_keras().metrics

    def accuracy(true: Any, logits: Any) -> Any:
        return metrics.categorical_accuracy(true[:, :classes], logits[:, :classes])

    return accuracy


def _optimizer(config: PretrainConfig, *, steps: int) -> Any:
    keras: Any = import_keras()

    class AveragedSGD(keras.optimizers.SGD):  # type: ignore[misc]  # keras has no types here
        """SGD that replaces the weights by their moving averages in `put_averages` only.

        Keras does that at the end of each `fit`, which here is one epoch: training would continue
        from the averages.
        """

        def finalize_variable_values(self, variables: Any) -> None:
            pass

        def put_averages(self, variables: Any) -> None:
            super().finalize_variable_values(variables)

    optimizer = AveragedSGD(
        one_cycle(peak=config.learning_rate, steps=steps, warm_up=config.warm_up),
        momentum=0.9,
        nesterov=True,
        weight_decay=config.weight_decay,
        use_ema=True,
        ema_momentum=config.average,
    )
    optimizer.exclude_from_weight_decay(var_names=list(UNDECAYED))
    return optimizer


def one_cycle(*, peak: float, steps: int, warm_up: float) -> Any:
    """A Keras learning-rate schedule: a linear rise, then a cosine to 0.

    Smith and Topin, 2019 (https://arxiv.org/abs/1708.07120).

    Args:
        peak: the highest rate.
        steps: number of steps of the training.
        warm_up: the part of it with a rising rate.
    """
    keras: Any = import_keras()
    ops = keras.ops

    class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> Any:
            part = (ops.cast(step, "float32") + 1.0) / steps
            up = part / warm_up
            down = 0.5 * (1 + ops.cos(math.pi * (part - warm_up) / (1 - warm_up)))
            return peak * ops.where(part < warm_up, up, down)

        def get_config(self) -> dict[str, Any]:
            return {}

    return OneCycle()


def batches(
    images: NDArray[np.uint8],
    targets: NDArray[np.float32],
    *,
    size: int,
    seed: int,
    epoch: int,
) -> Any:
    """One epoch's batches as a Keras data set of ((images, draws), targets).

    Order and draws depend on the seed, the epoch and the batch's number alone. Rows that fill no
    batch are left out; they differ from epoch to epoch.
    """
    keras: Any = import_keras()
    order = np.random.default_rng([seed, epoch]).permutation(len(images))

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(order) // size

        def __getitem__(self, index: int) -> Any:
            rows = order[index * size : (index + 1) * size]
            rng = np.random.default_rng([seed, epoch, index])
            draws = rng.random((len(rows), DRAWS), dtype=np.float32)
            return (images[rows], draws), targets[rows]

    return Batches()
