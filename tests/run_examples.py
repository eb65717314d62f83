"""Records of runs, written out, for tests of what reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fer_features.data.tasks import BINARY, Task
from fer_features.metrics import NUMBERS
from fer_features.runs.record import decode_record
from fer_features.runs.run import RECORD, Run


def record(
    head: str = "dense",
    *,
    validation: float = 0.8,
    test: float = 0.7,
    task: Task = BINARY,
    digest: str = "d1",
    weights: str = "imagenet",
    precision: str = "float32",
    created: str = "2026-01-01",
    seed: int = 0,
    layers: tuple[str, ...] = ("conv_7b_ac",),
    views: tuple[str, ...] = (),
    features: str = "pooled",
    combine: str = "features",
    leak: dict[str, Any] | None = None,
    dropped: dict[str, int] | None = None,
    seen: dict[str, int] | None = None,
    fer2013: bool | None = True,
    rows: int = 17000,
    learnt_from: str = "",
    **split: Any,
) -> dict[str, Any]:
    """What a run's ``run.json`` says; `split` goes into its split."""
    scores = {
        **dict.fromkeys(NUMBERS, 0.5),
        "roc_auc": None,
        "classes": list(task.class_names),
        "confusion": np.eye(len(task.classes), dtype=int).tolist(),
    }
    spec = {"backbone": "inception_resnet_v2", "weights": weights, "precision": precision}
    spec |= {"learnt_from": learnt_from}
    return {
        "id": f"{head}-{digest}",
        "created": created,
        "cache": {"key": f"key-{weights}-{precision}", "spec": spec},
        "data": {
            "name": "fer2013.csv",
            "rows": rows,
            "digest": digest,
            "labels": "original",
            "dropped": dropped or {},
            "seen": seen,
            "fer2013": fer2013,
        },
        "task": task.to_dict(),
        "split": {
            "name": "grouped",
            "seed": seed,
            "train": 6,
            "validation": 2,
            "test": 2,
            "leaked": {"exact": 0, "near": 0},
            **split,
        },
        "seed": seed,
        "head": {
            "name": head,
            "title": head,
            "layers": list(layers),
            "features": features,
            "views": list(views),
            "combine": combine,
            "params": {},
            "chosen": {},
        },
        "validation": {**scores, "accuracy": validation},
        "test": {**scores, "accuracy": test},
        "intervals": {"accuracy": [test - 0.05, test + 0.05]},
        "leak": leak,
        "calibration": None,
        "operate": None,
        "sizes": None,
        "history": None,
        "seconds": {"fit": 12.34, "predict": 0.123},
    }


def run(*args: Any, change: dict[str, Any] | None = None, **kwargs: Any) -> Run:
    """A run that is on no disk; `change` goes over its record."""
    return Run(Path("runs/x"), decode_record(merged(record(*args, **kwargs), change or {})))


def changed(run: Run, change: dict[str, Any]) -> Run:
    """A run whose record says something else than its file."""
    return Run(run.path, decode_record(merged(msgspec.to_builtins(run.record), change)))


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A record with other values, of which objects go over objects."""
    return old | {
        name: merged(old[name], value)
        if isinstance(value, dict) and isinstance(old.get(name), dict)
        else value
        for name, value in new.items()
    }


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write a record as the ``run.json`` of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format_version": 2, **record}, allow_nan=False)
    (folder / RECORD).write_text(text, encoding="utf-8")
