"""A multilayer perceptron on pooled features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fer_features.heads.keras_head import KerasHead


@dataclass(kw_only=True, eq=False, repr=False)
class MlpHead(KerasHead):
    """Standardised pooled features, dense layers (relu, dropout, L2), then a sigmoid unit.

    For K > 2 classes there are K softmax units instead.

    Cross-entropy, Adam. Training stops when the validation cross-entropy has not fallen for
    `patience` epochs, and the weights of the best epoch are kept. With no validation rows given, a
    stratified `validation_fraction` of the training rows is held out for that, and not fitted to.

    On 10,200 rows of 1,536 features and two classes a fit takes about twenty epochs and 8 s of
    processor time.

    Args:
        units: sizes of the dense layers.
        l2: strength of the L2 penalty on their weights; 0 for none.
        dropout: share of each hidden layer's units dropped while training; 0 for none.
        learning_rate: Adam's.
        batch_size: rows of a training step.
        epochs: most epochs.
        patience: epochs without a better validation cross-entropy before training stops.
        standardize: first scale each feature to mean 0 and variance 1 over the training rows.
        validation_fraction: share of the training rows held out where none are given.
        random_state: seed of the held-out choice, the first weights, dropout and the order.
    """

    name = "mlp"
    title = "Multilayer perceptron"
    needs = "pooled"

    units: Sequence[int] = (256,)
    l2: float = 3e-3
    dropout: float = 0.5
    batch_size: int = 512

    def _layers(self, keras: Any, initializer: Callable[[], Any], *, learning: bool) -> list[Any]:
        stack = []
        for place in range(1, len(self.units) + 1):
            stack.append(self._dense_layer(keras, place, initializer()))
            if self.dropout:
                seed, name = self.random_state + place, f"dropout_{place}"
                stack.append(keras.layers.Dropout(self.dropout, seed=seed, name=name))
        return stack
