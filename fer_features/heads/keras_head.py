"""The base class of heads that are Keras networks: layers, training, and model files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from fer_features.errors import FerError
from fer_features.heads.base import Head, Tried
from fer_features.heads.checks import Array, HeadError, check_above_zero
from fer_features.heads.choice import Part
from fer_features.heads.training import (
    INFERENCE_BATCH,
    batches,
    channel_moments,
    loss_and_metrics,
    predict_in_batches,
)
from fer_features.runtime.keras_runtime import import_keras, keras_settings, suppressed_native_logs

CURVES = {
    "loss": "cross_entropy",
    "accuracy": "hits",
    "val_loss": "val_cross_entropy",
    "val_accuracy": "val_hits",
}
"""The names in a head's `history_`, and Keras's names: its own "loss" includes the penalty."""

ENTRY = "head.json"
"""The entry of a model file with what Keras does not save: labels, parameters, history."""

SAVED = {
    "features": "n_features_in_",
    "map_shape": "map_shape_",
    "chosen": "chosen_",
    "history": "history_",
    "best_epoch": "best_epoch_",
}
"""Keys of that entry, and the fitted attributes that they hold."""

MOST_UNITS = 16_384
"""Most units of a layer, or filters."""

MOST_STEPS = 1_000_000
"""Most epochs, and rows of a training step."""

STEPS = 8
"""Training steps compiled together, if the backend can: fewer returns to Python."""


@dataclass(kw_only=True, eq=False, repr=False)
class KerasHead(Head):
    """A head that is a Keras network, trained with early stopping on validation cross-entropy.

    A subclass has at least the parameters annotated here, with the meaning that they have in
    `DenseHead`, and defines `_layers`.

    Attributes:
        history_: for each epoch ``loss``, ``accuracy``, ``val_loss`` and ``val_accuracy``, all
            by the labels, also where the training is on soft targets; the losses are
            cross-entropies in nats, without penalties.
        best_epoch_: the epoch whose weights were kept, counted from 1.
        moments_: each channel's mean and variance, or None where `standardize` is off.
        model_: the Keras model, not compiled.
    """

    suffix = ".keras"
    accepts_soft_targets = True
    refits = False

    units: Sequence[int]
    l2: float
    dropout: float
    learning_rate: float = 1e-3
    batch_size: int
    epochs: int = 50
    patience: int = 5
    standardize: bool = True

    def _layers(self, keras: Any, initializer: Callable[[], Any], *, learning: bool) -> list[Any]:
        """The network's layers between the standardised input and the last layer.

        Args:
            keras: the module.
            initializer: called once for each layer with weights, in their order.
            learning: the network will be trained, and may then compute in bfloat16.
        """
        raise NotImplementedError

    def _dense_layer(self, keras: Any, place: int, initializer: Any) -> Any:
        """The hidden layer of one of `units`, counted from 1."""
        return keras.layers.Dense(
            self.units[place - 1],
            activation="relu",
            kernel_initializer=initializer,
            kernel_regularizer=keras.regularizers.L2(self.l2) if self.l2 else None,
            name=f"dense_{place}",
        )

    def _network(self, *, learning: bool) -> Any:
        """The network, not compiled, with random weights.

        Its output is float32 (N, 1), the second class's probability, or (N, K) for K > 2 classes.
        """
        keras: Any = import_keras()
        random = np.random.default_rng(self.random_state)

        def initializer() -> Any:  # its own seed: no global random state is used
            return keras.initializers.GlorotUniform(seed=int(random.integers(2**31)))

        shape = self.map_shape_ if self.needs == "map" else (self.n_features_in_,)
        stack = [keras.Input(shape, dtype="float32")]
        if self.moments_ is not None:
            mean, variance = self.moments_
            stack.append(
                keras.layers.Normalization(mean=mean, variance=variance, name="standardize")
            )
        stack += self._layers(keras, initializer, learning=learning)
        binary = len(self.classes_) == 2
        last = keras.layers.Dense(
            1 if binary else len(self.classes_),
            activation="sigmoid" if binary else "softmax",
            kernel_initializer=initializer(),
            name="probability",
        )
        return keras.Sequential([*stack, last], name=f"{self.name}_head")

    def _check_parameters(self) -> None:
        check_above_zero(learning_rate=self.learning_rate, patience=self.patience)
        check_above_zero(MOST_UNITS, units=self.units)
        check_above_zero(MOST_STEPS, epochs=self.epochs, batch_size=self.batch_size)
        if not 0 <= self.dropout < 1:
            raise HeadError(f"dropout must be at least 0 and below 1, not {self.dropout}")

    def _try_candidates(self, training: Part, valid: Part) -> Tried:
        """Train; the candidates are the epochs, and the model has the weights of the best."""
        self.moments_ = channel_moments(training) if self.standardize else None
        with keras_settings():
            learner = self._network(learning=True)
            self.history_ = self._train(learner, training, valid)
        losses = self.history_["val_loss"]
        bad = ~np.isfinite([self.history_["loss"], losses]).all(axis=0)
        if bad.any():
            raise HeadError(
                f"training diverged: the loss is not finite in epoch {bad.argmax() + 1}",
                hint="lower learning_rate, or leave standardize on",
            )
        pairs = zip(losses, self.history_["val_accuracy"], strict=True)
        candidates = [
            {"epoch": epoch, "log_loss": loss, "accuracy": accuracy}
            for epoch, (loss, accuracy) in enumerate(pairs, start=1)
        ]
        return candidates, [learner] * len(candidates)

    def _train(self, network: Any, training: Part, valid: Part) -> dict[str, list[float]]:
        """Train with early stopping on the validation cross-entropy; return `history_`."""
        keras: Any = import_keras()
        loss, cross_entropy, hits = loss_and_metrics(keras, n_outputs=network.output_shape[-1])
        backend = keras.backend.backend()
        network.compile(
            optimizer=keras.optimizers.Adam(self.learning_rate),
            loss=loss,
            metrics=[
                keras.metrics.MeanMetricWrapper(hits, name="hits"),
                keras.metrics.MeanMetricWrapper(cross_entropy, name="cross_entropy"),
            ],
            # XLA takes seconds to compile this for a CPU and gains nothing; JAX is slow without it.
            jit_compile="auto" if backend == "jax" else False,
            steps_per_execution=1 if backend == "torch" else STEPS,
        )

        def on_epoch_end(epoch: int, logs: dict[str, float]) -> None:
            if self.on_epoch is not None:
                self.on_epoch(epoch + 1, {name: float(logs[key]) for name, key in CURVES.items()})

        one_hot = np.eye(len(self.classes_), dtype=np.float32)
        targets = training.soft_targets
        if targets is None:
            targets = one_hot[training.codes]
        history = network.fit(
            batches(training, targets, size=self.batch_size, shuffle=self.random_state),
            validation_data=batches(valid, one_hot[valid.codes], size=INFERENCE_BATCH),
            epochs=self.epochs,
            shuffle=False,  # Keras would draw the batches' order from NumPy's global state
            verbose=0,
            callbacks=[
                keras.callbacks.EarlyStopping(
                    "val_cross_entropy",
                    mode="min",
                    patience=self.patience,
                    restore_best_weights=True,
                ),
                keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end),
            ],
        ).history
        return {name: [float(value) for value in history[key]] for name, key in CURVES.items()}

    def _keep(self, model: Any, part: Part) -> None:
        self.best_epoch_ = self.chosen_["epoch"]
        if self.best_epoch_ == self.epochs:
            self.chosen_["at_edge"]["epoch"] = "highest"
        with keras_settings():
            self.model_ = self._network(learning=False)  # an optimiser is twice the weights' size
            self.model_.set_weights(model.get_weights())

    def _predict_proba(self, X: Array) -> Array:
        """Return float32 (N, K)."""
        with keras_settings():
            out = predict_in_batches(self.model_, X)
        return np.hstack([1 - out, out]) if len(self.classes_) == 2 else out

    def _write(self, path: Path) -> None:
        """Write a Keras archive, which Keras can read, with one more entry."""
        entry = {
            "head": self.name,
            "parameters": self.get_params(),
            "classes": self.classes_.tolist(),
            "classes_dtype": self.classes_.dtype.str,
            "moments": self.moments_ and [each.tolist() for each in self.moments_],
        } | {key: getattr(self, name, None) for key, name in SAVED.items()}
        # Saving imports TensorFlow whatever the backend.
        with suppressed_native_logs(), keras_settings():
            self.model_.save(path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(ENTRY, json.dumps(entry, allow_nan=False))

    @classmethod
    def _read(cls, path: Path) -> Self:
        """Build the network from the parameters, and read only its weights."""
        import_keras()  # a fault of the backend is no fault of the file
        with zipfile.ZipFile(path) as archive:
            entry = json.loads(archive.read(ENTRY))
        if entry["head"] != cls.name:
            raise FerError(f"{path} is a model of the {entry['head']} head, not {cls.name}")
        head = cls(**entry["parameters"])
        head.classes_ = np.array(entry["classes"], dtype=entry["classes_dtype"])
        head.moments_ = entry["moments"] and tuple(map(np.array, entry["moments"]))
        entry["map_shape"] = entry["map_shape"] and tuple(entry["map_shape"])
        for key, name in SAVED.items():
            if entry[key] is not None:
                setattr(head, name, entry[key])
        with keras_settings():
            head.model_ = head._network(learning=False)
            head.model_.load_weights(path)
        return head
