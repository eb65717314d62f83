"""Stage 0: train a backbone on faces, and write its weights with all that they have seen."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from fer_features.backbones import Backbone, get_backbone
from fer_features.backbones.weights_file import (
    is_weights_file,
    read_weights,
)
from fer_features.cache import free_bytes
from fer_features.config import MAX_SEED, PretrainConfig
from fer_features.data import FaceSource, open_faces
from fer_features.data.tasks import Task, load_task
from fer_features.data.twin_table import about
from fer_features.errors import FerError
from fer_features.runtime.hardware import keras_has_bfloat16
from fer_features.runtime.keras_runtime import backend_name, import_keras, keras_settings
from fer_features.runtime.progress import Advance, no_progress
from fer_features.runtime.progress import Progress as TrackCopies
from fer_features.training.augment import Augmentation
from fer_features.training.checkpoint import checkpoint_of, load, save
from fer_features.training.data import VOTES, Lesson, make_lesson, targets_of
from fer_features.training.learner import Learner, averaged, batches, make_learner
from fer_features.training.record import finish, score_part, score_test

Progress = Callable[[int, int], AbstractContextManager[Advance]]
"""Called with an epoch's number, from 1, and its images; yields what is told of those done."""

MOST = 1_000_000
"""Epochs, and images of a step, at most."""

_LARGEST = float(np.finfo(np.float32).max)

SPACE = 60_000_000
"""Bytes: fernet's checkpoint (weights, momentum and averages in float32) twice, and its weights."""

EpochDone = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Pretrained:
    """What a training has made.

    Attributes:
        path: the weights file.
        provenance: what it says of itself.
        found: whether it was there already.
    """

    path: Path
    provenance: dict[str, Any]
    found: bool = False


def pretrain(
    config: PretrainConfig,
    *,
    progress: Progress | None = None,
    done: EpochDone | None = None,
    log: Callable[[str], None] | None = None,
    track_copies: TrackCopies = no_progress,
) -> Pretrained:
    """Train a backbone and write its weights.

    Killed at any moment, the same call goes on from the last whole epoch, to the same weights.

    Args:
        config: what to train, on what and how.
        progress: called before each epoch; returns a context manager that yields a function to be
            told of images.
        done: told of each epoch, from 1, and its numbers.
        log: told, in a few words, of what is being done.
        track_copies: shows the progress of reading, and of the search for copies in the data.

    Raises:
        FerError: the data or the configuration cannot be used, or a file of another training is
            in the way.
    """
    _check(config)
    tell = log or _ignore
    backbone, task = get_backbone(config.backbone), load_task(config.task)
    if backbone.channels != 1:
        raise FerError(
            f"{backbone.name} is not trained here: fernet is", hint="leave --backbone out"
        )
    source = open_faces(
        config.data, skip_bad=config.skip_bad, ignore=config.ignore, classes=config.classes
    )
    for text in source.index().notes:
        tell(f"note: {text}")
    precision = _precision(config.precision)
    identity = _identity(config, source, precision)
    found = _there(config, identity)
    if found is not None and not (config.test and "test" not in found["scores"]):
        return Pretrained(config.out, found, found=True)
    lesson = make_lesson(
        source, task, ferplus=config.ferplus, seed=config.seed, progress=track_copies
    )
    if found is None:
        tell(
            f"{len(lesson.train):,} images to learn from, {len(lesson.validation):,} to validate "
            f"on (split {lesson.split}, copies removed)"
        )
        found = _train(config, backbone, task, lesson, identity, precision, progress, done, tell)
    if config.test:
        found = score_test(config.out, backbone, task, lesson)
    return Pretrained(config.out, found)


def _check(config: PretrainConfig) -> None:
    if not 0 <= config.seed <= MAX_SEED:
        raise FerError(f"--seed {config.seed}: seeds are 0 to {MAX_SEED}")
    for name, most in (("epochs", MOST), ("batch_size", MOST), ("learning_rate", _LARGEST)):
        if not 0 < getattr(config, name) <= most:
            flag = name.replace("_", "-")
            raise FerError(f"--{flag} must be above 0 and at most {most:,g}")
    for name in ("weight_decay", "votes_weight"):
        if not 0 <= getattr(config, name) <= _LARGEST:
            flag = name.replace("_", "-")
            raise FerError(f"--{flag} must be at least 0, and finite")
    for name in ("warm_up", "smoothing", "average"):
        if not 0 <= getattr(config, name) < 1:
            flag = name.replace("_", "-")
            raise FerError(f"--{flag} must be at least 0 and below 1, not {getattr(config, name)}")
    if config.out.suffix != ".h5":
        raise FerError(f"--out {config.out}: the name of a weights file ends in .h5")
    if not config.out.parent.is_dir():
        raise FerError(f"no such folder: {config.out.parent}")
    if not (config.out.is_file() or not os.path.lexists(config.out)):
        raise FerError(f"--out {config.out} is there, and is no file")
    _check_writable(config.out.parent)


def _check_writable(folder: Path) -> None:
    """Make sure that a checkpoint, and the weights after it, can be written to a folder.

    Raises:
        FerError: they cannot.
    """
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


def _precision(asked: str) -> str:
    if asked == "auto":
        return "bfloat16" if keras_has_bfloat16() else "float32"
    if asked not in ("float32", "bfloat16"):
        raise FerError(f"no such precision: {asked}", hint="known are auto, float32 and bfloat16")
    return asked


def _identity(config: PretrainConfig, source: FaceSource, precision: str) -> dict[str, Any]:
    """What two trainings must have in common to be the same."""
    # The source's digest knows of the classes that are left out or mapped.
    left = ("data", "out", "precision", "test", "ferplus", "skip_bad", "ignore", "classes")
    named = {one.name: getattr(config, one.name) for one in fields(config) if one.name not in left}
    return {
        **named,
        "ferplus": config.ferplus is not None,
        "data": source.digest(),
        "copies": about(),
        "precision": precision,
        "augmentation": Augmentation().to_dict(),
        "backend": backend_name(),
    }


def _there(config: PretrainConfig, identity: dict[str, Any]) -> dict[str, Any] | None:
    """What the finished file says, if it is there and of the same training."""
    if not config.out.exists():
        return None
    elsewhere = "name another file with --out, or move that one away"
    if not is_weights_file(config.out):
        raise FerError(f"{config.out} is there, and no weights file", hint=elsewhere)
    told = read_weights(config.out).provenance
    if told.get("identity") != identity:
        raise FerError(f"{config.out} is there, and of another training", hint=elsewhere)
    return told


@keras_settings()
def _train(
    config: PretrainConfig,
    backbone: Backbone,
    task: Task,
    lesson: Lesson,
    identity: dict[str, Any],
    precision: str,
    progress: Progress | None,
    done: EpochDone | None,
    log: Callable[[str], None],
) -> dict[str, Any]:
    classes = len(task.classes)
    steps = len(lesson.train) // config.batch_size
    if not steps:
        raise FerError(
            f"{len(lesson.train)} images to learn from fill no batch of {config.batch_size}",
            hint="lower --batch-size",
        )
    learner = make_learner(
        backbone,
        config,
        outputs=classes + (VOTES if lesson.votes is not None else 0),
        classes=classes,
        steps=steps * config.epochs,
        precision=precision,
    )
    checkpoint = checkpoint_of(config.out)
    state = load(checkpoint, learner.variables, identity=identity)
    if state.epoch:
        log(f"going on after epoch {state.epoch} of {config.epochs}")
    targets = targets_of(lesson, classes=classes, smoothing=config.smoothing)
    images = lesson.images[lesson.train]
    for epoch in range(state.epoch, config.epochs):
        begun = time.perf_counter()
        data = batches(images, targets, size=config.batch_size, seed=config.seed, epoch=epoch)
        opened = (
            progress(epoch + 1, steps * config.batch_size) if progress else nullcontext(_ignore)
        )
        with opened as advance:
            learned = _one_epoch(learner, data, lambda: advance(config.batch_size))
        if not np.isfinite(learned["loss"]):
            raise FerError(
                f"training diverged: the loss of epoch {epoch + 1} is not finite",
                hint="lower --learning-rate",
            )
        with averaged(learner, data):
            found = score_part(learner.logits, lesson, lesson.validation, task)
        learned |= {"val_loss": found.log_loss, "val_accuracy": found.accuracy}
        for name, value in learned.items():
            state.history.setdefault(name, []).append(value)
        state.epoch, state.seconds = epoch + 1, state.seconds + time.perf_counter() - begun
        save(checkpoint, state, learner.variables, identity=identity)
        if done is not None:
            done(epoch + 1, learned)
    last = batches(
        images, targets, size=config.batch_size, seed=config.seed, epoch=config.epochs - 1
    )
    with averaged(learner, last):
        provenance = finish(config, backbone, task, lesson, learner, state, identity)
    checkpoint.unlink(missing_ok=True)
    return provenance


def _one_epoch(learner: Learner, data: Any, advance: Callable[[], None]) -> dict[str, float]:
    keras: Any = import_keras()
    told = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: advance())
    logs = learner.model.fit(data, epochs=1, shuffle=False, verbose=0, callbacks=[told]).history
    return {"loss": float(logs["loss"][-1]), "accuracy": float(logs["accuracy"][-1])}


def _ignore(_: object) -> None:
    """Nobody watches."""
