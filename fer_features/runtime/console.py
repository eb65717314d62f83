"""Output: tables, lines or one JSON object on stdout, messages on stderr."""

from __future__ import annotations

import io
import json
import logging
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from fer_features.errors import FerError, reason_of
from fer_features.runtime.text import plain_text

FILE_WIDTH = 180
"""Width assumed if stdout is no terminal, so that no line is wrapped in a file."""

LONGEST_UNBROKEN_WORD = 20
"""Longer words of a text column may be broken, so that no column of numbers is pushed out."""

_NO_MARKUP: Any = {"highlight": False, "markup": False, "emoji": False}
"""Options of rich: brackets and colons in a name are no markup."""


def print_line(text: str = "") -> None:
    """Print to stdout, flushed; what cannot be printed is shown as escapes."""
    _print(plain_text(text, keep="\n"))


_PLAIN = str.maketrans(
    {"–": "-", "─": "-", "…": "...", "·": "*", "±": "+-", "→": "->", "×": "x", "’": "'"}
)
"""Replacements of characters that an output's encoding lacks."""


def _print(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(text, flush=True)  # a file shows each line when it is written
    except BrokenPipeError:  # the reader has closed it
        raise
    except OSError as error:
        raise FerError(
            f"standard output cannot be written: {reason_of(error)}",
            hint="make room where it goes",
        ) from error


def print_message(text: str) -> None:
    """Print to stderr; what cannot be printed is shown as escapes."""
    print(plain_text(text, keep="\n"), file=sys.stderr, flush=True)


def silence_matplotlib() -> None:
    """Drop Matplotlib's warning that its cache goes to a temporary folder (a read-only home)."""
    logging.getLogger("matplotlib").addFilter(_not_about_folders)


def _not_about_folders(record: logging.LogRecord) -> bool:
    return not any(words in str(record.msg) for words in ("mkdir -p failed", "cache directory"))


def emit_json(value: dict[str, Any]) -> None:
    """Print one JSON object and nothing else."""
    _print(json.dumps(value, indent=2, allow_nan=False))


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    text_columns: Sequence[str] = (),
    last_apart: bool = False,
) -> int:
    """Print a table; where the terminal is too narrow for its columns, each row as lines.

    Args:
        columns: headings.
        rows: cells as text.
        title: a line above the table.
        text_columns: headings of the columns that are aligned left; the others hold numbers.
        last_apart: draw a line above the last row.

    Returns:
        The table's width in characters, that of the terminal where each row is lines.
    """
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    drawn = Table(
        box=box.SIMPLE_HEAD,
        title=plain_text(title) or None,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    cells = list(rows)
    for place, name in enumerate(columns):
        if name in text_columns:
            words = [word for row in cells for word in row[place].split()]
            longest = max(map(len, words), default=1)
            drawn.add_column(name, overflow="fold", min_width=min(longest, LONGEST_UNBROKEN_WORD))
        else:
            longest = max(map(len, (name, *(row[place] for row in cells))))
            drawn.add_column(name, justify="right", no_wrap=True, min_width=longest)
    for place, row in enumerate(cells):
        drawn.add_row(*map(plain_text, row), end_section=last_apart and place == len(cells) - 2)
    text, terminal = io.StringIO(), sys.stdout.isatty()
    console = Console(file=text, width=width(), force_terminal=terminal, **_NO_MARKUP)
    unlimited = console.options.update(max_width=sys.maxsize)
    needed = Measurement.get(console, unlimited, drawn).minimum
    if needed > console.width and not terminal:
        console.width = needed
    elif needed > console.width:
        print_line(title)
        for name, *row in cells:
            pairs = zip(columns[1:], row, strict=True)
            print_line("\n".join([name, *(f"  {heading}: {cell}" for heading, cell in pairs)]))
        return console.width
    console.print(drawn)
    for line in text.getvalue().splitlines():
        _print(line.rstrip())
    return Measurement.get(console, console.options, drawn).maximum


def print_wrapped(text: str, columns: int) -> None:
    """Print a text under a table, indented, in lines of at most so many characters."""
    print_line(textwrap.fill(text, columns, initial_indent="  ", subsequent_indent="    "))


def width() -> int:
    """The width of the terminal in characters; `FILE_WIDTH` if stdout is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else FILE_WIDTH
