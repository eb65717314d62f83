"""Distillation: what trained networks say of the images that another one learns from.

Hinton, Vinyals and Dean, *Distilling the Knowledge in a Neural Network*, 2015
(https://arxiv.org/abs/1503.02531), at temperature 1. Teachers see each image as it has been
augmented for the student (Beyer and others, *Knowledge Distillation: A Good Teacher Is Patient and
Consistent*, 2022, https://arxiv.org/abs/2106.05237); for a student that learns from a cache's maps,
which no teacher can read, they are asked once about the images as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import get_backbone
from fer_features.backbones.weights_file import WeightsFile, read_weights
from fer_features.data.tasks import Task
from fer_features.errors import FerError
from fer_features.runtime.keras_runtime import import_keras, keras_settings
from fer_features.runtime.progress import Progress
from fer_features.training.predict import logits_of, model_of, probabilities


def read_teachers(paths: Sequence[Path], task: Task) -> list[WeightsFile]:
    """Read weights files of `fer train`.

    Raises:
        FerError: one cannot be read, or its classes are others.
    """
    found = list(map(read_weights, paths))
    for path, content in zip(paths, found, strict=True):
        if content.provenance["task"]["classes"] != task.to_dict()["classes"]:
            raise FerError(
                f"--teacher {path} has other classes than the task {task.name}",
                hint="name weights that fer train has made for the same --task",
            )
    return found


def soft_labels(
    teachers: Sequence[WeightsFile], images: NDArray[np.uint8], *, progress: Progress
) -> NDArray[np.float32]:
    """The mean of the teachers' probabilities, each over an image and its mirror image.

    Args:
        teachers: at least one.
        images: uint8 (n, 48, 48).
        progress: in images, each counted once for each teacher.

    Returns:
        float32 (n, classes).
    """
    classes = len(teachers[0].provenance["task"]["classes"])
    mean = np.zeros((len(images), classes))
    with progress("asking the teachers", len(images) * len(teachers), "images") as advance:
        for teacher in teachers:
            model: Any = model_of(get_backbone(teacher.provenance["backbone"]), teacher)
            found = probabilities(model, images, classes=classes, advance=advance)
            mean += found / len(teachers)
    return mean.astype(np.float32)


def answers(teachers: Sequence[WeightsFile], grey: Any, *, precision: str) -> Any:
    """A part of a Keras model: the mean of the teachers' probabilities (N, classes).

    Args:
        teachers: at least one.
        grey: grey levels 0 to 255, float32 (N, 48, 48, 1).
        precision: their layers' arithmetic.
    """
    ops: Any = import_keras().ops
    found = []
    for number, one in enumerate(teachers):
        with keras_settings(precision):
            logits = logits_of(
                get_backbone(one.provenance["backbone"]), one, grey, name=f"teacher_{number}"
            )
        found.append(ops.softmax(logits[:, : len(one.provenance["task"]["classes"])]))
    return ops.mean(ops.stack(found), axis=0)
