"""A 3×3 convolution that learns in bfloat16, and answers in float32."""

from __future__ import annotations

from typing import Any

from fer_features.runtime.keras_runtime import import_keras


def convolution(*, learning: bool, **parameters: Any) -> Any:
    """Return a Keras ``Conv2D``, 3×3, stride 1, same padding.

    Args:
        learning: where the hardware multiplies bfloat16, let it do so while training: the weights
            and the sums over the nine places stay float32. That takes about a third of the time.
        parameters: of ``keras.layers.Conv2D``.
    """
    keras: Any = import_keras()
    own = keras.layers.Conv2D
    if learning:
        from fer_features.runtime.hardware import keras_has_bfloat16

        own = _quick_convolution(keras) if keras_has_bfloat16() else own
    return own(kernel_size=3, padding="same", **parameters)


def _quick_convolution(keras: Any) -> Any:
    ops = keras.ops

    class QuickConvolution(keras.layers.Conv2D):  # type: ignore[misc]  # keras has no types here
        """The convolution as one matrix product, then a sum of nine shifted parts of it.

        On maps of a few places and many channels, nearly all of the work is the product of
        (N·h·w, C) by (C, 9·filters); processors have bfloat16 instructions for just that.
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
                seen = part[
                    :,
                    max(down, 0) : height + min(down, 0),
                    max(right, 0) : width + min(right, 0),
                ]
                around = [(0, 0), _around(down), _around(right), (0, 0)]
                total = total + ops.cast(ops.pad(seen, around), "float32")
            return self.activation(total)

    return QuickConvolution


def _around(shift: int) -> tuple[int, int]:
    """Return how many zeros stand before and after what is left of a row shifted by `shift`."""
    return max(-shift, 0), max(shift, 0)
