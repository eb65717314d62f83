"""The published head: a convolution and dense layers on cached feature maps."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from fer_features.errors import FerError
from fer_features.heads.base import Head, model_paths
from fer_features.heads.choice import HeadError, check_above_zero, choose
from fer_features.heads.network import Progress, channel_moments, network, outputs, train
from fer_features.keras_runtime import import_keras, without_chatter

NOTES = "head.json"
"""The entry of a model file with what Keras does not keep: labels, parameters, history."""


class DenseHead(Head):
    """Convolution, pooling and three dense layers on feature maps, after the published head.

    Conv2D (3×3, same, relu), MaxPooling2D (2), Dense layers (relu, L2), then one sigmoid unit
    (K softmax units for K > 2 classes); cross-entropy, Adam. Training stops when the validation
    cross-entropy has not fallen for `patience` epochs, and the weights of the best epoch are kept.
    With no validation rows given, a stratified `validation_fraction` of the training rows is held
    out for that, and not fitted to.

    On 10,200 maps of 3×3×1,536 and two classes a fit takes eight or nine epochs and 50 to 70 s of
    processor time. `filters`, `l2` and `batch_size` are not published: they are what did as well
    as any on the validation rows there for the least time.

    Runs on any Keras backend. Maps stay float16 in memory and become float32 a batch at a time.
    The same seed gives the same weights on the same machine's CPU, and no global random state is
    read or written.

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

    Attributes:
        history_: for each epoch ``loss``, ``accuracy``, ``val_loss`` and ``val_accuracy``; the
            losses are cross-entropies in nats, without the L2 penalty.
        best_epoch_: the epoch whose weights were kept, counted from 1.
        moments_: each channel's mean and variance, or None where `standardize` is off.
        model_: the Keras model, not compiled.
    """

    name: ClassVar[str] = "dense"
    title: ClassVar[str] = "Convolution and dense layers"
    needs: ClassVar[Literal["pooled", "map"]] = "map"
    suffix: ClassVar[str] = ".keras"

    history_: dict[str, list[float]]
    best_epoch_: int
    moments_: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    model_: Any

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

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Train until the validation cross-entropy stops falling.

        Args:
            X: float16 or float32 (N, h, w, C), finite.
            y: (N,), at least two distinct labels.
            validation: maps and labels to stop on; they are not fitted to.
            progress: called after each epoch.

        Raises:
            HeadError: of what the arrays hold or of a parameter, no model can be made, or the
                loss became infinite.
            FerError: Keras's backend cannot be imported.
        """
        check_above_zero(
            filters=self.filters,
            units=self.units,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            epochs=self.epochs,
            patience=self.patience,
        )
        training, held = self._parts(
            X, y, validation, fraction=self.validation_fraction, random_state=self.random_state
        )
        self.moments_ = channel_moments(training) if self.standardize else None
        trained = self._network()
        history = train(
            trained,
            training,
            held,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            epochs=self.epochs,
            patience=self.patience,
            seed=self.random_state,
            progress=progress,
        )
        self._note(history, given=validation is not None, rows=len(held.codes))
        self.model_ = self._network()  # without the optimiser, which is twice the weights' size
        self.model_.set_weights(trained.get_weights())
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return the classes' probabilities, float32 (N, K), for float16 (N, h, w, C) maps."""
        check_is_fitted(self)
        out = outputs(self.model_, self._checked(X, reset=False))
        return np.hstack([1 - out, out]) if len(self.classes_) == 2 else out

    def save(self, path: str | Path) -> Path:
        """Write the fitted head to `path` (``.keras`` is added where it is missing).

        The file is a Keras archive, which ``keras.models.load_model`` reads too, with one more
        entry, ``head.json``: labels, parameters and history.
        """
        check_is_fitted(self)
        notes = {
            "head": self.name,
            "parameters": self.get_params(),
            "classes": self.classes_.tolist(),
            "classes_dtype": self.classes_.dtype.str,
            "map_shape": self.map_shape_,
            "moments": None if self.moments_ is None else [m.tolist() for m in self.moments_],
            "chosen": self.chosen_,
            "history": self.history_,
            "best_epoch": self.best_epoch_,
        }
        target, draft = model_paths(path, suffix=self.suffix)
        try:
            with without_chatter():  # saving imports TensorFlow on whichever backend
                self.model_.save(draft)
            with zipfile.ZipFile(draft, "a") as archive:
                archive.writestr(NOTES, json.dumps(notes, allow_nan=False))
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        return target

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a head from the file that `save` wrote.

        The network is built anew from its parameters and only the weights are read, so that
        nothing that a file says is run.

        Raises:
            FerError: the file is missing, damaged or of another head, or Keras's backend cannot
                be imported.
        """
        import_keras()  # a fault of the backend is no fault of the file
        try:
            with zipfile.ZipFile(path) as archive:
                notes = json.loads(archive.read(NOTES))
            if notes["head"] != cls.name:
                raise ValueError(f"it is of the {notes['head']} head")
            head = cls(**notes["parameters"])
            head.classes_ = np.array(notes["classes"], dtype=notes["classes_dtype"])
            head.map_shape_ = tuple(notes["map_shape"])
            head.n_features_in_ = head.map_shape_[-1]
            moments = notes["moments"]
            head.moments_ = moments and (np.array(moments[0]), np.array(moments[1]))
            head.chosen_, head.history_ = notes["chosen"], notes["history"]
            head.best_epoch_ = notes["best_epoch"]
            head.model_ = head._network()
            head.model_.load_weights(path)
        except Exception as error:  # a damaged archive can fail anywhere in it
            raise FerError(
                f"cannot read {path} as a model of the {cls.name} head: {error}",
                hint="give the file that the head's own `save` wrote",
            ) from error
        return head

    def _note(self, history: dict[str, list[float]], *, given: bool, rows: int) -> None:
        bad = ~np.isfinite([history["loss"], history["val_loss"]]).all(axis=0)
        if bad.any():
            raise HeadError(
                f"training diverged: the loss is not finite in epoch {bad.argmax() + 1}",
                hint="lower learning_rate, or leave standardize on",
            )
        self.history_ = history
        candidates = [
            {"epoch": epoch, "log_loss": loss, "accuracy": accuracy}
            for epoch, (loss, accuracy) in enumerate(
                zip(history["val_loss"], history["val_accuracy"], strict=True), start=1
            )
        ]
        self.chosen_, best = choose(candidates, varied=[], given=given, rows=rows)
        self.best_epoch_ = best + 1
        if self.best_epoch_ == self.epochs:
            self.chosen_["at_edge"]["epoch"] = "highest"

    def _network(self) -> Any:
        return network(
            map_shape=self.map_shape_,
            n_classes=len(self.classes_),
            moments=self.moments_,
            filters=self.filters,
            units=self.units,
            l2=self.l2,
            dropout=self.dropout,
            seed=self.random_state,
        )
