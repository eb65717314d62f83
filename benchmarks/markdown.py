"""Markdown of the pages that benchmarks write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, n_text: int) -> str:
    """A Markdown table; all columns but the first `n_text` are set to the right."""
    marks = ["---"] * n_text + ["---:"] * (len(headings) - n_text)
    lines = [headings, marks, *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
