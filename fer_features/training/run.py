"""Train a backbone on faces, and write its weights with a record of the training images."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fer_features.backbones import get_backbone
from fer_features.backbones.weights_file import is_weights_file, read_weights
from fer_features.cache import free_bytes
from fer_features.config import MAX_SEED, PretrainConfig
from fer_features.data import FaceSource, open_source
from fer_features.data.tasks import load_task
from fer_features.data.twin_table import about
from fer_features.engines import choose_engine
from fer_features.errors import FerError, reason_of
from fer_features.runtime.keras_runtime import backend_name, import_keras, keras_settings
from fer_features.runtime.progress import Log, Progress, clock, no_log, no_progress
from fer_features.training.augment import Augmentation
from fer_features.training.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from fer_features.training.data import TrainingData, load_training_data
from fer_features.training.record import add_test_scores, score_rows, write_trained
from fer_features.training.trainer import Trainer, batches, make_trainer

MOST, LARGEST, BELOW_1 = 1_000_000, float(np.finfo(np.float32).max), 0.999999
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

    Killed at any moment, the same call resumes after the last finished epoch, with the same result.

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
    source = open_source(config)
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
            f"{len(data.split.train):,} images to learn from, {len(data.split.validation):,} to "
            f"validate on (split {data.split.name}, copies removed)"
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
    _check_out(config.out)


def _check_out(out: Path) -> None:
    """Raise a `FerError` if a checkpoint and the weights cannot be written."""
    if out.suffix != ".h5":
        raise FerError(f"--out {out}: the name of a weights file ends in .h5")
    if os.path.lexists(out) and not out.is_file():
        raise FerError(f"--out {out} exists, and is no file")
    folder, elsewhere = out.parent, "name a file in another folder with --out"
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FerError(f"{folder} cannot be written: {reason_of(error)}", hint=elsewhere) from error
    free = free_bytes(folder)
    if free < SPACE:
        raise FerError(
            f"{folder}: about {SPACE / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free",
            hint=f"make room, or {elsewhere}",
        )


def _identity(config: PretrainConfig, source: FaceSource) -> dict[str, Any]:
    """All that two trainings must have in common to give the same weights."""
    # The source's digest depends on the ignored and mapped classes.
    left_out = ("data", "out", "test", "skip_bad", "ignore", "classes")
    identity = {name: value for name, value in vars(config).items() if name not in left_out}
    return identity | {
        "precision": choose_engine("keras", config.precision).precision,
        "ferplus": config.ferplus is not None,
        "data": source.digest(),
        "copies": about(),
        "augmentation": asdict(Augmentation()),
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
    n = len(data.split.train)
    steps = n // config.batch_size
    if not steps:
        raise FerError(
            f"{n} images fill no batch of {config.batch_size}", hint="lower --batch-size"
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
    if state.epoch:
        log(f"resuming after epoch {state.epoch} of {config.epochs}")
    images, targets = data.images[data.split.train], data.targets(config.smoothing)
    of_epoch = partial(batches, images, targets, size=config.batch_size, seed=config.seed)
    while state.epoch < config.epochs:
        started = time.perf_counter()
        training = of_epoch(epoch=state.epoch)
        title = f"epoch {state.epoch + 1} of {config.epochs}"
        with progress(title, steps * config.batch_size, "images") as advance:
            values = _train_epoch(trainer, training, partial(advance, config.batch_size))
        with trainer.averaged(training):
            scores = score_rows(trainer.logits, data, data.split.validation)
        values |= {"val_loss": scores.log_loss, "val_accuracy": scores.accuracy}
        for name, value in values.items():
            state.history.setdefault(name, []).append(value)
        state.epoch += 1
        state.seconds += time.perf_counter() - started
        save_checkpoint(checkpoint, state, trainer.variables, identity=identity)
        left_s = (config.epochs - state.epoch) * state.seconds / state.epoch
        log(
            f"epoch {state.epoch} of {config.epochs}: loss {values['loss']:.4f}, accuracy "
            f"{values['accuracy']:.4f}; validation loss {values['val_loss']:.4f}, accuracy "
            f"{values['val_accuracy']:.4f}; {clock(left_s)} left"
        )
    with trainer.averaged(of_epoch(epoch=config.epochs - 1)):
        provenance = write_trained(config, data, trainer, state, identity)
    checkpoint.unlink(missing_ok=True)
    return provenance


def _train_epoch(trainer: Trainer, data: Any, on_batch: Callable[[], None]) -> dict[str, float]:
    """Train for one epoch; return its loss and accuracy."""
    callback = import_keras().callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: on_batch()
    )
    history = trainer.model.fit(data, epochs=1, shuffle=False, verbose=0, callbacks=[callback])
    found = {name: float(history.history[name][-1]) for name in ("loss", "accuracy")}
    if not np.isfinite(found["loss"]):
        raise FerError("training diverged: the loss is not finite", hint="lower --learning-rate")
    return found
