"""How values are written on the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


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


def settings(params: Mapping[str, Any]) -> str:
    """Names and values, in JSON but for numbers with four digits."""
    return ", ".join(
        f"{name}={f'{value:.4g}' if isinstance(value, float) else json.dumps(value)}"
        for name, value in params.items()
    )


def chosen(params: Mapping[str, Any]) -> str:
    """`settings` of what a head chose on the validation rows, without its candidates."""
    return settings({k: v for k, v in params.items() if v and not isinstance(v, list | dict)})
