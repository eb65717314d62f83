"""The published head: a convolution and dense layers on cached feature maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fer_features.heads.checks import check_above_zero
from fer_features.heads.keras_head import MOST_UNITS, KerasHead
from fer_features.runtime.hardware import keras_has_bfloat16


@dataclass(kw_only=True, eq=False, repr=False)
class DenseHead(KerasHead):
    """Convolution, pooling and three dense layers on feature maps, after the published head.

    Conv2D (3×3, same, relu), MaxPooling2D (2), Dense layers (relu, L2), then one sigmoid unit
    (K softmax units for K > 2 classes); cross-entropy, Adam. Training stops when the validation
    cross-entropy has not fallen for `patience` epochs, and the weights of the best epoch are kept.
    With no validation rows given, a stratified `validation_fraction` of the training rows is held
    out for that, and not fitted to.

    On 10,200 maps of 3×3×1,536 and two classes a fit takes about eight epochs and, besides the
    import of Keras, 14 s of processor time where the processor multiplies bfloat16, in which the
    convolution is trained, and 21 s on the same processor in float32. `filters`, `l2` and
    `batch_size` are not published: these values did as well as any on the validation rows there,
    in the least time.

    Runs on any Keras backend. Maps stay float16 in memory and become float32 a batch at a time.
    Weights are float32, and so are validation and prediction. The same seed gives the same weights
    on the same machine's CPU, and no global random state is read or written.

    Args:
        filters: number of filters of the convolution.
        units: sizes of the dense layers.
        l2: strength of the L2 penalty on the dense layers' weights; 0 for none.
        dropout: share of the last hidden layer's units dropped while training; 0 for none.
        learning_rate: Adam's.
        batch_size: rows of a training step.
        epochs: most epochs.
        patience: epochs without a better validation cross-entropy before training stops.
        standardize: first scale each channel to mean 0 and variance 1 over the training maps;
            False is as published.
        validation_fraction: share of the training rows held out where none are given.
        random_state: seed of the held-out choice, the first weights and the order of batches.
    """

    name = "dense"
    title = "Convolution and dense layers"
    needs = "map"

    filters: int = 32
    units: Sequence[int] = (256, 128, 64)
    l2: float = 1e-2
    dropout: float = 0.0
    batch_size: int = 128

    def _check_parameters(self) -> None:
        check_above_zero(MOST_UNITS, filters=self.filters)
        super()._check_parameters()

    def _layers(self, keras: Any, initializer: Callable[[], Any], *, learning: bool) -> list[Any]:
        in_bfloat16 = learning and keras_has_bfloat16()
        layers, places = keras.layers, range(1, len(self.units) + 1)
        stack = [
            (bfloat16_convolution(keras) if in_bfloat16 else layers.Conv2D)(
                self.filters,
                kernel_size=3,
                padding="same",
                activation="relu",
                kernel_initializer=initializer(),
                name="convolution",
            ),
            layers.MaxPooling2D(2, padding="same", name="pool"),  # maps may be smaller than 2×2
            layers.Flatten(name="flatten"),
        ]
        stack += [self._dense_layer(keras, place, initializer()) for place in places]
        if self.dropout:
            stack.append(layers.Dropout(self.dropout, seed=self.random_state, name="dropout"))
        return stack


def bfloat16_convolution(keras: Any) -> Any:
    """A subclass of ``keras.layers.Conv2D``, for 3×3 and "same", that is trained in bfloat16.

    On hardware that multiplies bfloat16 it takes about a third of the time. The weights, the sums
    over the nine taps, and all of inference stay float32.
    """
    ops = keras.ops

    class Bfloat16Convolution(keras.layers.Conv2D):  # type: ignore[misc]  # keras is imported lazily
        """The convolution as one matrix product, then a sum of nine shifted parts of it.

        On small maps of many channels, nearly all of the work is the product of (N·h·w, C) by
        (C, 9·filters), for which processors have bfloat16 instructions.
        """

        def call(self, inputs: Any, training: bool = False) -> Any:
            if not training:
                return super().call(inputs)
            height, width, channels = inputs.shape[1:]
            taps = ops.transpose(ops.cast(self.kernel, "bfloat16"), (2, 0, 1, 3))
            product = ops.matmul(
                ops.reshape(ops.cast(inputs, "bfloat16"), (-1, channels)),
                ops.reshape(taps, (channels, 9 * self.filters)),
            )
            product = ops.reshape(product, (-1, height, width, 9 * self.filters))
            total = self.bias
            for place, part in enumerate(ops.split(product, 9, axis=-1)):
                down, right = place // 3 - 1, place % 3 - 1
                inside = part[
                    :, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)
                ]
                padding = [(0, 0), _padding(down), _padding(right), (0, 0)]
                total = total + ops.cast(ops.pad(inside, padding), "float32")
            return self.activation(total)

    return Bfloat16Convolution


def _padding(shift: int) -> tuple[int, int]:
    """Number of zeros before and after a row shifted by `shift`."""
    return max(-shift, 0), max(shift, 0)
