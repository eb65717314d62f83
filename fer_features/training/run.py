"""Train a backbone on faces, and write its weights with the record of what they have seen."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import get_backbone
from fer_features.backbones.weights_file import is_weights_file, read_weights
from fer_features.cache import free_bytes
from fer_features.config import MAX_SEED, PretrainConfig
from fer_features.data import FaceSource, open_faces
from fer_features.data.tasks import load_task
from fer_features.data.twin_table import about
from fer_features.errors import FerError
from fer_features.runtime.hardware import keras_has_bfloat16
from fer_features.runtime.keras_runtime import backend_name, import_keras, keras_settings
from fer_features.runtime.progress import Log, Progress, clock, no_log, no_progress
from fer_features.training.augment import Augmentation
from fer_features.training.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from fer_features.training.data import TrainingData, load_training_data
from fer_features.training.record import add_test_scores, score_rows, write_trained
from fer_features.training.trainer import Trainer, batches, make_trainer

MOST = 1_000_000
LARGEST = float(np.finfo(np.float32).max)
BELOW_1 = 0.999999
RANGES = {
    "seed": (0, MAX_SEED),
    "epochs": (1, MOST),
    "batch_size": (1, MOST),
    "learning_rate": (1e-12, LARGEST),
    "weight_decay": (0, LARGEST),
    "votes_weight": (0, LARGEST),
    "warm_up": (0, BELOW_1),
    "smoothing": (0, BELOW_1),
    "average": (0, BELOW_1),
}
"""The smallest and the largest value of each number in the configuration."""

SPACE = 60_000_000
"""Bytes: fernet's checkpoint (weights, momentum and averages in float32) twice, and its weights."""


@dataclass(frozen=True)
class Pretrained:
    """The result of a training.

    Attributes:
        path: the weights file.
        provenance: its data, command, scores and software.
        found: whether it existed before.
    """

    path: Path
    provenance: dict[str, Any]
    found: bool = False


def pretrain(
    config: PretrainConfig, *, progress: Progress = no_progress, log: Log = no_log
) -> Pretrained:
    """Train a backbone and write its weights.

    Killed at any moment, the same call resumes after the last whole epoch, with the same result.

    Args:
        config: what to train, on what and how.
        progress: of reading the data, and of each epoch.
        log: lines about the data, and one after each epoch.

    Raises:
        FerError: the data or the configuration cannot be used, or there is a file of another
            training already.
    """
    _check(config)
    task = load_task(config.task)
    source = open_faces(
        config.data, skip_bad=config.skip_bad, ignore=config.ignore, classes=config.classes
    )
    for text in source.index().notes:
        log(f"note: {text}")
    identity = _identity(config, source)
    found = _finished(config, identity)
    if found is not None and not (config.test and "test" not in found["scores"]):
        return Pretrained(config.out, found, found=True)
    data = load_training_data(
        source, task, ferplus=config.ferplus, seed=config.seed, progress=progress
    )
    if found is None:
        log(
            f"{len(data.train):,} images to learn from, {len(data.validation):,} to validate "
            f"on (split {data.split}, copies removed)"
        )
        found = _train(config, data, identity, progress, log)
    return Pretrained(config.out, add_test_scores(config, data) if config.test else found)


def _check(config: PretrainConfig) -> None:
    if get_backbone(config.backbone).channels != 1:
        raise FerError(
            f"{config.backbone} is not trained here: fernet is", hint="leave --backbone out"
        )
    for name, (low, high) in RANGES.items():
        value = getattr(config, name)
        if not low <= value <= high:
            flag = name.replace("_", "-")
            raise FerError(f"--{flag} {value!s:.20} is not from {low:g} to {high:.8g}")
    if config.precision not in ("auto", "float32", "bfloat16"):
        raise FerError(
            f"no such precision: {config.precision}", hint="known are auto, float32 and bfloat16"
        )
    out = config.out
    if out.suffix != ".h5":
        raise FerError(f"--out {out}: the name of a weights file ends in .h5")
    if not out.parent.is_dir():
        raise FerError(f"no such folder: {out.parent}")
    if os.path.lexists(out) and not out.is_file():
        raise FerError(f"--out {out} exists, and is no file")
    _check_writable(out.parent)


def _check_writable(folder: Path) -> None:
    """Raise a `FerError` if a checkpoint and the weights cannot be written to a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FerError(
            f"{folder} cannot be written: {error.strerror or error}",
            hint="name a file in another folder with --out",
        ) from error
    free = free_bytes(folder)
    if free < SPACE:
        raise FerError(
            f"{folder}: about {SPACE / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free",
            hint="make room, or name a file in another folder with --out",
        )


def _identity(config: PretrainConfig, source: FaceSource) -> dict[str, Any]:
    """All that two trainings must have in common to give the same weights."""
    # The source's digest depends on the ignored and mapped classes.
    left_out = ("data", "out", "test", "skip_bad", "ignore", "classes")
    values = {f.name: getattr(config, f.name) for f in fields(config) if f.name not in left_out}
    precision = config.precision
    if precision == "auto":
        precision = "bfloat16" if keras_has_bfloat16() else "float32"
    return {
        **values,
        "ferplus": config.ferplus is not None,
        "data": source.digest(),
        "copies": about(),
        "precision": precision,
        "augmentation": Augmentation().to_dict(),
        "backend": backend_name(),
    }


def _finished(config: PretrainConfig, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The provenance of the finished file, if it exists and is of the same training."""
    if not config.out.exists():
        return None
    elsewhere = "name another file with --out, or move that one away"
    if not is_weights_file(config.out):
        raise FerError(f"{config.out} exists, and is no weights file", hint=elsewhere)
    provenance = read_weights(config.out).provenance
    if provenance.get("identity") != identity:
        raise FerError(f"{config.out} exists, and is of another training", hint=elsewhere)
    return provenance


@keras_settings()
def _train(
    config: PretrainConfig,
    data: TrainingData,
    identity: dict[str, Any],
    progress: Progress,
    log: Log,
) -> dict[str, Any]:
    steps = len(data.train) // config.batch_size
    if not steps:
        raise FerError(
            f"{len(data.train)} images to learn from fill no batch of {config.batch_size}",
            hint="lower --batch-size",
        )
    trainer = make_trainer(
        config,
        outputs=data.outputs,
        classes=len(data.task.classes),
        steps=steps * config.epochs,
        precision=identity["precision"],
    )
    checkpoint = checkpoint_path(config.out)
    state = load_checkpoint(checkpoint, trainer.variables, identity=identity)
    first = state.epoch
    if first:
        log(f"resuming after epoch {first} of {config.epochs}")
    images, targets = data.images[data.train], data.targets(config.smoothing)
    begun = time.perf_counter()
    while state.epoch < config.epochs:
        started = time.perf_counter()
        values = _train_epoch(config, trainer, data, (images, targets), state.epoch, progress)
        for name, value in values.items():
            state.history.setdefault(name, []).append(value)
        state.epoch += 1
        state.seconds += time.perf_counter() - started
        save_checkpoint(checkpoint, state, trainer.variables, identity=identity)
        per_epoch = (time.perf_counter() - begun) / (state.epoch - first)
        log(
            f"epoch {state.epoch} of {config.epochs}: loss {values['loss']:.4f}, accuracy "
            f"{values['accuracy']:.4f}; validation loss {values['val_loss']:.4f}, accuracy "
            f"{values['val_accuracy']:.4f}; {clock((config.epochs - state.epoch) * per_epoch)} left"
        )
    with trainer.averaged(_batches(config, images, targets, config.epochs - 1)):
        provenance = write_trained(config, data, trainer, state, identity)
    checkpoint.unlink(missing_ok=True)
    return provenance


def _batches(
    config: PretrainConfig, images: NDArray[np.uint8], targets: NDArray[np.float32], epoch: int
) -> Any:
    return batches(images, targets, size=config.batch_size, seed=config.seed, epoch=epoch)


def _train_epoch(
    config: PretrainConfig,
    trainer: Trainer,
    data: TrainingData,
    training: tuple[NDArray[np.uint8], NDArray[np.float32]],
    epoch: int,
    progress: Progress,
) -> dict[str, float]:
    """Train for one epoch; return its losses and accuracies."""
    keras: Any = import_keras()
    training_batches = _batches(config, *training, epoch)
    images = len(training_batches) * config.batch_size
    with progress(f"epoch {epoch + 1} of {config.epochs}", images, "images") as advance:
        callback = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: advance(config.batch_size)
        )
        history = trainer.model.fit(
            training_batches, epochs=1, shuffle=False, verbose=0, callbacks=[callback]
        ).history
    loss = float(history["loss"][-1])
    if not np.isfinite(loss):
        raise FerError(
            f"training diverged: the loss of epoch {epoch + 1} is not finite",
            hint="lower --learning-rate",
        )
    with trainer.averaged(training_batches):
        scores = score_rows(trainer.logits, data, data.validation)
    return {
        "loss": loss,
        "accuracy": float(history["accuracy"][-1]),
        "val_loss": scores.log_loss,
        "val_accuracy": scores.accuracy,
    }
