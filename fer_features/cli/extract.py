"""``fer extract``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fer_features.cli.flags import Json
from fer_features.config import ExtractConfig
from fer_features.runtime.console import emit_json, say, tell
from fer_features.runtime.interrupt import prompt_interrupt
from fer_features.runtime.progress import show_progress

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
    from fer_features.extract.extract import extract as run

    with prompt_interrupt(RESUMES):
        done = run(
            config,
            progress=_announced(config),
            log=tell,
            track_copies=show_progress,
        )
    emit_json(to_dict(done)) if json else show(done)


def _announced(config: ExtractConfig) -> Any:
    @contextmanager
    def tracked(work: Any) -> Iterator[Any]:
        view = f", view {work.view}" if work.view else ""
        weights = f" ({work.weights})" if work.weights != "none" else ""
        why = f" ({work.why})" if work.why else ""
        tell(
            f"extracting {len(work.rows):,} images with {config.backbone}{weights}{view}\n"
            f"engine: {work.engine}, {work.precision}{why}"
        )
        with show_progress("extracting", len(work.rows), unit="images") as advance:
            yield advance

    return tracked


def to_dict(done: Extraction) -> dict[str, Any]:
    """An extraction as plain JSON types."""
    return {
        "cache": str(done.cache),
        "rows": done.rows,
        "computed": done.computed,
        "found": done.found,
        "reused": done.reused,
        "engine": done.engine or None,
        "precision": done.precision,
        "why": done.why,
        "images_per_s": done.images_per_s,
        "seconds": None if done.reused else vars(done.clocks),
        "bad_rows": bad_dicts(done.bad),
        "notes": list(done.notes),
    }


def show(done: Extraction) -> None:
    """Print what an extraction did, in one line."""
    show_bad(done.bad)
    if done.reused:
        packed = "; the file was recompressed" if done.packed else ""
        say(f"{done.cache}: {done.rows:,} images, all cached already; nothing to compute{packed}")
        return
    clocks = done.clocks
    speed = f" at {done.images_per_s:.1f} images/s" if done.images_per_s else ""
    found = f", {done.found:,} cached already" if done.found else ""
    say(
        f"{done.cache}: {done.rows:,} images{found}, {done.computed:,} computed{speed} "
        f"(run {clocks.run:.1f} s, waited for images {clocks.read:.1f} s, for the disk "
        f"{clocks.write:.1f} s; preparation {clocks.prepare:.1f} s)"
    )


def show_bad(bad: Sequence[BadRow]) -> None:
    """Print the rows that were left out, on stderr."""
    if not bad:
        return
    tell(f"bad rows left out: {len(bad)}")
    for one in bad[:LONGEST_LIST]:
        tell(f"  row {one.row}: {one.reason}")
    if len(bad) > LONGEST_LIST:
        tell(f"  and {len(bad) - LONGEST_LIST} more (--json lists all)")


def bad_dicts(bad: Sequence[BadRow]) -> list[dict[str, Any]]:
    """The rows that were left out, as plain JSON types."""
    return [{"row": one.row, "reason": one.reason} for one in bad]
