"""Accuracy on FER2013's PrivateTest of a model, beside the package `fer` of PyPI."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.config import AccuracyConfig
from benchmarks.fer_package import run_fer_package
from fer_features.data import EMOTIONS, USAGES, open_faces, read_all
from fer_features.data.twin_table import twin_table
from fer_features.errors import FerError
from fer_features.metrics.intervals import share_interval
from fer_features.model.load import load_model
from fer_features.runtime.console import table
from fer_features.runtime.progress import show_progress


def measure_accuracy(config: AccuracyConfig) -> dict[str, Any]:
    """Score all images of PrivateTest, and those without a copy of any kind in Training.

    Raises:
        FerError: the data have no PrivateTest part, the model has other classes than the seven, or
            the peer cannot be run.
    """
    source = open_faces(config.data)
    faces = read_all(source)
    test = faces.usage == USAGES.index("PrivateTest")
    if not test.any():
        raise FerError(
            f"{source.name} has no images of PrivateTest", hint="give Kaggle's fer2013.csv"
        )
    model = load_model(config.model)
    if tuple(model.classes) != EMOTIONS:
        raise FerError(
            f"{model.name} knows {', '.join(model.classes)}",
            hint="a model of the seven classes, such as fernet",
        )
    copies = twin_table(source, config.cache_dir, faces=faces, progress=show_progress)
    alone = ~copies.copied(faces.usage == USAGES.index("Training"))[test]
    images, label = faces.images[test], faces.emotion[test]
    called = {model.name: model.probabilities(images).argmax(axis=1)}
    if config.peer_python:
        version, probability = _peer(config.peer_python, images)
        called[f"fer {version} of PyPI"] = probability.argmax(axis=1)
    parts = {"all": np.full(len(label), True), "without a copy in Training": alone}
    return {
        "data": source.name,
        "images": {part: int(rows.sum()) for part, rows in parts.items()},
        "right": {
            name: {part: int((one == label)[rows].sum()) for part, rows in parts.items()}
            for name, one in called.items()
        },
    }


def _peer(python: Path, images: NDArray[np.uint8]) -> tuple[str, NDArray[np.float32]]:
    """The peer's version, and its probabilities (N, 7) in FER2013's order of classes."""
    with tempfile.TemporaryDirectory() as folder:
        given, answered = Path(folder, "faces.npy"), Path(folder, "probabilities.npy")
        np.save(given, images)
        version = run_fer_package(python, "fer_package_faces.py", given, answered)
        return version, np.load(answered)


def show_accuracy(measured: dict[str, Any]) -> None:
    """Print the accuracies and their 95 % intervals as a table."""
    rows = []
    for name, right in measured["right"].items():
        for part, n in measured["images"].items():
            low, high = share_interval(right[part], n)
            rows.append([name, part, f"{n:,}", f"{right[part] / n:.4f} [{low:.3f}, {high:.3f}]"])
    columns = ["", "images of PrivateTest", "images", "accuracy"]
    table(columns, rows, title=measured["data"], text_columns=columns[:2])
