"""``fer evaluate``."""

from __future__ import annotations

from typing import Annotated

import typer

from fer_features.cli.flags import Json
from fer_features.config import EvaluateConfig
from fer_features.errors import FerError
from fer_features.runtime.console import emit_json, print_line, print_wrapped, table
from fer_features.runtime.progress import show_progress

FORMATS = ("table", "markdown", "json")


def evaluate(
    config: EvaluateConfig,
    *,
    format_: Annotated[str, typer.Option("--format", help="table, markdown or json.")] = "table",
    json: Json = False,
) -> None:
    """Score a model on labelled faces of your own: all, by class, by group, with 95 % intervals.

    Each picture is one face, and is scaled to 48×48 as fer extract does; with --faces found, the
    largest face in it is cut out as fer predict does, and pictures without one are counted. Faces
    that the model's backbone has learnt from, and copies of such, are left out and counted.
    """
    from fer_features.data import open_faces
    from fer_features.model.evaluate import evaluate_model, read_groups
    from fer_features.model.load import load_model

    format_ = "json" if json else format_
    if format_ not in FORMATS:
        raise FerError(f"no such format: {format_}", hint=f"known are {', '.join(FORMATS)}")
    if config.table and not config.group:
        raise FerError("--table without --group", hint="name its column of groups: --group COLUMN")
    source = open_faces(
        config.data, skip_bad=config.skip_bad, ignore=config.ignore, classes=config.classes
    )
    groups = read_groups(source, config.group, table=config.table) if config.group else None
    found = evaluate_model(
        load_model(config.model),
        source,
        groups=groups,
        group=config.group,
        other=load_model(config.against) if config.against else None,
        allow_seen=config.allow_seen,
        whole=config.faces == "whole",
        progress=show_progress,
    )
    match format_:
        case "json":
            emit_json(found.to_dict())
        case "markdown":
            print_line(found.to_markdown().rstrip("\n"))
        case _:
            title = f"{found.model} on {found.data}"
            width = table(found.columns(), found.rows(), title=title, text_columns=["faces"])
            for text in found.texts():
                print_wrapped(f"· {text}", width)
