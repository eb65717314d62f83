"""The published head: a convolution and dense layers on cached feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from fer_features.heads.choice import check_above_zero, check_at_most
from fer_features.heads.keras_head import MOST_UNITS, KerasHead
from fer_features.heads.network import network


class DenseHead(KerasHead):
    """Convolution, pooling and three dense layers on feature maps, after the published head.

    Conv2D (3×3, same, relu), MaxPooling2D (2), Dense layers (relu, L2), then one sigmoid unit
    (K softmax units for K > 2 classes); cross-entropy, Adam. Training stops when the validation
    cross-entropy has not fallen for `patience` epochs, and the weights of the best epoch are kept.
    With no validation rows given, a stratified `validation_fraction` of the training rows is held
    out for that, and not fitted to.

    On 10,200 maps of 3×3×1,536 and two classes a fit takes about eight epochs and, besides Keras's
    start, 14 s of processor time where the processor multiplies bfloat16, which the convolution
    uses while it learns, and 21 s on the same processor in float32. `filters`, `l2` and
    `batch_size` are not published: they are what did as well as any on the validation rows there
    for the least time.

    Runs on any Keras backend. Maps stay float16 in memory and become float32 a batch at a time.
    Weights are float32, and so is all that is computed on validation rows and to predict. The same
    seed gives the same weights on the same machine's CPU, and no global random state is read or
    written.

    Args:
        filters: number of filters of the convolution.
        units: sizes of the dense layers.
        l2: strength of the L2 penalty on the dense layers' weights; 0 for none.
        dropout: share of the last hidden layer's units dropped while training; 0 for none.
        learning_rate: Adam's.
        batch_size: rows of a training step.
        epochs: most epochs.
        patience: epochs without a better validation cross-entropy before training stops.
        standardize: put a layer first that takes each channel to mean 0 and variance 1 over the
            training maps; False is as published.
        validation_fraction: share of the training rows held out where none are given.
        random_state: seed of the held-out choice, the first weights and the order of batches.
    """

    name: ClassVar[str] = "dense"
    title: ClassVar[str] = "Convolution and dense layers"
    needs: ClassVar[Literal["pooled", "map"]] = "map"

    def __init__(
        self,
        *,
        filters: int = 32,
        units: Sequence[int] = (256, 128, 64),
        l2: float = 1e-2,
        dropout: float = 0.0,
        learning_rate: float = 1e-3,
        batch_size: int = 128,
        epochs: int = 50,
        patience: int = 5,
        standardize: bool = True,
        validation_fraction: float = 0.2,
        random_state: int = 0,
    ) -> None:
        self.filters = filters
        self.units = units
        self.l2 = l2
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.standardize = standardize
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def _check_parameters(self) -> None:
        check_above_zero(filters=self.filters)
        check_at_most(MOST_UNITS, filters=self.filters)
        super()._check_parameters()

    def _network(self, *, learning: bool) -> Any:
        return network(
            map_shape=self.map_shape_,
            n_classes=len(self.classes_),
            moments=self.moments_,
            filters=self.filters,
            units=self.units,
            l2=self.l2,
            dropout=self.dropout,
            seed=self.random_state,
            learning=learning,
        )
