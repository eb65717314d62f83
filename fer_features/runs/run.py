"""A run: one head fitted on one split of one cache, as a folder with ``run.json`` in it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fer_features.errors import UPDATE, FerError, reason_of
from fer_features.runs.predictions import UNREADABLE, Predictions, check_size, read_predictions
from fer_features.runs.record import FORMAT_VERSION, RunRecord, decode_record, encode_record
from fer_features.runtime.progress import Log, no_log

if TYPE_CHECKING:
    from fer_features import Model

RECORD = "run.json"
PREDICTIONS = "predictions.npz"
"""The predictions' file in runs that do not name it."""

LARGEST_RECORD = 16 << 20
"""Bytes of a ``run.json``; those of a long training have some 100,000."""

_REMOVE = "remove its folder, and fit again"
_OWN_FILE = re.compile(r"(model|predictions|curves|sizes)(-[0-9a-f]{8})?\.\w+")
"""Names of the files that a run has beside its record."""

Save = Callable[[Path], Path]
"""Called with a path without suffix; writes one file there, and returns its path with suffix."""


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: its folder.
        record: the content of ``run.json``.
    """

    path: Path
    record: RunRecord

    def predictions(self) -> Predictions:
        """Predictions of the validation and test rows.

        Raises:
            FerError: the file is missing or damaged.
        """
        path = self.path / self.record.files.get("predictions", PREDICTIONS)
        try:
            found = read_predictions(path)
        except UNREADABLE as error:
            raise FerError(f"{path}: the run's predictions cannot be read", hint=_REMOVE) from error
        if not all(part.fits(len(self.record.task.classes)) for part in vars(found).values()):
            raise FerError(f"{path}: the run's predictions are damaged", hint=_REMOVE)
        return found

    def model(self, **options: Any) -> Model:
        """The run's model; arguments and errors as for `fer_features.load_model`."""
        import fer_features

        return fer_features.load_model(self, **options)


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


def write_run(
    path: Path, record: RunRecord, saves: Mapping[str, Save], *, log: Log = no_log
) -> Run:
    """Write a run, or replace the one in `path`; a reader sees the old or the new one, complete.

    The files' names carry a digest of the record, and ``run.json`` names them; it is replaced
    last. Then the old run's files are removed; anything else in the folder stays.

    Args:
        path: the run's folder. A link in its place is replaced, and not followed.
        record: its `id` and `files` are filled in.
        saves: for ``model``, ``predictions``, ``curves`` and ``sizes``, what writes the file.
        log: called with a line about a link that was replaced.

    Raises:
        FerError: it cannot be written, or a file stands in the place of the folder.
    """
    make_folder(path.parent)
    digest = hashlib.sha256(encode_record(record).encode()).hexdigest()[:8]
    with _temporary_folder(path) as folder:
        files = {name: save(folder / f"{name}-{digest}").name for name, save in saves.items()}
        record = msgspec.structs.replace(record, id=path.name, files=files)
        (folder / RECORD).write_text(encode_record(record), encoding="utf-8")
        _put_in_place(folder, path, log)
    return read_run(path)


@contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` that is gone at the end; failures to write name `path`."""
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        folder.chmod(0o755)  # mkdtemp makes it private
        yield folder
    except (OSError, FerError) as error:
        cause = error.__cause__ if isinstance(error, FerError) else error
        if not isinstance(cause, OSError):
            raise
        raise FerError(
            f"{path} cannot be written: {reason_of(cause)}",
            hint="make room there, or name another folder with --runs-dir, and fit again",
        ) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(folder: Path, path: Path, log: Log) -> None:
    """Move a new run's files from `folder` to `path`, ``run.json`` last."""
    if path.is_symlink():
        log(f"{path} was a link to {path.readlink()}, which is left as it is")
        path.unlink()
    if not path.exists():
        folder.rename(path)
        return
    if not path.is_dir():
        raise FerError(
            f"{path} is a file where a run's folder belongs", hint="move it, and fit again"
        )
    try:
        named = set(read_run(path).record.files.values())
    except FerError:
        named = set()
    new = {file.name for file in folder.iterdir()}
    for name in [*sorted(new - {RECORD}), RECORD]:
        (folder / name).replace(path / name)
    for file in path.iterdir():
        own = _OWN_FILE.fullmatch(file.name)
        if own and (own[2] or file.name in named) and file.name not in new:
            file.unlink()


def read_run(path: Path) -> Run:
    """Read a run's folder, or its ``run.json``.

    Raises:
        FerError: it is no run, a damaged one, or one of another version.
    """
    folder = path.parent if path.name == RECORD else path
    file = folder / RECORD
    try:
        check_size(file, LARGEST_RECORD)
        raw = json.loads(file.read_text(encoding="utf-8"))
        version = int(raw["format_version"])
    except (FileNotFoundError, NotADirectoryError) as error:
        holds_runs = any(path.glob(f"*/{RECORD}"))
        hint = f"those in it: --runs-dir {path}" if holds_runs else "fer fit makes one"
        raise FerError(f"no run in {path}", hint=hint) from error
    except OSError as error:
        raise FerError(f"{file} cannot be read: {reason_of(error)}") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise FerError(f"{file}: not a run's record", hint=_REMOVE) from error
    if version != FORMAT_VERSION:
        raise FerError(
            f"{file}: run format {version}, where this version reads {FORMAT_VERSION}",
            hint=UPDATE if version > FORMAT_VERSION else _REMOVE,
        )
    try:
        return Run(folder, decode_record(raw))
    except ValueError as error:
        raise FerError(f"{file}: the run's record is damaged: {error}", hint=_REMOVE) from error


def list_runs(folder: Path, *, log: Log | None = None) -> list[Run]:
    """All runs in a folder, the newest at the end.

    Args:
        folder: the folder of runs.
        log: called with a line for each run that cannot be read, which is then left out.

    Raises:
        FerError: one cannot be read, and there is no `log`.
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
    return sorted(runs.values(), key=lambda run: run.record.created)


def read_runs(paths: Sequence[Path], folder: Path, *, log: Log) -> list[Run]:
    """The runs in `paths`, or if there are none, all in `folder`, as `list_runs`.

    Raises:
        FerError: one of `paths` cannot be read, or there is no run in `folder`.
    """
    found = [read_run(path) for path in paths] or list_runs(folder, log=log)
    if not found:
        raise FerError(f"no runs in {folder}", hint="fer fit --head all makes some")
    return found


def _may_be_run(path: Path) -> bool:
    """Whether it is a folder with a record, or a link that leads nowhere."""
    return os.path.lexists(path / RECORD) or (path.is_symlink() and not path.exists())
