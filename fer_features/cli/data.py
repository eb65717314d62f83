"""``fer data info``, ``show`` and ``layers``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_features.cli.extract import LONGEST_LIST, show_bad
from fer_features.cli.flags import Json, Size
from fer_features.config import EMOTIONS, GRID, MAX_SEED, SEED, USAGES, DataConfig, ExtractConfig
from fer_features.runtime.console import emit_json, print_line, print_message, table
from fer_features.runtime.text import counted

if TYPE_CHECKING:
    from fer_features.data.summary import DataSummary, PictureForms


def info(config: DataConfig, *, json: Json = False) -> None:
    """Count images by emotion and usage; find copies and constant images."""
    from fer_features.data import open_source
    from fer_features.data.summary import summarize

    summary = summarize(open_source(config))
    emit_json(summary.to_dict()) if json else _show_summary(summary)


def show(
    config: DataConfig,
    *,
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("faces.png"),
    per_emotion: Annotated[int, typer.Option(min=1, max=200, help="Images of each emotion.")] = 10,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="Random seed of the images.")
    ] = SEED,
    json: Json = False,
) -> None:
    """Draw a labelled grid of images."""
    from fer_features.cli.figures import faces_grid
    from fer_features.data import open_source, read_all
    from fer_features.data.summary import sample_rows
    from fer_features.runtime.figures import check_picture, save_figure

    source = open_source(config)
    check_picture(out)
    show_notes(source.index().notes)
    rows = sample_rows(source.index(), per_emotion=per_emotion, seed=seed)
    figure = faces_grid(read_all(source, rows), title=f"{source.name}, with row numbers")
    path = save_figure(figure, out)
    emit_json({"picture": str(path), "rows": rows.tolist()}) if json else print_line(str(path))


def layers(
    backbone: Annotated[str, typer.Argument(help="The frozen network.")] = ExtractConfig.backbone,
    size: Size = ExtractConfig.size,
    json: Json = False,
) -> None:
    """List the layers of a network that can be kept, with their shapes."""
    from fer_features.backbones import get_backbone

    network = get_backbone(backbone)
    shapes = network.layer_shapes(size)
    default = network.default_layer
    if json:
        found = [{"layer": name, "shape": list(shape)} for name, shape in shapes.items()]
        emit_json({"backbone": network.name, "default": default, "layers": found})
        return
    rows = []
    for name, shape in shapes.items():
        is_network = network.descriptors is None  # descriptors are not averaged over places
        pooled = shape[-1] if is_network else math.prod(shape)
        rows.append(
            [
                name + (" (the default)" if name == default else ""),
                " × ".join(str(n) for n in shape),
                f"{pooled * 4 / 1024:.1f}",
                f"{pooled * GRID**2 * 4 / 1024:.1f}" if is_network else "–",
                f"{math.prod(shape) * 2 / 1024:.1f}",
            ]
        )
    columns = ["layer", "map", "KiB pooled", "KiB grid3", "KiB map"]
    table(columns, rows, title=f"layers of {network.name}", text_columns=["layer"])


def show_notes(notes: Iterable[str]) -> None:
    """Print notes on how a source was read, on stderr."""
    for text in notes:
        print_message(f"note: {text}")


def _show_summary(summary: DataSummary) -> None:
    names = [*USAGES, "no usage"]
    kept = [place for place, _ in enumerate(names) if summary.counts[:, place].any()]
    lines = [*zip(EMOTIONS, summary.counts, strict=True), ("all", summary.counts.sum(axis=0))]
    table(
        ["emotion", *(names[place] for place in kept), "all"],
        [[name, *(f"{n:,}" for n in (*line[kept], line.sum()))] for name, line in lines],
        title=f"{summary.name}: {counted(summary.rows, 'image')}",
        text_columns=["emotion"],
        last_apart=True,
    )
    print_line(f"image size            {' × '.join(map(str, summary.image_size))}")
    if summary.pictures is not None:
        _show_forms(summary.pictures)
    shown = ", ".join(str(row) for row in summary.constant[:LONGEST_LIST])
    more = len(summary.constant) - LONGEST_LIST
    shown += f" and {more} more" if more > 0 else ""
    print_line(f"surplus exact copies  {summary.copies:,}")
    print_line(f"  with other labels   {counted(summary.conflicts, 'group')}")
    rows = f" (rows {shown})" if shown else ""
    print_line(f"constant images       {len(summary.constant)}{rows}")
    show_bad(summary.bad)
    show_notes(summary.notes)


def _show_forms(pictures: PictureForms) -> None:
    """Print how pictures are stored, and how those stored otherwise are converted."""
    from fer_features.data.summary import LONG

    sizes = [f"{width} × {height} ({count:,})" for (width, height), count in pictures.sizes.items()]
    widths, heights = zip(*pictures.sizes, strict=True)
    more = f" and {len(sizes) - 3:,} more" if len(sizes) > 3 else ""
    print_line(f"stored width × height {', '.join(sizes[:3])}{more}")
    if len(sizes) > 1:
        spans = f"{min(widths)} to {max(widths)} wide, {min(heights)} to {max(heights)} high"
        print_line(f"                      {spans}")
    print_line(f"stored in colour      {pictures.colour:,}")
    if pictures.resized or pictures.colour:
        print_line(
            "                      all become 48 × 48 grey levels, whatever their aspect, before a "
            "network enlarges them"
        )
    if pictures.long:
        first = pictures.long[0] + (" for one" if len(pictures.long) > 1 else "")
        print_line(
            f"sides above 1 : {LONG}   {len(pictures.long):,}, {first}; squashed to a square"
        )
