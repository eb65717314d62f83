"""The network as it learns: augmentation before it, a classifier behind it, and its optimiser."""

from __future__ import annotations

import importlib
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import Backbone
from fer_features.config import PretrainConfig
from fer_features.runtime.keras_runtime import import_keras, keras_settings, without_chatter
from fer_features.training.augment import DICE, Augmentation

LOOKED_AT = 40
"""Batches that statistics are gathered from; of a moving average of 0.9 the last 20 count."""

UNDECAYED = ("bias", "gamma", "beta")
"""Variables that weight decay leaves alone."""


@dataclass(frozen=True)
class Learner:
    """A network and what it learns with.

    Attributes:
        network: the backbone.
        top: the classifier, a dense layer on the mean over space of the backbone's last layer.
        model: uint8 images (N, S, S) and dice (N, `DICE`) to logits (N, outputs); compiled.
    """

    network: Any
    top: Any
    model: Any

    @property
    def variables(self) -> list[Any]:
        """All that a checkpoint has to hold, in a fixed order."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def logits(self, images: NDArray[np.uint8]) -> Any:
        """What it says of images (N, S, S) as they are: (N, outputs)."""
        dice = np.zeros((len(images), DICE), np.float32)  # not looked at
        return self.model([images, dice], training=False)


@contextmanager
def averaged(learner: Learner, data: Any) -> Iterator[None]:
    """In the block the weights are their moving averages; after it they are what they were.

    The batch normalisations' statistics, which are of the weights as they were, are gathered anew:
    without that, averages of weights that still move are worth little (Izmailov and others,
    *Averaging Weights Leads to Wider Optima and Better Generalization*, 2018,
    https://arxiv.org/abs/1803.05407).

    Args:
        learner: the network.
        data: `batches`, of which the first are looked at.
    """
    variables = learner.model.variables
    to_numpy = import_keras().ops.convert_to_numpy
    before = [to_numpy(one.value).copy() for one in variables]
    learner.model.optimizer.put_averages(learner.model.trainable_variables)
    for number in range(min(len(data), LOOKED_AT)):
        (images, dice), _ = data[number]
        learner.model([images, dice], training=True)
    try:
        yield
    finally:
        for one, value in zip(variables, before, strict=True):
            one.assign(value)


@keras_settings()
def make_learner(
    backbone: Backbone,
    config: PretrainConfig,
    *,
    outputs: int,
    classes: int,
    steps: int,
    precision: str,
) -> Learner:
    """Build and compile.

    Args:
        backbone: what is trained.
        config: how.
        outputs: logits: those of the classes, and after them those of the votes, if there are any.
        classes: number of classes.
        steps: of the whole training.
        precision: ``float32`` or ``bfloat16``; variables are float32 either way.
    """
    keras: Any = import_keras()
    with without_chatter(), suppress(ImportError):
        importlib.import_module("tensorflow")  # as Keras's `fit` does, on every backend
    ops = keras.ops
    size = backbone.default_size
    with _seeded(config.seed):
        with keras_settings(precision):
            network = backbone.build(size)
        top = keras.layers.Dense(outputs, dtype="float32", name="top")
    augmentation = Augmentation()

    class Front(keras.layers.Layer):  # type: ignore[misc]  # keras has no types here
        def call(self, images: Any, dice: Any, training: bool = False) -> Any:
            x = ops.expand_dims(ops.cast(images, "float32"), -1)
            return backbone.preprocess(augmentation(x, dice) if training else x)

        def compute_output_spec(self, images: Any, dice: Any, training: bool = False) -> Any:
            return keras.KerasTensor((*images.shape, 1), "float32")

    images = keras.Input((size, size), dtype="uint8", name="images")
    dice = keras.Input((DICE,), dtype="float32", name="dice")
    last = network(Front(name="front")(images, dice))
    pooled = ops.mean(ops.cast(last, "float32"), axis=(1, 2))
    model = keras.Model([images, dice], top(pooled))
    _compile(model, config, classes=classes, steps=steps)
    return Learner(network, top, model)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """In the block, Keras's initialisers draw their seeds from this one; Python's state is kept."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def _compile(model: Any, config: PretrainConfig, *, classes: int, steps: int) -> None:
    keras: Any = import_keras()
    ops = keras.ops
    backend = keras.backend.backend()

    def loss(true: Any, said: Any) -> Any:
        total = keras.losses.categorical_crossentropy(
            true[:, :classes], said[:, :classes], from_logits=True
        )
        if said.shape[-1] > classes:
            votes = keras.losses.categorical_crossentropy(
                true[:, classes:], said[:, classes:], from_logits=True
            )
            total = total + config.votes_weight * votes
        return total

    def accuracy(true: Any, said: Any) -> Any:
        right = ops.equal(
            ops.argmax(true[:, :classes], axis=-1), ops.argmax(said[:, :classes], axis=-1)
        )
        return ops.cast(right, "float32")

    class AveragedSGD(keras.optimizers.SGD):  # type: ignore[misc]  # keras has no types here
        """SGD whose moving averages take the weights' place only when `put_averages` is called.

        Keras would do that at the end of each `fit`, and ours is one epoch: training would go on
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
    optimizer.build(model.trainable_variables)  # a checkpoint needs its variables to be there
    model.compile(
        optimizer=optimizer,
        loss=loss,
        metrics=[keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")],
        # XLA takes the CPU's bfloat16 instructions away; without it JAX crawls.
        jit_compile="auto" if backend == "jax" else False,
    )


def one_cycle(*, peak: float, steps: int, warm_up: float) -> Any:
    """Keras's learning rate: up in a line, then down along a cosine to nothing.

    Smith and Topin, 2019 (https://arxiv.org/abs/1708.07120).

    Args:
        peak: the highest rate.
        steps: of the whole training.
        warm_up: the part of it that goes upwards.
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
    """One epoch's batches as a Keras data set: images and dice, and what they teach.

    Order and dice depend on the seed, the epoch and the batch's number alone. The rows that fill
    no batch are left out; in another epoch these are others.
    """
    keras: Any = import_keras()
    order = np.random.default_rng([seed, epoch]).permutation(len(images))

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(order) // size

        def __getitem__(self, index: int) -> Any:
            rows = order[index * size : (index + 1) * size]
            dice_of = np.random.default_rng([seed, epoch, index])
            dice = dice_of.random((len(rows), DICE), dtype=np.float32)
            return (images[rows], dice), targets[rows]

    return Batches()
