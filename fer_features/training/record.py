"""The weights file at the end of a training: averaged weights, scores and provenance."""

from __future__ import annotations

import platform
import shlex
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features import __version__
from fer_features.backbones import get_backbone
from fer_features.backbones.signatures import signature_list
from fer_features.backbones.weights_file import WeightsFile, arrays_of, read_weights, write_weights
from fer_features.config import PretrainConfig
from fer_features.metrics import Scores, score
from fer_features.runtime.figures import learning_curves, save_figure
from fer_features.runtime.flags import words_of
from fer_features.runtime.image_keys import image_keys
from fer_features.runtime.keras_runtime import backend_name
from fer_features.training.checkpoint import State
from fer_features.training.data import TrainingData
from fer_features.training.predict import Logits, model_of, probabilities
from fer_features.training.trainer import Trainer


def write_trained(
    config: PretrainConfig,
    data: TrainingData,
    trainer: Trainer,
    state: State,
    identity: dict[str, Any],
) -> dict[str, Any]:
    """Write a trainer's current weights in half precision; return their provenance.

    The scores are those of the rounded weights. A picture of the learning curves is written beside
    the file.
    """
    top = arrays_of(trainer.top.variables)
    content = WeightsFile(
        network=arrays_of(trainer.network.variables),
        top={name.rpartition("/")[2]: array for name, array in top.items()},
        seen=np.unique(image_keys(data.sha256[data.split.train])),
        provenance=_provenance(config, data, state, identity),
        signatures=signature_list(data.images[data.split.train]),
    )
    content.provenance["data"]["seen"] = len(content.seen)
    scores = score_rows(
        model_of(get_backbone(config.backbone), content), data, data.split.validation
    )
    content.provenance["scores"] = {"validation": scores.to_dict()}
    write_weights(config.out, content)
    figure = learning_curves(
        state.history, title=f"{config.out.name}, {state.epoch} epochs", mark_best=False
    )
    save_figure(figure, curves_path(config.out))
    return content.provenance


def _provenance(
    config: PretrainConfig, data: TrainingData, state: State, identity: dict[str, Any]
) -> dict[str, Any]:
    return {
        "identity": identity,
        "backbone": config.backbone,
        "task": data.task.to_dict(),
        "data": {
            "name": Path(config.data).name,
            "sha256": identity["data"],
            "split": data.split.name,
            **{part: len(getattr(data.split, part)) for part in ("train", "validation", "test")},
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


def add_test_scores(config: PretrainConfig, data: TrainingData) -> dict[str, Any]:
    """Score the test part with a finished file's weights, and add that to its provenance."""
    content = read_weights(config.out)
    scores = score_rows(model_of(get_backbone(config.backbone), content), data, data.split.test)
    content.provenance["scores"]["test"] = scores.to_dict()
    write_weights(config.out, content)
    return content.provenance


def score_rows(logits: Logits, data: TrainingData, rows: NDArray[np.int64]) -> Scores:
    """Scores of some rows, averaged over each image and its mirror image."""
    task = data.task
    probability = probabilities(logits, data.images[rows], classes=len(task.classes))
    return score(data.label[rows], probability, classes=task.class_names, positive=task.positive)


def curves_path(out: Path) -> Path:
    """The picture of the learning curves of a training whose weights go to `out`."""
    return out.with_suffix(".curves.png")


def command(config: PretrainConfig) -> str:
    """The command that repeats a training, with the names of files alone."""
    words = ["fer", "pretrain", Path(config.data).name]
    words += words_of(config, skip=("data", "out", "test"), path=lambda path: path.name)
    return shlex.join(words)
