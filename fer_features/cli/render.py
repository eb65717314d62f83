"""Results as people read them, and as JSON; the command line's words."""

from __future__ import annotations

import ast
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_features.errors import FerError
from fer_features.runtime.console import say, table, tell

if TYPE_CHECKING:
    from fer_features.backbones import Backbone
    from fer_features.data import BadRow
    from fer_features.data.inspect import DataSummary
    from fer_features.data.picture import PictureForms
    from fer_features.extract.extract import Extraction

MANY = 10
"""How many rows of a list a person is shown before the rest is only counted."""


def show_summary(summary: DataSummary) -> None:
    """The counts of a source by emotion and usage, and what is odd about its images."""
    from fer_features.data import EMOTIONS, USAGES

    names = [*USAGES, "no usage"]
    kept = [place for place, _ in enumerate(names) if summary.counts[:, place].any()]
    rows = [
        [emotion, *(f"{line[place]:,}" for place in kept), f"{line.sum():,}"]
        for emotion, line in zip(EMOTIONS, summary.counts, strict=True)
    ]
    total = summary.counts.sum(axis=0)
    rows.append(["all", *(f"{total[place]:,}" for place in kept), f"{total.sum():,}"])
    table(
        ["emotion", *(names[place] for place in kept), "all"],
        rows,
        title=f"{summary.name}: {summary.rows:,} images",
        text_columns=["emotion"],
        last_apart=True,
    )
    image_height, image_width = summary.image_size
    say(f"image size            {image_height} × {image_width}")
    if summary.pictures is not None:
        _show_forms(summary.pictures)
    say(f"surplus exact copies  {summary.copies:,}")
    say(f"  with other labels   {summary.conflicts:,} groups")
    say(f"constant images       {_few(summary.constant)}")
    show_bad(summary.bad)
    show_notes(summary.notes)


def _show_forms(pictures: PictureForms) -> None:
    """How pictures are stored, and what is done to those that are stored otherwise."""
    from fer_features.data.picture import LONG

    sizes = [f"{width} × {height} ({count:,})" for (width, height), count in pictures.sizes.items()]
    widths, heights = zip(*pictures.sizes, strict=True)
    more = f" and {len(sizes) - 3:,} more" if len(sizes) > 3 else ""
    say(f"stored width × height {', '.join(sizes[:3])}{more}")
    if len(sizes) > 1:
        spans = f"{min(widths)} to {max(widths)} wide, {min(heights)} to {max(heights)} high"
        say(f"                      {spans}")
    say(f"stored in colour      {pictures.colour:,}")
    if pictures.resized or pictures.colour:
        say(
            "                      all become 48 × 48 grey levels, whatever their aspect, before a "
            "network enlarges them"
        )
    if pictures.long:
        first = pictures.long[0] + (" for one" if len(pictures.long) > 1 else "")
        say(f"sides above 1 : {LONG}   {len(pictures.long):,}, {first}; squashed to a square")


def show_notes(notes: Sequence[str]) -> None:
    """What a user must know of how a source was read, on stderr."""
    for text in notes:
        tell(f"note: {text}")


def _few(rows: Sequence[int]) -> str:
    shown = ", ".join(str(row) for row in rows[:MANY])
    more = f" and {len(rows) - MANY} more" if len(rows) > MANY else ""
    return f"{len(rows)}" + (f" (rows {shown}{more})" if rows else "")


def show_bad(bad: Sequence[BadRow]) -> None:
    """Rows that were left out, on stderr."""
    if not bad:
        return
    tell(f"bad rows left out: {len(bad)}")
    for one in bad[:MANY]:
        tell(f"  row {one.row}: {one.reason}")
    if len(bad) > MANY:
        tell(f"  and {len(bad) - MANY} more (--json lists all)")


def bad_dicts(bad: Sequence[BadRow]) -> list[dict[str, Any]]:
    """Rows that were left out, as plain JSON types."""
    return [{"row": one.row, "reason": one.reason} for one in bad]


def layers_dict(backbone: Backbone, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Layers and their shapes as plain JSON types."""
    return {
        "backbone": backbone.name,
        "default": backbone.default_layer,
        "layers": [{"layer": name, "shape": list(shape)} for name, shape in shapes.items()],
    }


def show_layers(backbone: Backbone, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Layers and their shapes as a table."""
    rows = [
        [
            name + (" (the default)" if name == backbone.default_layer else ""),
            " × ".join(str(n) for n in shape),
            f"{(shape[-1] if backbone.descriptors is None else math.prod(shape)) * 4 / 1024:.1f}",
            f"{math.prod(shape) * 2 / 1024:.1f}",
        ]
        for name, shape in shapes.items()
    ]
    columns = ["layer", "map", "KiB pooled", "KiB map"]
    table(columns, rows, title=f"layers of {backbone.name}", text_columns=["layer"])


GOES_ON = "interrupted; what was computed is kept, and the same command goes on where it stopped"


def extraction_dict(done: Extraction) -> dict[str, Any]:
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
        "seconds": None if done.reused else done.seconds,
        "bad_rows": bad_dicts(done.bad),
        "notes": list(done.notes),
    }


def show_extraction(done: Extraction) -> None:
    """What an extraction did, in one line."""
    show_bad(done.bad)
    if done.reused:
        packed = "; the file was packed as asked" if done.packed else ""
        say(f"{done.cache}: {done.rows:,} images, there already; nothing to compute{packed}")
        return
    seconds = done.seconds
    speed = f" at {done.images_per_s:.1f} images/s" if done.images_per_s else ""
    found = f", {done.found:,} were there" if done.found else ""
    say(
        f"{done.cache}: {done.rows:,} images{found}, {done.computed:,} computed{speed} "
        f"(run {seconds['run']:.1f} s, waited for images {seconds['read']:.1f} s, for the disk "
        f"{seconds['write']:.1f} s; preparation {seconds['prepare']:.1f} s)"
    )


def parse_params(pairs: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` texts as a dict; values are Python literals, or else plain text."""
    params = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise FerError(f"--set {pair}: not of the form NAME=VALUE")
        try:
            params[name] = ast.literal_eval(_WORDS.get(text, text))
        except (ValueError, SyntaxError):
            params[name] = text
    return params


_WORDS = {"true": "True", "false": "False", "none": "None"}


def epoch_progress(head: str, *, cache: Path) -> Callable[[int, dict[str, float]], None]:
    """Tell that a head is being fitted, and of its epochs every few seconds, on stderr."""
    begun = last = time.perf_counter()
    tell(f"fitting {head} on {cache}")

    def told(epoch: int, logs: dict[str, float]) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last < 2:
            return
        last = now
        losses = ", ".join(f"{name} {value:.4f}" for name, value in logs.items())
        tell(f"  epoch {epoch}: {losses}; {epoch / (now - begun):.2f} epochs/s")

    return told
