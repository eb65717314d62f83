"""The weights file at the end of a training: averaged weights, scores and provenance."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features import __version__
from fer_features.backbones.signatures import signature_list
from fer_features.backbones.weights import learnt_from
from fer_features.backbones.weights_file import (
    Seen,
    WeightsFile,
    arrays_of,
    is_weights_file,
    read_weights,
    write_weights,
)
from fer_features.config import TrainConfig
from fer_features.errors import FerError
from fer_features.metrics import Scores, score
from fer_features.runtime.figures import learning_curves, save_figure
from fer_features.runtime.flags import words_of
from fer_features.runtime.image_keys import image_keys
from fer_features.runtime.keras_runtime import backend_name
from fer_features.training.checkpoint import State, difference
from fer_features.training.data import TrainingData
from fer_features.training.predict import Logits, model_of, probabilities
from fer_features.training.recipe import (
    SCRATCH,
    backbone_of,
    out_of,
    recipe_of,
    seen_before,
    starting_weights,
)
from fer_features.training.trainer import Trainer

_ELSEWHERE = "name another file with --out, or move that one away"


def finished(out: Path) -> dict[str, Any] | None:
    """The provenance of a finished file; None if there is none.

    Raises:
        FerError: it is no weights file.
    """
    if not out.exists():
        return None
    if not is_weights_file(out):
        raise FerError(f"{out} exists, and is no weights file", hint=_ELSEWHERE)
    return read_weights(out).provenance


def check_same(
    out: Path,
    found: dict[str, Any] | None,
    identity: dict[str, Any],
    *,
    unknown: Collection[str] = (),
) -> None:
    """Raise a `FerError` if a finished file is of another training.

    Args:
        out: the file.
        found: its provenance; None if there is none.
        identity: of the training.
        unknown: what the identity does not tell yet.
    """
    if found is None:
        return
    recorded = found.get("identity") or {}
    known = {name: value for name, value in recorded.items() if name not in unknown}
    if other := difference(known, identity):
        raise FerError(f"{out} exists, and is of another training: {other}", hint=_ELSEWHERE)


def write_trained(
    config: TrainConfig,
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
    train, before = data.split.train, seen_before(config)
    own = Seen(image_keys(data.sha256[train]), signature_list(data.images[train]))
    seen = Seen.union([own, before] if before else [own])
    content = WeightsFile(
        network=arrays_of(trainer.network.weights, unchanged=trainer.unchanged),
        top={name.rpartition("/")[2]: array for name, array in top.items()},
        seen=seen.keys,
        provenance=_provenance(config, data, state, identity),
        signatures=seen.signatures,
    )
    content.provenance["data"]["seen"] = len(content.seen)
    scores = _score_file(config, content, data, data.split.validation)
    content.provenance["scores"] = {"validation": scores.to_dict()}
    out = out_of(config)
    write_weights(out, content)
    title = f"{out.name}, {state.epoch} epochs"
    save_figure(learning_curves(state.history, title=title, mark_best=False), curves_path(out))
    return content.provenance


def _provenance(
    config: TrainConfig, data: TrainingData, state: State, identity: dict[str, Any]
) -> dict[str, Any]:
    weights = starting_weights(config)
    start = weights and {
        "label": weights.label,
        "sha256": weights.sha256,
        "learnt_from": learnt_from(weights),
    }
    teachers = [
        {"name": path.name, "sha256": digest}
        for path, digest in zip(config.teachers, identity.get("teachers", []), strict=True)
    ]
    return {
        "identity": identity,
        **({"start": start} if start else {}),
        **({"teachers": teachers} if teachers else {}),
        "backbone": config.backbone,
        "task": data.task.to_dict(),
        "data": {
            "name": Path(data.name).name,
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


def add_test_scores(config: TrainConfig, data: TrainingData) -> dict[str, Any]:
    """Score the test part with a finished file's weights, and add that to its provenance."""
    out = out_of(config)
    content = read_weights(out)
    scores = _score_file(config, content, data, data.split.test)
    content.provenance["scores"]["test"] = scores.to_dict()
    write_weights(out, content)
    return content.provenance


def _score_file(
    config: TrainConfig, content: WeightsFile, data: TrainingData, rows: NDArray[np.int64]
) -> Scores:
    layer = config.tail_from if data.maps else None
    model = model_of(backbone_of(config), content, layer=layer)
    return score_rows(model, data, rows)


def score_rows(logits: Logits, data: TrainingData, rows: NDArray[np.int64]) -> Scores:
    """Scores of some rows, averaged over each image and its mirror image."""
    task = data.task
    inputs, *mirrored = (view[rows] for view in data.inputs)
    probability = probabilities(
        logits, inputs, classes=len(task.classes), mirrored=mirrored[0] if mirrored else None
    )
    return score(data.label[rows], probability, classes=task.class_names, positive=task.positive)


def curves_path(out: Path) -> Path:
    """The picture of the learning curves of a training whose weights go to `out`."""
    return out.with_suffix(".curves.png")


def command(config: TrainConfig) -> str:
    """The command that repeats a training, with the names of files alone."""
    usual: dict[str, Any] = {
        name: None for name, value in recipe_of(config).items() if getattr(config, name) == value
    }
    given = replace(config, **usual)
    if config.start == SCRATCH:
        given = replace(given, start=None)
    elif config.start is not None:
        given = replace(given, start=Path(config.start).name)
    if config.size == backbone_of(config).default_size:
        given = replace(given, size=None)
    if config.backbone == "fernet":
        given = replace(given, backbone=None)
    words = ["fer", "train", Path(config.data).name]
    words += words_of(given, skip=("data", "out", "test", "cache_dir"), path=lambda path: path.name)
    return shlex.join(words)
