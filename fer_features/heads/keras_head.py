"""What heads that are Keras networks share: training, probabilities, and model files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from fer_features.errors import FerError
from fer_features.heads.base import Head, model_paths
from fer_features.heads.choice import HeadError, check_above_zero, check_at_most, choose
from fer_features.heads.network import (
    Moments,
    Progress,
    channel_moments,
    outputs,
    training_targets,
)
from fer_features.heads.training import train
from fer_features.runtime.keras_runtime import import_keras, keras_settings, without_chatter

NOTES = "head.json"
"""The entry of a model file with what Keras does not keep: labels, parameters, history."""

MOST_UNITS = 16_384
"""Units of a layer, or filters, at most."""

MOST_STEPS = 1_000_000
"""Epochs, and rows of a training step, at most."""


class KerasHead(Head):
    """A head that is a Keras network, trained until the validation cross-entropy stops falling.

    A subclass has at least the parameters annotated here, which mean what they mean in
    `DenseHead`, and makes the network in `_network`.

    Attributes:
        history_: for each epoch ``loss``, ``accuracy``, ``val_loss`` and ``val_accuracy``, all
            by the labels, also where the training is on `targets`; the losses are cross-entropies
            in nats, without penalties.
        best_epoch_: the epoch whose weights were kept, counted from 1.
        moments_: each channel's mean and variance, or None where `standardize` is off.
        model_: the Keras model, not compiled.
    """

    suffix: ClassVar[str] = ".keras"
    accepts_soft_targets: ClassVar[bool] = True

    units: Sequence[int]
    dropout: float
    learning_rate: float
    batch_size: int
    epochs: int
    patience: int
    standardize: bool
    validation_fraction: float
    random_state: int

    history_: dict[str, list[float]]
    best_epoch_: int
    moments_: Moments | None
    model_: Any

    def _network(self, *, learning: bool) -> Any:
        """The network, not compiled, with random weights; `learning`, it may use bfloat16."""
        raise NotImplementedError

    def _check_parameters(self) -> None:
        check_above_zero(
            units=self.units,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            epochs=self.epochs,
            patience=self.patience,
        )
        check_at_most(MOST_UNITS, units=self.units)
        check_at_most(MOST_STEPS, epochs=self.epochs, batch_size=self.batch_size)
        if not 0 <= self.dropout < 1:
            raise HeadError(f"dropout must be at least 0 and below 1, not {self.dropout}")

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        on_epoch: Progress | None = None,
        targets: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Train until the validation cross-entropy stops falling.

        Args:
            X: features, float16 or float32 (N, …, C), finite.
            y: (N,), at least two distinct labels.
            validation: features and labels to stop on; they are not fitted to.
            on_epoch: called after each epoch.
            targets: float (N, K), class probabilities to train on in place of `y`: shares of
                votes, say (Barsoum and others, "Training Deep Networks for Facial Expression
                Recognition with Crowd-Sourced Label Distribution", 2016). Columns in the order
                of the sorted labels; rows sum to 1. All scores are by `y`.
            groups: (N,), equal for rows that stay on one side where rows are held out.

        Raises:
            HeadError: of what the arrays hold or of a parameter, no model can be made, or the
                loss became infinite.
            FerError: Keras's backend cannot be imported.
        """
        self._check_parameters()
        training, held = self._parts(
            X,
            y,
            validation,
            fraction=self.validation_fraction,
            random_state=self.random_state,
            groups=groups,
        )
        aims = training_targets(training, targets, K=len(self.classes_))
        self.moments_ = channel_moments(training) if self.standardize else None
        with keras_settings():
            learner = self._network(learning=True)
            history = train(
                learner,
                training,
                held,
                learning_rate=self.learning_rate,
                batch_size=self.batch_size,
                epochs=self.epochs,
                patience=self.patience,
                seed=self.random_state,
                on_epoch=on_epoch,
                targets=aims,
            )
            self._note(history, given=validation is not None, rows=len(held.codes))
            self.model_ = self._network(learning=False)  # an optimiser is twice the weights' size
            self.model_.set_weights(learner.get_weights())
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return the classes' probabilities, float32 (N, K)."""
        check_is_fitted(self)
        with keras_settings():
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
            "features": self.n_features_in_,
            "map_shape": getattr(self, "map_shape_", None),
            "moments": None if self.moments_ is None else [m.tolist() for m in self.moments_],
            "chosen": self.chosen_,
            "history": self.history_,
            "best_epoch": self.best_epoch_,
        }
        target, draft = model_paths(path, suffix=self.suffix)
        try:
            with (
                without_chatter(),
                keras_settings(),
            ):  # saving imports TensorFlow on whichever backend
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
            head.n_features_in_ = notes["features"]
            if notes["map_shape"] is not None:
                head.map_shape_ = tuple(notes["map_shape"])
            moments = notes["moments"]
            head.moments_ = moments and (np.array(moments[0]), np.array(moments[1]))
            head.chosen_, head.history_ = notes["chosen"], notes["history"]
            head.best_epoch_ = notes["best_epoch"]
            with keras_settings():
                head.model_ = head._network(learning=False)
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
