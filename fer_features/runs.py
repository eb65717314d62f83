"""A run: one head fitted on one split of one cache, as a folder with ``run.json`` in it."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_features.errors import FerError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RUN_FORMAT_VERSION = 2
RECORD = "run.json"
PREDICTIONS = "predictions.npz"


@dataclass(frozen=True)
class Part:
    """What a head said of the rows of one part.

    Attributes:
        row: int64 (n,), numbers of the source's rows.
        label: int64 (n,), the true class codes.
        probability: float64 (n, K).
        twin: bool (n,), which rows have an exact or near twin in an earlier part.
    """

    row: NDArray[np.int64]
    label: NDArray[np.int64]
    probability: NDArray[np.float64]
    twin: NDArray[np.bool_]


@dataclass(frozen=True)
class Predictions:
    """What a head said of the rows that it was chosen and scored on."""

    validation: Part
    test: Part

    def save(self, folder: Path) -> Path:
        """Write them into a run's folder."""
        import numpy as np

        path = folder / PREDICTIONS
        np.savez_compressed(
            path,
            **{
                f"{part}_{name}": array
                for part, one in vars(self).items()
                for name, array in vars(one).items()
            },
        )
        return path


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: its folder.
        record: what ``run.json`` says.
    """

    path: Path
    record: dict[str, Any]

    def predictions(self) -> Predictions:
        """What the head said of the validation and test rows.

        Raises:
            FerError: the file is missing or damaged.
        """
        import numpy as np

        path = self.path / PREDICTIONS
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                validation, test = (
                    Part(**{name: file[f"{part}_{name}"] for name in Part.__dataclass_fields__})
                    for part in ("validation", "test")
                )
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise FerError(f"{path}: the run's predictions cannot be read", hint=_REMOVE) from error
        return Predictions(validation, test)


def make_folder(path: Path) -> None:
    """Make a folder for runs, if it is not there.

    Raises:
        FerError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FerError(
            f"{path}: no folder for runs can be made there: {error.strerror or error}",
            hint="give another one with --runs-dir",
        ) from error


@contextmanager
def new_run(path: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `path` only when the block ends well."""
    make_folder(path.parent)
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        draft.chmod(0o755)  # mkdtemp makes it private
        yield draft
        if path.exists():
            shutil.rmtree(path)
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write ``run.json``; numbers that JSON lacks (NaN, infinity) are a fault of the program."""
    text = json.dumps({"format_version": RUN_FORMAT_VERSION, **record}, indent=2, allow_nan=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def read_run(path: Path) -> Run:
    """Read a run's folder, or its ``run.json``.

    Raises:
        FerError: it is no run, or one of a newer version.
    """
    folder = path.parent if path.name == RECORD else path
    file = folder / RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        version = int(record["format_version"])
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FerError(
            f"no run in {path}", hint="fer fit makes one; --runs-dir names a folder of many"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FerError(f"{file}: not a run's record", hint=_REMOVE) from error
    if version > RUN_FORMAT_VERSION:
        raise FerError(
            f"{file}: run format {version} is newer than this program's {RUN_FORMAT_VERSION}",
            hint="pip install --upgrade fer-features",
        )
    if version < RUN_FORMAT_VERSION:
        raise FerError(
            f"{file}: run format {version}, of an earlier version, is no longer read", hint=_REMOVE
        )
    if not _is_whole(record):
        raise FerError(f"{file}: the run's record is damaged", hint=_REMOVE)
    return Run(folder, record)


_REMOVE = "remove its folder, and fit again"


def _is_whole(record: dict[str, Any]) -> bool:
    """Whether a record has what a comparison reads, in the types that it has to be of."""
    try:
        numbers = [record[part]["accuracy"] for part in ("validation", "test")]
        numbers += [record["seconds"][clock] for clock in ("fit", "predict")]
        texts = [record["id"], record["created"], record["head"]["name"], record["data"]["digest"]]
        texts += [record["cache"]["spec"][name] for name in ("backbone", "weights")]
        objects = [record["task"], record["split"], record["split"]["leaked"], record["intervals"]]
    except (KeyError, TypeError):
        return False
    return (
        all(isinstance(number, int | float) for number in numbers)
        and all(isinstance(text, str) for text in texts)
        and all(isinstance(one, dict) for one in objects)
    )


def list_runs(folder: Path, *, note: Callable[[str], None] | None = None) -> list[Run]:
    """All runs in a folder, the newest at the end.

    Args:
        folder: where they are.
        note: told of each run that cannot be read, which is then left out.

    Raises:
        FerError: one cannot be read, and nobody is to be told.
    """
    runs = []
    for path in sorted(folder.glob(f"*/{RECORD}")):
        try:
            runs.append(read_run(path))
        except FerError as error:
            if note is None:
                raise
            note(f"left out: {error.message}; {error.hint}")
    return sorted(runs, key=lambda run: str(run.record["created"]))
