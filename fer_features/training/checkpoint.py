"""Where an interrupted training goes on: everything that a later step depends on, in one file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fer_features.errors import FerError
from fer_features.runtime.files import draft_of

SUFFIX = ".part.npz"


@dataclass
class State:
    """How far a training is.

    Attributes:
        epoch: epochs that are done.
        seconds: what they took.
        history: by name a value for each of them.
    """

    epoch: int = 0
    seconds: float = 0.0
    history: dict[str, list[float]] = field(default_factory=dict)


def checkpoint_of(out: Path) -> Path:
    """The checkpoint of a training whose weights go to `out`."""
    return out.with_name(out.name + SUFFIX)


def save(path: Path, state: State, variables: Sequence[Any], *, identity: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all, in place of the one before.

    Args:
        path: where.
        state: how far the training is.
        variables: Keras variables: weights, moving averages, the optimiser's.
        identity: what a training must have in common with this one to go on from here.
    """
    from fer_features.runtime.keras_runtime import import_keras

    to_numpy = import_keras().ops.convert_to_numpy
    arrays = {f"v{number}": to_numpy(one.value) for number, one in enumerate(variables)}
    log = json.dumps({"identity": identity, "state": vars(state)}, allow_nan=False)
    with draft_of(path) as draft, draft.open("wb") as file:
        np.savez(file, log=np.array(log), **arrays)


def load(path: Path, variables: Sequence[Any], *, identity: dict[str, Any]) -> State:
    """Put a checkpoint's numbers into the variables; without a file, a state of nothing done.

    Raises:
        FerError: it is of another training, or damaged.
    """
    if not path.exists():
        return State()
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            log = json.loads(str(file["note"]))
            arrays = [file[f"v{number}"] for number in range(len(variables))]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise FerError(
            f"{path}: the checkpoint cannot be read", hint="remove it, and begin anew"
        ) from error
    for name, value in identity.items():
        if log["identity"].get(name) != value:
            raise FerError(
                f"{path} is of another training: its {name} is {log['identity'].get(name)!r}, "
                f"not {value!r}",
                hint="repeat that command to go on with it, or remove the file, or name another "
                "--out",
            )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return State(**log["state"])
