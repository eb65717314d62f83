"""Predictions as CSV, JSON Lines or a table, written as they come; interrupted files resume."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from fer_features.errors import FerError
from fer_features.model.predictions import Prediction, cells, columns
from fer_features.runtime.console import table
from fer_features.runtime.files import write_text

SUFFIXES = (".csv", ".jsonl")

PAGE = 100
"""Rows of a table on a terminal."""


class Output(Protocol):
    """Where rows go."""

    def write(self, rows: Sequence[Prediction]) -> None:
        """Write the rows of a picture."""

    def close(self) -> None:
        """Write what is left."""


class TextOutput:
    """Rows as CSV or JSON Lines, whole pictures at a time.

    Args:
        file: a text stream.
        classes: of the model.
        suffix: ``.csv`` or ``.jsonl``.
        header: write CSV's header first.
    """

    def __init__(
        self, file: TextIO, classes: Sequence[str], *, suffix: str = ".csv", header: bool = True
    ) -> None:
        self._file, self._classes, self._suffix = file, classes, suffix
        self._names = columns(classes)
        if header and suffix == ".csv":
            self._write_csv([self._names])

    def write(self, rows: Sequence[Prediction]) -> None:
        """Write the rows of a picture, complete before this returns."""
        found = [cells(row, self._classes) for row in rows]
        if self._suffix == ".csv":
            self._write_csv(found)
        else:
            dicts = (dict(zip(self._names, one, strict=True)) for one in found)
            self._file.write("".join(f"{json.dumps(one)}\n" for one in dicts))
            self._file.flush()

    def _write_csv(self, rows: Sequence[Sequence[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._file.write(text.getvalue())
        self._file.flush()

    def close(self) -> None:
        """Nothing is left to write."""


class TableOutput:
    """Rows as tables on a terminal, of `PAGE` rows each; reasons are left to the summary."""

    def __init__(self) -> None:
        self._rows: list[Prediction] = []

    def write(self, rows: Sequence[Prediction]) -> None:
        """Keep the rows until there are enough for a table."""
        self._rows += rows
        if len(self._rows) >= PAGE:
            self.close()

    def close(self) -> None:
        """Print the rows that are left."""
        if self._rows:
            names = ["source", "frame", "time", "face", "x, y", "w × h", "status", "label", "p"]
            shown = [_shown(row) for row in self._rows]
            if all(row.frame is None for row in self._rows):
                names, shown = [names[0], *names[3:]], [[row[0], *row[3:]] for row in shown]
            table(names, shown, text_columns=("source", "status", "label"))
        self._rows = []


def _shown(row: Prediction) -> list[str]:
    frame = "" if row.frame is None else f"{row.frame:,}"
    seconds = "" if row.time_s is None else f"{row.time_s:.2f} s"
    if row.face is None:
        return [row.source, frame, seconds, "", "", "", row.status, "", ""]
    p = f"{max(row.probabilities):.2f}" if row.probabilities else ""
    place = f"{row.x:.0f}, {row.y:.0f}", f"{row.w:.0f} × {row.h:.0f}"
    return [row.source, frame, seconds, str(row.face), *place, row.status, row.label or "", p]


class FileOutput:
    """A file of rows, which the same command resumes if it is interrupted.

    Beside it, ``FILE.json`` tells which command writes it, and whether it is complete.

    Args:
        path: ``.csv`` or ``.jsonl``.
        command: what the rows depend on, as plain JSON types.
        classes: of the model.
        force: replace a file of another command.

    Attributes:
        sources: number of sources in the file if it is complete; else None.

    Raises:
        FerError: the file is of another command, or its name has another suffix.
    """

    def __init__(
        self, path: Path, command: dict[str, Any], classes: Sequence[str], *, force: bool
    ) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise FerError(
                f"--out {path}: neither .csv nor .jsonl", hint=f"--out {path.stem}.csv, say"
            )
        self.path, self._command, self._classes = path, command, classes
        self._suffix = path.suffix.lower()
        self._about = path.with_name(f"{path.name}.json")
        self._file: TextIO | None = None
        self._output: TextOutput | None = None
        self.sources: int | None = None
        self._resumes = path.exists() and not force
        if self._resumes:
            about = self._read_about()
            if about.get("command") != command:
                raise FerError(
                    f"{path} is there already, and of another command or model",
                    hint="--force replaces it; or name another file with --out",
                )
            self.sources = about.get("sources")

    def _read_about(self) -> dict[str, Any]:
        try:
            about = json.loads(self._about.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return about if isinstance(about, dict) else {}

    def _write_about(self, **more: Any) -> None:
        write_text(self._about, json.dumps({"command": self._command, **more}, indent=2) + "\n")

    def open(self, sources: Iterator[Path]) -> int:
        """Open the file, and take from `sources` those that are complete in it.

        Returns:
            How many are.

        Raises:
            FerError: the file has other sources.
        """
        end, count = self._complete(sources) if self._resumes else (0, 0)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write_about()
        mode = "r+" if end else "w"
        file: Any = self.path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")
        if end:
            file.truncate(end)
            file.seek(0, io.SEEK_END)
        self._file = file
        self._output = TextOutput(file, self._classes, suffix=self._suffix, header=not end)
        return count

    def _complete(self, sources: Iterator[Path]) -> tuple[int, int]:
        """Bytes and number of the sources in the file, without the last: rows may be missing."""
        last: tuple[str, int] | None = None
        count = 0
        for found in _sources_in(self.path, self._suffix):
            if last is not None:
                expected = str(next(sources, ""))
                if expected != last[0]:
                    raise FerError(
                        f"{self.path} has {last[0]} where the inputs now have "
                        f"{expected or 'nothing more'}",
                        hint="--force starts again",
                    )
                count += 1
            last = found
        return (last[1], count) if last else (0, 0)

    def write(self, rows: Sequence[Prediction]) -> None:
        """Write the rows of a picture, complete before this returns."""
        assert self._output is not None  # noqa: S101  opened before
        self._output.write(rows)

    def finish(self, sources: int) -> None:
        """Note that the file is complete, with so many sources."""
        self._write_about(sources=sources)

    def remove(self) -> None:
        """Remove the file: its rows are of no use."""
        self.close()
        self.path.unlink()
        self._about.unlink()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _sources_in(path: Path, suffix: str) -> Iterator[tuple[str, int]]:
    """The sources in a file of rows and where each begins, in bytes; stops at a half line."""
    end = 0

    def lines(file: Any) -> Iterator[str]:
        nonlocal end
        for line in file:
            end += len(line)
            yield line.decode("utf-8", "surrogateescape")

    last: str | None = None
    with path.open("rb") as file:
        rows: Iterator[list[str]] = (
            csv.reader(lines(file)) if suffix == ".csv" else map(_source, lines(file))
        )
        begin = 0
        columns_of_row = len(next(rows, ())) if suffix == ".csv" else 1
        begin = end if suffix == ".csv" else 0
        for row in rows:
            if len(row) != columns_of_row:  # its source may be half a name
                return
            if row[0] != last:
                last = row[0]
                yield last, begin
            begin = end


def _source(line: str) -> list[str]:
    try:
        return [json.loads(line)["source"]]
    except (ValueError, KeyError, TypeError):
        return []
