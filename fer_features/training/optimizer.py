"""The optimiser: one-cycle schedule, a rate for each layer, averaged weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fer_features.config import TrainConfig
from fer_features.runtime.keras_runtime import import_keras
from fer_features.training.recipe import SCRATCH

UNDECAYED = ("bias", "gamma", "beta")
"""Variables without weight decay."""


def make_optimizer(config: TrainConfig, *, steps: int, shares: Sequence[float]) -> Any:
    """SGD from scratch, AdamW in fine-tuning.

    Args:
        config: its parameters.
        steps: number of steps of the training.
        shares: of the learning rate, one for each variable that is trained.
    """
    optimizers: Any = import_keras().optimizers
    scratch = config.start == SCRATCH
    kind = optimizers.SGD if scratch else optimizers.AdamW
    optimizer = _averaged(kind, shares)(
        one_cycle(peak=float(config.learning_rate or 0), steps=steps, warm_up=config.warm_up),
        weight_decay=config.weight_decay,
        use_ema=True,
        ema_momentum=config.average,
        **({"momentum": 0.9, "nesterov": True} if scratch else {}),
    )
    optimizer.exclude_from_weight_decay(var_names=list(UNDECAYED))
    return optimizer


def _averaged(kind: type[Any], shares: Sequence[float]) -> type[Any]:
    layerwise = any(share != 1 for share in shares)

    class Averaged(kind):  # type: ignore[misc]  # keras has no types here
        """Replaces the weights by their moving averages in `put_averages` only.

        Keras does that at the end of each `fit`, which here is one epoch: training would continue
        from the averages.
        """

        def finalize_variable_values(self, variables: Any) -> None:
            pass

        def put_averages(self, variables: Any) -> None:
            super().finalize_variable_values(variables)

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            share = shares[self._get_variable_index(variable)]
            super().update_step(gradient, variable, learning_rate * share)

        def _apply_weight_decay(self, variables: Any) -> None:
            if not layerwise:
                super()._apply_weight_decay(variables)
                return
            for variable in filter(self._use_weight_decay, variables):
                share = shares[self._get_variable_index(variable)]
                rate = self.learning_rate * share * self.weight_decay
                self.assign_sub(variable, variable.value * rate)

    return Averaged


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
