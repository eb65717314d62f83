"""A run: one head fitted on one split of one cache, as a folder with ``run.json`` in it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_features.errors import UPDATE, FerError, reason_of
from fer_features.runs.schema import fault_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RUN_FORMAT_VERSION = 2
RECORD = "run.json"
PREDICTIONS = "predictions.npz"

LARGEST_RECORD = 16 << 20
"""Bytes of a ``run.json``; those of a long training have some 100,000."""

LARGEST_PREDICTIONS = 1 << 30
"""Bytes of a run's predictions, unpacked: ten million rows of seven classes."""


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
            _check_size(path, LARGEST_PREDICTIONS)
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                if sum(one.file_size for one in file.zip.infolist()) > LARGEST_PREDICTIONS:
                    raise ValueError("too large")
                parts = {
                    part: Part(
                        **{name: file[f"{part}_{name}"] for name in Part.__dataclass_fields__}
                    )
                    for part in ("validation", "test")
                }
        except (OSError, *_TORN) as error:
            raise FerError(f"{path}: the run's predictions cannot be read", hint=_REMOVE) from error
        for part, one in parts.items():
            classes = self.record[part]["classes"] if part in self.record else None
            if not _is_part(one, None if classes is None else len(classes)):
                raise FerError(f"{path}: the run's predictions are damaged", hint=_REMOVE)
        return Predictions(**parts)


_TORN = (KeyError, ValueError, AttributeError, MemoryError, zlib.error, zipfile.BadZipFile)
"""What NumPy raises for a file that is no archive of arrays, or a damaged one."""


def _is_part(part: Part, n_classes: int | None) -> bool:
    """Whether the arrays are of one length and hold what `Part` says."""
    import numpy as np

    shape = np.shape(part.probability)
    n, k = shape if len(shape) == 2 else (-1, -1)
    return (
        all(np.shape(one) == (n,) for one in (part.row, part.label, part.twin))
        and k == (n_classes or k)
        and (part.row.dtype.kind, part.label.dtype.kind, part.twin.dtype.kind) == ("i", "i", "b")
        and part.probability.dtype.kind == "f"
        and bool(np.isfinite(part.probability).all())
        and bool(((part.label >= 0) & (part.label < k)).all())
    )


def _check_size(path: Path, largest: int) -> None:
    """Make sure that a file is one, and no pipe or device that would be read for ever.

    Raises:
        OSError: there is none.
        ValueError: it is no file, or larger than any of its kind.
    """
    size = path.stat().st_size
    if not path.is_file() or size > largest:
        raise ValueError(f"{path} is no file of at most {largest} bytes")


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
def new_run(path: Path, *, log: Callable[[str], None] | None = None) -> Iterator[Path]:
    """A folder to fill, which takes the place of `path` only when the block ends well.

    Args:
        path: the run's folder. Where a link stands, the link goes and what it leads to stays.
        log: told of a link that was replaced.

    Raises:
        FerError: it cannot be written, or a file stands there.
    """
    make_folder(path.parent)
    draft = None
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        draft.chmod(0o755)  # mkdtemp makes it private
        yield draft
        _make_way(path, log)
        draft.rename(path)
    except (OSError, FerError) as error:
        cause = error.__cause__ if isinstance(error, FerError) else error
        if not isinstance(cause, OSError):
            raise
        raise FerError(
            f"{path} cannot be written: {reason_of(cause)}",
            hint="make room there, or name another folder with --runs-dir, and fit again",
        ) from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def _make_way(path: Path, log: Callable[[str], None] | None) -> None:
    """Take away the run that a new one replaces."""
    if path.is_symlink():
        if log is not None:
            log(f"{path} was a link to {path.readlink()}, which is left as it is")
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        raise FerError(
            f"{path} is a file where a run's folder belongs", hint="move it, and fit again"
        )


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
        _check_size(file, LARGEST_RECORD)
        record = json.loads(file.read_text(encoding="utf-8"))
        version = int(record["format_version"])
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FerError(
            f"no run in {path}", hint="fer fit makes one; --runs-dir names a folder of many"
        ) from error
    except OSError as error:
        raise FerError(f"{file} cannot be read: {reason_of(error)}") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise FerError(f"{file}: not a run's record", hint=_REMOVE) from error
    if version > RUN_FORMAT_VERSION:
        raise FerError(
            f"{file}: run format {version} is newer than this program's {RUN_FORMAT_VERSION}",
            hint=UPDATE,
        )
    if version < RUN_FORMAT_VERSION:
        raise FerError(
            f"{file}: run format {version}, of an earlier version, is no longer read", hint=_REMOVE
        )
    if fault := fault_of(record):
        raise FerError(f"{file}: the run's record is damaged: {fault}", hint=_REMOVE)
    return Run(folder, record)


_REMOVE = "remove its folder, and fit again"


def list_runs(folder: Path, *, log: Callable[[str], None] | None = None) -> list[Run]:
    """All runs in a folder, the newest at the end.

    Args:
        folder: where they are.
        log: told of each run that cannot be read, which is then left out.

    Raises:
        FerError: one cannot be read, and nobody is to be told.
    """
    runs: dict[Path, Run] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith(".") or not _may_be_run(path):
            continue
        try:
            run, place = read_run(path), path.resolve()
            if place in runs:
                raise FerError(f"{path} leads to the run in {runs[place].path}")
            runs[place] = run
        except FerError as error:
            if log is None:
                raise
            log(f"left out: {error.message}" + (f"; {error.hint}" if error.hint else ""))
    return sorted(runs.values(), key=lambda run: str(run.record["created"]))


def _may_be_run(path: Path) -> bool:
    """Whether it is a folder with a record, or a link that leads nowhere."""
    return os.path.lexists(path / RECORD) or (path.is_symlink() and not path.exists())
