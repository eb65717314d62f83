"""Pictures and faces a second of `fer predict`, beside the package `fer` of PyPI."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.config import PredictSpeedConfig
from benchmarks.fer_package import run_fer_package
from benchmarks.machine import describe_machine
from fer_features.detect.detector import Detector
from fer_features.detect.sources import list_sources
from fer_features.errors import FerError
from fer_features.model.decoding import Seconds
from fer_features.model.load import load_model
from fer_features.model.model import Model
from fer_features.model.pictures import predict_pictures
from fer_features.runtime.console import table

_ALONE = 100
_TOGETHER = 512
_ROUNDS = 9


def measure_predict(config: PredictSpeedConfig) -> dict[str, Any]:
    """Measure a folder in turn, round by round; and faces alone and together.

    Raises:
        FerError: the folder has no pictures, or the peer cannot be run.
    """
    sources = list(list_sources([config.folder]))
    if not sources:
        raise FerError(f"no pictures in {config.folder}")
    model, detector = load_model(config.model), Detector()
    _pictures(model, detector, sources[:3])
    ours, peer = [], []
    for _ in range(config.rounds):
        ours.append(_pictures(model, detector, sources))
        if config.peer_python:
            peer.append(_peer(config.peer_python, config.folder))
    return {
        "machine": describe_machine(),
        "load": os.getloadavg()[0],
        "model": model.name,
        "ours": min(ours, key=lambda one: one["seconds"]),
        "peer": min(peer, key=lambda one: one["seconds"]) if peer else None,
        "faces": _faces(model),
    }


def _pictures(model: Model, detector: Detector, sources: list[Path]) -> dict[str, Any]:
    waited, begun = Seconds(), time.perf_counter()
    pictures = faces = 0
    for answer in predict_pictures(model, sources, detector=detector, seconds=waited):
        pictures += 1
        faces += sum(row.face is not None for row in answer.rows)
    seconds = time.perf_counter() - begun
    return {"pictures": pictures, "faces": faces, "seconds": seconds, "shares": vars(waited)}


def _peer(python: Path, folder: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run_fer_package(python, "fer_package.py", folder))
    return answer


def _faces(model: Model) -> dict[str, float]:
    """A 48×48 face alone, in milliseconds; and many, beside their features alone, in turn."""
    images = np.random.default_rng(0).integers(0, 256, (_TOGETHER, 48, 48), np.uint8)
    views = 2 if model.record.views else 1
    both = np.concatenate([images] * views)
    runs: dict[str, Callable[[], object]] = {
        "features_per_s": lambda: model.features(both),
        "answers_per_s": lambda: model.probabilities(images),
    }
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for name, run in list(runs.items()) * _ROUNDS:
        begun = time.perf_counter()
        run()
        rates[name].append(_TOGETHER / (time.perf_counter() - begun))
    shares = [ours / theirs for theirs, ours in zip(*rates.values(), strict=True)]
    alone, used = [], []
    for image in images[:_ALONE]:
        begun, cpu = time.perf_counter(), time.process_time()
        model.probabilities(image[None])
        alone.append(time.perf_counter() - begun)
        used.append(time.process_time() - cpu)
    return {
        "alone_ms": 1000 * statistics.median(alone),
        "alone_least_ms": 1000 * min(alone),
        "alone_cpu_ms": 1000 * statistics.median(used),
        **{name: statistics.median(values) for name, values in rates.items()},
        "share": statistics.median(shares),
    }


def show_predict(measured: dict[str, Any]) -> None:
    """Print the measurement as a table."""
    names = {"ours": f"fer predict ({measured['model']})", "peer": "fer of PyPI"}
    rows = []
    for key, name in names.items():
        if one := measured[key]:
            seconds = one["seconds"]
            waited = ", ".join(f"{step} {s / seconds:.0%}" for step, s in one["shares"].items())
            rates = (f"{one[what] / seconds:.1f}" for what in ("pictures", "faces"))
            rows.append([name, str(one["pictures"]), str(one["faces"]), *rates, waited])
    columns = ["", "pictures", "faces", "pictures/s", "faces/s", "waited for"]
    table(columns, rows, text_columns=("", "waited for"))
    faces = measured["faces"]
    table(
        ["a 48×48 face alone, ms", "least", "processor time, ms", "faces/s", "their features/s",
         "of that"],
        [[f"{faces[name]:.2f}" for name in ("alone_ms", "alone_least_ms", "alone_cpu_ms")]
         + [f"{faces[name]:.0f}" for name in ("answers_per_s", "features_per_s")]
         + [f"{faces['share']:.0%}"]],
        title=f"load average {measured['load']:.1f}",
    )  # fmt: skip
