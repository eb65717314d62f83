"""Opening a stranger's model runs no code, and anything wrong with it is one line."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import fer_features as fer
from fer_features.heads import make_head
from fer_features.model.file import write_model
from fer_features.model.load import packaged_file
from tests.model import hostile_models as hostile

MOST_MEMORY = 50 << 20


def model_with(name: str, folder: Path, **parameters: Any) -> bytes:
    """The file of a model like fernet-binary with another head, fitted to random features."""
    random = np.random.default_rng(0)
    shape = (60, 3, 3, 4) if name == "dense" else (60, 8)
    head = make_head(name, **parameters)
    head.fit(random.normal(size=shape).astype(np.float16), np.arange(60) % 2)
    record = fer.load_model("fernet-binary").record
    output = "map" if name == "dense" else "pooled"
    record = msgspec.structs.replace(record, head=name, output=output, threshold=0.5)
    return write_model(folder / name, record, head, weights=None).read_bytes()


def cases(kind: str, folder: Path) -> Any:
    canary = folder / "canary"
    if kind == "keras":
        yield from hostile.odd_keras(model_with("dense", folder, epochs=1), canary)
        return
    if kind == "ensemble":
        good = model_with("ensemble", folder, members=("logreg", "ridge"))
        yield from hostile.odd_ensembles(good, canary)
        return
    good = model_with("logreg", folder)
    if kind == "skops":
        yield from hostile.odd_skops(good, canary)
    else:
        makers = {"damaged": hostile.damaged, "zip": hostile.odd_zips, "json": hostile.odd_records}
        yield from makers[kind](good)


LEAST = {"damaged": 70, "zip": 54, "json": 100, "skops": 90, "keras": 39, "ensemble": 13}
"""How many files there are of each kind, at least."""


def message_of(path: Path) -> str:
    """The error that a file gives; empty where it is opened."""
    try:
        fer.load_model(path)
    except fer.FerError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "kind", [pytest.param(one, marks=[pytest.mark.long] * (one == "keras")) for one in LEAST]
)
def test_a_hostile_file_is_an_error_of_one_line_and_runs_nothing(kind: str, tmp_path: Path) -> None:
    path, names = tmp_path / "model.fer", []
    for name, content in cases(kind, tmp_path):
        path.write_bytes(content)
        if "bomb" in name:  # slow
            tracemalloc.start()
        message = message_of(path)
        assert message, f"{name} was opened"
        assert "\n" not in message, name
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY, name
        tracemalloc.stop()
        assert not (tmp_path / "canary").exists(), name
        names.append(name)
    assert len(names) >= LEAST[kind]


def test_good_files_of_these_kinds_can_be_read(tmp_path: Path) -> None:
    for name in ("logreg", "ensemble"):
        (tmp_path / "good.fer").write_bytes(
            hostile.model_of(hostile.entries_of(model_with(name, tmp_path)))
        )
        assert fer.load_model(tmp_path / "good.fer").record.head == name
    packaged = packaged_file("fernet")
    assert packaged is not None
    assert packaged.stat().st_size < 20_000
