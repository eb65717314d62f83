"""How values are written on the page."""

from __future__ import annotations

from collections.abc import Sequence


def cell(value: str | int | float | None) -> str:
    """Counts with thousands separators, scores with three digits, a dash for None."""
    match value:
        case None:
            return "–"
        case float():
            return f"{value:.3f}"
        case int():
            return f"{value:,}"
        case _:
            return value


def seconds(value: float | None) -> str:
    """Seconds with as many digits as their size calls for."""
    return "–" if value is None else f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """Words with commas between them, and a word before the last."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
