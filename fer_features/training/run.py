"""Train a backbone on faces, and write its weights with a record of the training images."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.weights_file import WeightsFile
from fer_features.cache import Cache
from fer_features.cache.folder import check_space
from fer_features.config import TrainConfig
from fer_features.data import FaceSource, open_source
from fer_features.data.summary import photograph_notes
from fer_features.data.tasks import Task, load_task
from fer_features.errors import FerError
from fer_features.runtime.figures import check_picture
from fer_features.runtime.files import check_writable
from fer_features.runtime.keras_runtime import import_keras, keras_settings
from fer_features.runtime.progress import Log, Progress, clock, no_log, no_progress
from fer_features.training.checkpoint import (
    State,
    checkpoint_path,
    load_checkpoint,
    save_checkpoint,
)
from fer_features.training.data import TrainingData, load_cached_data, load_training_data
from fer_features.training.recipe import (
    SETTLED_LATE,
    check,
    identity_of,
    is_cache,
    options_of,
    out_of,
    seen_before,
    settled,
)
from fer_features.training.record import (
    add_test_scores,
    check_same,
    curves_path,
    finished,
    score_rows,
    write_trained,
)
from fer_features.training.teachers import read_teachers, soft_labels
from fer_features.training.trainer import Trainer, batches, make_trainer

SPACE = 60_000_000
"""Bytes that fernet needs. What another network needs is known once it has been built."""

_ELSEWHERE = "name a file in another folder with --out"


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        path: the weights file.
        provenance: its data, command, scores and software.
        found: whether it existed before.
    """

    path: Path
    provenance: dict[str, Any]
    found: bool = False


def train(config: TrainConfig, *, progress: Progress = no_progress, log: Log = no_log) -> Trained:
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
    config = settled(config)
    check(config)
    _check_out(out_of(config))
    found, options = finished(out_of(config)), options_of(config)
    check_same(out_of(config), found, options, unknown=SETTLED_LATE)  # before data are read
    task = load_task(config.task)
    opened = Cache(Path(config.data)) if is_cache(config.data) else open_source(config)
    with opened if isinstance(opened, Cache) else nullcontext():
        return _train_on(config, found, options, opened, task, progress, log)


def _train_on(
    config: TrainConfig,
    found: dict[str, Any] | None,
    settled_early: dict[str, Any],
    opened: Cache | FaceSource,
    task: Task,
    progress: Progress,
    log: Log,
) -> Trained:
    """Train on an opened source or cache, unless that has been done."""
    if isinstance(opened, Cache):
        digest, key = str(opened.header.dataset["sha256"]), _cache_key(opened)
    else:
        digest, key = opened.digest(), ""
        for text in (
            *opened.index().notes,
            *photograph_notes(opened, option="fer extract --detect, whose maps fer train takes,"),
        ):
            log(f"note: {text}")
    out, own = out_of(config), identity_of(config, settled_early, digest, cache_key=key)
    check_same(out, found, own)
    if found is not None and not (config.test and "test" not in found["scores"]):
        return Trained(out, found, found=True)
    teachers = read_teachers(config.teachers, task)
    options: dict[str, Any] = {
        "ferplus": config.ferplus,
        "seed": config.seed,
        "seen": seen_before(config),
        "keep_copies": config.keep_copies,
        "progress": progress,
    }
    if isinstance(opened, Cache):
        data = load_cached_data(opened, str(config.tail_from), task, **options)
    else:
        data = load_training_data(opened, task, cache_dir=config.cache_dir, **options)
    if found is None:
        log(
            f"{len(data.split.train):,} images to learn from, {len(data.split.validation):,} to "
            f"validate on (split {data.split.name}, copies "
            f"{'kept' if config.keep_copies else 'removed'})"
        )
        soft = None
        if data.maps and teachers:
            soft = soft_labels(teachers, data.images[data.split.train], progress=progress)
            teachers = []
        targets = data.targets(config.smoothing, config.balance, soft, config.teacher_weight)
        found = _train(config, data, targets, teachers, own, progress, log)
    return Trained(out, add_test_scores(config, data) if config.test else found)


def _cache_key(cache: Cache) -> str:
    """The key of a cache and its rows."""
    rows = hashlib.sha256(cache.rows.source_row.tobytes()).hexdigest()
    return f"{cache.header.key}-{rows[:16]}"


def _check_out(out: Path) -> None:
    """Raise a `FerError` if a checkpoint and the weights cannot be written."""
    if out.suffix != ".h5":
        raise FerError(f"--out {out}: the name of a weights file ends in .h5")
    if os.path.lexists(out) and not out.is_file():
        raise FerError(f"--out {out} exists, and is no file")
    if not out.parent.is_dir():
        raise FerError(f"--out {out}: there is no folder {out.parent}", hint=_ELSEWHERE)
    check_picture(curves_path(out))
    check_writable(out, hint=_ELSEWHERE)
    check_space(out.parent, SPACE, hint=f"make room, or {_ELSEWHERE}")


@keras_settings()
def _train(
    config: TrainConfig,
    data: TrainingData,
    targets: NDArray[np.float32],
    teachers: list[WeightsFile],
    identity: dict[str, Any],
    progress: Progress,
    log: Log,
) -> dict[str, Any]:
    n, out, epochs = len(data.split.train), out_of(config), int(config.epochs or 0)
    steps = n // config.batch_size
    if not steps:
        raise FerError(f"{n} images: fewer than the {config.batch_size} of --batch-size")
    trainer = make_trainer(
        config,
        outputs=data.outputs,
        classes=len(data.task.classes),
        steps=steps * epochs,
        precision=identity["precision"],
        teachers=teachers,
    )
    _check_space(trainer, out.parent)
    checkpoint = checkpoint_path(out)
    state = load_checkpoint(checkpoint, trainer.variables, identity=identity)
    if state.epoch:
        log(f"resuming after epoch {state.epoch} of {epochs}")
    of_epoch = partial(
        batches,
        data.inputs,
        data.split.train,
        targets,
        size=config.batch_size,
        seed=config.seed,
        mixup=config.mixup,
    )
    while state.epoch < epochs:
        started = time.perf_counter()
        training = of_epoch(epoch=state.epoch)
        title = f"epoch {state.epoch + 1} of {epochs}"
        with progress(title, steps * config.batch_size, "images") as advance:
            values = _train_epoch(trainer, training, partial(advance, config.batch_size))
        values |= _validate(config, trainer, training, data, state)
        state.append(values)
        state.seconds += time.perf_counter() - started
        save_checkpoint(checkpoint, state, trainer.variables, identity=identity)
        log(_line(state, epochs))
    with _weights_to_keep(trainer, state, of_epoch(epoch=epochs - 1), log):
        provenance = write_trained(config, data, trainer, state, identity)
    checkpoint.unlink(missing_ok=True)
    return provenance


def _check_space(trainer: Trainer, folder: Path) -> None:
    """Raise a `FerError` if a folder has no room for two checkpoints, the old one and the new."""
    variables = [*trainer.variables, *trainer.student.variables]  # and those of a best epoch
    needed = 2 * sum(4 * int(np.prod(one.shape)) for one in variables)
    check_space(folder, needed, hint=f"make room, or {_ELSEWHERE}")


def _weights_to_keep(
    trainer: Trainer, state: State, training: Any, log: Log
) -> AbstractContextManager[None]:
    """In the block, the trainer has the weights of the epoch that is kept."""
    if not state.kept:
        return trainer.averaged(training)
    best = int(np.argmin(state.history["val_loss"])) + 1
    log(f"kept: the weights of epoch {best}, which has the lowest validation loss")
    trainer.assign(state.kept)
    return nullcontext()


def _validate(
    config: TrainConfig, trainer: Trainer, training: Any, data: TrainingData, state: State
) -> dict[str, float]:
    """Loss and accuracy of the averaged weights, which are kept where they are to be."""
    with trainer.averaged(training):
        scores = score_rows(trainer.logits, data, data.split.validation)
        best = min(state.history.get("val_loss", ()), default=np.inf)
        if config.keep == "best" and scores.log_loss < best:
            state.kept = trainer.values
    return {"val_loss": scores.log_loss, "val_accuracy": scores.accuracy}


def _line(state: State, epochs: int) -> str:
    """What is said after an epoch."""
    last = {name: f"{values[-1]:.4f}" for name, values in state.history.items()}
    left_s = (epochs - state.epoch) * state.seconds / state.epoch
    return (
        f"epoch {state.epoch} of {epochs}: loss {last['loss']}, accuracy {last['accuracy']}; "
        f"validation loss {last['val_loss']}, accuracy {last['val_accuracy']}; {clock(left_s)} left"
    )


def _train_epoch(trainer: Trainer, data: Any, on_batch: Callable[[], None]) -> dict[str, float]:
    """Train for one epoch; return its loss and accuracy."""
    callback = import_keras().callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: on_batch()
    )
    callback.async_safe = True  # the device need not wait for the loss that it does not look at
    history = trainer.model.fit(data, epochs=1, shuffle=False, verbose=0, callbacks=[callback])
    found = {name: float(history.history[name][-1]) for name in ("loss", "accuracy")}
    if not np.isfinite(found["loss"]):
        raise FerError("training diverged: the loss is not finite", hint="lower --learning-rate")
    return found
