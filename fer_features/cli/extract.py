"""``fer extract``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fer_features.cli.flags import Json
from fer_features.config import ExtractConfig
from fer_features.runtime.console import emit_json, print_line, print_message
from fer_features.runtime.interrupt import prompt_interrupt
from fer_features.runtime.progress import show_progress
from fer_features.runtime.text import counted

if TYPE_CHECKING:
    from fer_features.data import BadRow
    from fer_features.extract.extract import Extraction

RESUMES = "interrupted; the same command resumes where it stopped"

LONGEST_LIST = 10
"""Rows of a list that are printed before the rest is only counted."""


def extract(config: ExtractConfig, *, json: Json = False) -> None:
    """Stage 1: push every selected image once through a frozen network, and cache the features.

    Interrupted at any moment, the same command resumes. What has been computed for another task or
    layer is not computed again.
    """
    from fer_features.extract.run import run_extraction

    with prompt_interrupt(RESUMES):
        done = run_extraction(config, progress=show_progress, log=print_message, find_copies=True)
    emit_json(to_dict(done)) if json else show(done)


def to_dict(done: Extraction) -> dict[str, Any]:
    """An extraction as plain JSON types."""
    names = ("rows", "computed", "found", "reused", "precision", "why", "images_per_s")
    return {
        "cache": str(done.cache),
        **{name: getattr(done, name) for name in names},
        "engine": done.engine or None,
        "seconds": None if done.reused else done.seconds,
        "bad_rows": bad_dicts(done.bad),
        "notes": list(done.notes),
    }


def show(done: Extraction) -> None:
    """Print the result of an extraction in one line."""
    show_bad(done.bad)
    if done.reused:
        packed = "; the file was recompressed" if done.packed else ""
        print_line(
            f"{done.cache}: {counted(done.rows, 'image')}, all cached already; nothing to compute"
            f"{packed}"
        )
        return
    seconds = done.seconds
    speed = f" at {done.images_per_s:.1f} images/s" if done.images_per_s else ""
    found = f", {done.found:,} cached already" if done.found else ""
    print_line(
        f"{done.cache}: {counted(done.rows, 'image')}{found}, {done.computed:,} computed{speed} "
        f"(run {seconds['run']:.1f} s, waited for images {seconds['read']:.1f} s, for the disk "
        f"{seconds['write']:.1f} s; preparation {seconds['prepare']:.1f} s)"
    )


def show_bad(bad: Sequence[BadRow]) -> None:
    """Print the rows that were left out, on stderr."""
    if not bad:
        return
    print_message(f"bad rows left out: {len(bad)}")
    for one in bad[:LONGEST_LIST]:
        print_message(f"  row {one.row}: {one.reason}")
    if len(bad) > LONGEST_LIST:
        print_message(f"  and {len(bad) - LONGEST_LIST} more (--json lists all)")


def bad_dicts(bad: Sequence[BadRow]) -> list[dict[str, Any]]:
    """The rows that were left out, as plain JSON types."""
    return [{"row": one.row, "reason": one.reason} for one in bad]
