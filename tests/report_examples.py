"""Folders of runs and a cache of a few faces, for tests of the report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from run_examples import record

from fer_features.cache import Header, Rows, RowSelection, open_writer
from fer_features.data.tasks import BINARY, Task
from fer_features.metrics import score
from fer_features.runs.run import Run, read_run

ROWS = 40
"""Rows of the cache: the first half is training, a quarter validation, a quarter test."""

VALIDATION, TEST = np.arange(20, 30), np.arange(30, 40)


def make_cache(path: Path, *, key: str = "key") -> Path:
    """A cache that holds nothing but 40 faces of grey noise; every second one is happy."""
    numbers = np.arange(ROWS, dtype=np.int64)
    info = {"task": {"name": "few"}, "per_class": None, "seed": 0, "skip_bad": False}
    header = Header(spec={"backbone": "tiny"}, dataset={"name": "few", "sha256": "d"}, key=key)
    selection = RowSelection(info=info, features=(), rows=numbers)
    rows = Rows(
        emotion=np.where(numbers % 2, 3, 4).astype(np.int8),
        usage=(numbers % 3).astype(np.int8),
        sha256=np.array([b"%064d" % n for n in numbers], "S64"),
        source_row=numbers,
    )
    images = np.random.default_rng(0).integers(0, 256, (ROWS, 48, 48), np.uint8)
    with open_writer(path) as writer:
        with writer.journal(
            header=header,
            selection=selection,
            software={"engine": "by hand"},
            columns={"image": ((48, 48), "uint8")},
        ) as journal:
            journal.append(rows, {"image": images})
        writer.compact()
    return path


def merge(record: dict[str, Any], changes: dict[str, Any]) -> None:
    """Put changes into a record, those of its objects field by field."""
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(record.get(name), dict):
            merge(record[name], value)
        else:
            record[name] = value


@dataclass(frozen=True)
class Writer:
    """Writes runs that were fitted on one cache."""

    runs: Path
    cache: Path

    def write(
        self, head: str = "svm", /, *, task: Task = BINARY, seed: int = 0, **changes: Any
    ) -> Run:
        """A run of format 2 with random predictions, and `changes` merged into its record."""
        about = record(head, task=task, seed=seed, **changes.pop("about", {}))
        names = task.class_names
        draw = np.random.default_rng([seed, len(head)])
        arrays = {}
        for part, rows in (("validation", VALIDATION), ("test", TEST)):
            label = rows % len(names)
            probability = draw.dirichlet(np.ones(len(names)), len(rows))
            twin = np.zeros(len(rows), bool)
            arrays |= {f"{part}_row": rows, f"{part}_label": label, f"{part}_twin": twin}
            arrays[f"{part}_probability"] = probability
            scores = score(label, probability, classes=names, positive=task.positive)
            about[part] = scores.to_dict()
        low = about["test"]["accuracy"] - 0.1
        about |= {
            "format_version": 2,
            "intervals": {"accuracy": [max(low, 0), min(low + 0.2, 1)]},
            "command": f"fer fit {self.cache} --head {head}",
            "software": {"python": "3.11"},
        }
        about["cache"] |= {
            "path": str(self.cache),
            "key": "key",
            "dataset": {"name": "few", "sha256": "d" * 64},
        }
        about["cache"]["spec"] |= {"weights_sha256": "ab" * 32, "size": 139}
        about["id"] = f"{head}-{about['split']['name']}-{seed}"
        merge(about, changes)
        folder = self.runs / about["id"]
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(about), encoding="utf-8")
        np.savez(folder / "predictions.npz", **arrays)
        return read_run(folder)


HISTORY = {
    "loss": [0.7, 0.5, 0.3],
    "accuracy": [0.5, 0.7, 0.9],
    "val_loss": [0.7, 0.6, 0.8],
    "val_accuracy": [0.5, 0.6, 0.6],
}

SIZES = [
    {"rows": n, "train_accuracy": 0.9, "validation_accuracy": v, "validation_log_loss": 0.6}
    for n, v in ((5, 0.5), (20, 0.7))
]
