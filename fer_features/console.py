"""What a person or a program reads on stdout: tables, lines, or one JSON object."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

NARROWEST = 100
"""Columns assumed where stdout is no terminal, so that nothing is folded in a file."""


def say(text: str = "") -> None:
    """Print to stdout."""
    print(text)


def tell(text: str) -> None:
    """Print to stderr, where progress and remarks go."""
    print(text, file=sys.stderr, flush=True)


def emit_json(value: dict[str, Any]) -> None:
    """Print one JSON object and nothing else."""
    print(json.dumps(value, indent=2, allow_nan=False))


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    text_columns: Sequence[str] = (),
    last_apart: bool = False,
) -> None:
    """Print a table.

    Args:
        columns: headings.
        rows: cells as text.
        title: a line above the table.
        text_columns: headings of the columns that are set to the left; the others hold numbers.
        last_apart: draw a line above the last row.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(
        box=box.SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold"
    )
    for name in columns:
        left = name in text_columns
        drawn.add_column(
            name, justify="left" if left else "right", no_wrap=not left, overflow="fold"
        )
    cells = list(rows)
    for place, row in enumerate(cells):
        drawn.add_row(*row, end_section=last_apart and place == len(cells) - 2)
    width = None if sys.stdout.isatty() else max(NARROWEST, shutil.get_terminal_size().columns)
    Console(width=width, highlight=False).print(drawn)
