"""The weights file at the end of a training: rounded averages, scores, and where they came from."""

from __future__ import annotations

import platform
import shlex
from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features import __version__
from fer_features.backbones import Backbone
from fer_features.backbones.signatures import signature_list
from fer_features.backbones.weights_file import WeightsFile, arrays_of, read_weights, write_weights
from fer_features.config import PretrainConfig
from fer_features.data.tasks import Task
from fer_features.metrics import Scores, score
from fer_features.runtime.figures import learning_curves, save_figure
from fer_features.runtime.image_keys import image_keys
from fer_features.runtime.keras_runtime import backend_name
from fer_features.training.checkpoint import State
from fer_features.training.data import Lesson
from fer_features.training.learner import Learner
from fer_features.training.predict import Logits, model_of, probabilities


def finish(
    config: PretrainConfig,
    backbone: Backbone,
    task: Task,
    lesson: Lesson,
    learner: Learner,
    state: State,
    identity: dict[str, Any],
) -> dict[str, Any]:
    """Write a learner's weights as they are, in half precision, with the scores that gives."""
    network, top = arrays_of(learner.network.variables), arrays_of(learner.top.variables)
    top = {name.rpartition("/")[2]: array for name, array in top.items()}
    seen = np.unique(image_keys(lesson.sha256[lesson.train]))
    provenance = {
        "identity": identity,
        "backbone": config.backbone,
        "task": task.to_dict(),
        "data": {
            "name": Path(config.data).name,
            "sha256": identity["data"],
            "split": lesson.split,
            "train": len(lesson.train),
            "validation": len(lesson.validation),
            "test": len(lesson.test),
            "seen": len(seen),
        },
        "command": command(config),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": state.seconds,
        "history": state.history,
        "scores": {},
        "software": {
            "fer_features": __version__,
            "python": platform.python_version(),
            "backend": backend_name(),
            **{name: version(name) for name in ("keras", "numpy")},
        },
    }
    signatures = signature_list(lesson.images[lesson.train])
    content = WeightsFile(network, top, seen, provenance, signatures)
    found = score_part(model_of(backbone, content), lesson, lesson.validation, task)
    provenance["scores"] = {"validation": found.to_dict()}
    write_weights(config.out, content)
    figure = learning_curves(
        state.history, title=f"{config.out.name}, {state.epoch} epochs", mark_best=False
    )
    save_figure(figure, curves_of(config.out))
    return provenance


def curves_of(out: Path) -> Path:
    """The picture of the learning curves of a training whose weights go to `out`."""
    return out.with_suffix(".curves.png")


def score_part(logits: Logits, lesson: Lesson, rows: NDArray[np.int64], task: Task) -> Scores:
    """Score what is said of some rows and their mirror images."""
    said = probabilities(logits, lesson.images[rows], classes=len(task.classes))
    return score(lesson.label[rows], said, classes=task.class_names, positive=task.positive)


def score_test(out: Path, backbone: Backbone, task: Task, lesson: Lesson) -> dict[str, Any]:
    """Score the test part with the weights as they are in the file, and note it there."""
    content = read_weights(out)
    found = score_part(model_of(backbone, content), lesson, lesson.test, task)
    content.provenance["scores"]["test"] = found.to_dict()
    write_weights(out, content)
    return content.provenance


def command(config: PretrainConfig) -> str:
    """The command that repeats a training."""
    words = ["fer", "pretrain", Path(config.data).name]
    for one in fields(config):
        value = getattr(config, one.name)
        if one.name in ("data", "out", "test", "ignore", "classes") or value == one.default:
            continue
        value = value.name if isinstance(value, Path) else value
        words.append(f"--{one.name.replace('_', '-')}")
        words += [] if value is True else [str(value)]
    for name in config.ignore:
        words += ["--ignore", name]
    for name, emotion in config.classes.items():
        words += ["--map", f"{name}={emotion}"]
    return shlex.join(words)
