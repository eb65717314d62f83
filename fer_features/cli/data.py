"""The words after ``fer data``: flags to one call, one result; no logic."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from fer_features.cli.options import (
    CacheDir,
    Data,
    FerPlus,
    Ignore,
    Json,
    MapClass,
    Seed,
    SkipBad,
    class_map,
)
from fer_features.config import CACHE_DIR, NEAR, SEED, ExtractConfig
from fer_features.runtime.console import emit_json, say
from fer_features.runtime.progress import show_progress


def info(
    data: Data = ExtractConfig.data,
    skip_bad: SkipBad = False,
    ignore: Ignore = None,
    map_class: MapClass = None,
    json: Json = False,
) -> None:
    """Count images by emotion and usage; find copies and constant images."""
    from fer_features.cli.render import show_summary
    from fer_features.data import open_faces
    from fer_features.data.inspect import summarize

    source = open_faces(data, skip_bad=skip_bad, ignore=ignore or (), classes=class_map(map_class))
    summary = summarize(source)
    emit_json(summary.to_dict()) if json else show_summary(summary)


def show(
    data: Data = ExtractConfig.data,
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("faces.png"),
    per_emotion: Annotated[int, typer.Option(min=1, max=200, help="Images of each emotion.")] = 10,
    seed: Seed = SEED,
    skip_bad: SkipBad = False,
    ignore: Ignore = None,
    map_class: MapClass = None,
    json: Json = False,
) -> None:
    """Draw a labelled grid of images."""
    from fer_features.cli.render import show_notes
    from fer_features.data import open_faces, read_all
    from fer_features.data.figures import faces_grid
    from fer_features.data.inspect import sample_rows
    from fer_features.runtime.figures import save_figure

    source = open_faces(data, skip_bad=skip_bad, ignore=ignore or (), classes=class_map(map_class))
    show_notes(source.index().notes)
    rows = sample_rows(source.index(), per_emotion=per_emotion, seed=seed)
    figure = faces_grid(read_all(source, rows), title=f"{source.name}, with row numbers")
    path = save_figure(figure, out)
    emit_json({"picture": str(path), "rows": rows.tolist()}) if json else say(str(path))


def audit(
    data: Data = ExtractConfig.data,
    ferplus: FerPlus = None,
    out: Annotated[Path, typer.Option(help="Folder for rows.csv and worst.png.")] = Path(
        "runs/audit"
    ),
    threshold: Annotated[
        float, typer.Option(help="Images whose pixels correlate more than this are near twins.")
    ] = NEAR,
    cache_dir: CacheDir = CACHE_DIR,
    skip_bad: SkipBad = False,
    ignore: Ignore = None,
    map_class: MapClass = None,
    json: Json = False,
) -> None:
    """Find twins, leaks between the official parts, conflicting labels and empty images."""
    from fer_features.cli.render import bad_dicts, show_bad, show_notes
    from fer_features.cli.render_audit import show_audit, write_rows
    from fer_features.data import open_faces
    from fer_features.data.audit import audit as run
    from fer_features.data.figures import twin_sheet
    from fer_features.runtime.figures import save_figure

    source = open_faces(data, skip_bad=skip_bad, ignore=ignore or (), classes=class_map(map_class))
    show_notes(source.index().notes)
    progress = functools.partial(show_progress, unit="images")
    found, faces = run(
        source, ferplus=ferplus, threshold=threshold, progress=progress, cache_dir=cache_dir
    )
    written = []
    if found.largest_group:  # drawn before anything is written, since it takes a while
        figure = twin_sheet(faces, found.group, found.twins.groups.exact, name=found.name)
        written.append(save_figure(figure, out / "worst.png"))
    written.insert(0, write_rows(found, out / "rows.csv"))
    bad = source.index().bad
    if json:
        files = [str(path) for path in written]
        emit_json({**found.to_dict(), "files": files, "bad_rows": bad_dicts(bad)})
        return
    show_bad(bad)
    show_audit(found)
    for path in written:
        say(str(path))


def twins(
    data: Data = ExtractConfig.data,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the pairs go, as CSV.")
    ] = None,
    cache_dir: CacheDir = CACHE_DIR,
    skip_bad: SkipBad = False,
    ignore: Ignore = None,
    map_class: MapClass = None,
    json: Json = False,
) -> None:
    """Find copies of one photograph: exact, near, mirrored, registered, and families.

    Registered copies fit each other when one is shifted, scaled or mirrored. A family has file
    names that say so, as Training_3908.jpg and Training_3908.jpg3.jpg do, whatever they show.

    The file has a line for each pair: row_a, row_b, sha256_a, sha256_b, kind, correlation. Rows are
    counted from 0, without the header; the hashes are of the 2,304 pixel bytes.
    """
    from fer_features.cli.render import show_notes
    from fer_features.cli.render_audit import show_twins, twins_dict, write_pairs
    from fer_features.data import open_faces
    from fer_features.data.twin_table import twin_table

    source = open_faces(data, skip_bad=skip_bad, ignore=ignore or (), classes=class_map(map_class))
    table = twin_table(source, cache_dir, progress=functools.partial(show_progress, unit="images"))
    usage, notes = source.index().usage, source.index().notes
    show_notes(notes)
    written = None if out is None else str(write_pairs(table, out))
    if json:
        emit_json({**twins_dict(table, usage), "notes": list(notes), "pairs_file": written})
        return
    show_twins(table, usage, name=source.name)
    if written:
        say(written)


def layers(
    backbone: Annotated[str, typer.Argument(help="The frozen network.")] = ExtractConfig.backbone,
    size: Annotated[
        int | None, typer.Option(min=1, help="Height and width that images are resized to.")
    ] = ExtractConfig.size,
    json: Json = False,
) -> None:
    """List the layers of a network that can be kept, with their shapes."""
    from fer_features.backbones import get_backbone
    from fer_features.cli.render import layers_dict, show_layers

    network = get_backbone(backbone)
    shapes = network.layer_shapes(size)
    emit_json(layers_dict(network, shapes)) if json else show_layers(network, shapes)
