"""The checkpoint of a training: all that a later step depends on, in one file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.errors import FerError
from fer_features.runtime.files import atomic_path
from fer_features.runtime.keras_runtime import import_keras

SUFFIX = ".part.npz"


@dataclass
class State:
    """The progress of a training.

    Attributes:
        epoch: finished epochs.
        seconds: their duration.
        history: a value per epoch for each of ``loss``, ``accuracy``, ``val_loss`` and
            ``val_accuracy``.
        kept: the values to write at the end, if they are not the last epoch's.
    """

    epoch: int = 0
    seconds: float = 0.0
    history: dict[str, list[float]] = field(default_factory=dict)
    kept: list[NDArray[Any]] = field(default_factory=list)

    def append(self, values: dict[str, float]) -> None:
        """Count an epoch that has ended with these values."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)
        self.epoch += 1


def checkpoint_path(out: Path) -> Path:
    """The checkpoint of a training whose weights go to `out`."""
    return out.with_name(out.name + SUFFIX)


def save_checkpoint(
    path: Path, state: State, variables: Sequence[Any], *, identity: dict[str, Any]
) -> None:
    """Write a checkpoint atomically, in place of the previous one.

    Args:
        path: the file.
        state: the progress.
        variables: Keras variables: weights, moving averages, the optimiser's.
        identity: what a training must have in common with this one to resume it.
    """
    to_numpy = import_keras().ops.convert_to_numpy
    arrays = {f"v{number}": to_numpy(one.value) for number, one in enumerate(variables)}
    arrays |= {f"kept{number}": array for number, array in enumerate(state.kept)}
    numbers = {name: value for name, value in vars(state).items() if name != "kept"}
    note = json.dumps({"identity": identity, "state": numbers}, allow_nan=False)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, note=np.array(note), **arrays)


def load_checkpoint(path: Path, variables: Sequence[Any], *, identity: dict[str, Any]) -> State:
    """Assign a checkpoint's arrays to the variables; without a file, return a fresh state.

    Raises:
        FerError: it is of another training, or damaged.
    """
    if not path.exists():
        return State()
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            content = json.loads(str(file["note"]))
            arrays = [file[f"v{number}"] for number in range(len(variables))]
            kept = [file[f"kept{n}"] for n in range(len(file.files)) if f"kept{n}" in file]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise FerError(
            f"{path}: the checkpoint cannot be read", hint="remove it, and start again"
        ) from error
    other = difference(content["identity"], identity)
    if other:
        raise FerError(
            f"{path} is of another training: {other}",
            hint="repeat that command to resume it, or remove the file, or name another --out",
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return State(**content["state"], kept=kept)


def difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The first thing in which a training's identity is not the wanted one; empty if in nothing."""
    for name in {**wanted, **found}:
        if found.get(name) != wanted.get(name):
            one, other = (repr(x[name]) if name in x else "the default" for x in (found, wanted))
            return f"its {name} is {one}, not {other}"
    return ""
