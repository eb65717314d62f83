"""The models that come with the package."""

from __future__ import annotations

from pathlib import Path

PACKAGED = ("fernet", "fernet-binary")
"""Their names; the first is the default."""


def packaged_file(name: str) -> Path | None:
    """The file of a packaged model; None if there is none of that name."""
    return Path(__file__).with_name(f"{name}.fer") if name in PACKAGED else None
