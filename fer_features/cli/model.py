"""The commands ``fer model save`` and ``fer model show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_features.cli.flags import Json
from fer_features.runtime.console import emit_json, print_line

WithWeights = Annotated[
    bool, typer.Option("--with-weights", help="Put the backbone's weights inside the file.")
]


def save(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[
        Path | None, typer.Option(help="The file to write; by default the run's id and .fer.")
    ] = None,
    with_weights: WithWeights = False,
    uncertain_below: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Highest probability below which an answer is called uncertain."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write a run's model as one file: head, views, calibration, threshold and classes.

    Such a file is all that fer predict, fer serve, fer evaluate and fer export need.
    """
    from fer_features.model.load import model_of_run
    from fer_features.runs.run import read_run

    model = model_of_run(read_run(run), uncertain_below=uncertain_below)
    path = model.save(out or model.stem, with_weights=with_weights)
    size = path.stat().st_size
    if json:
        emit_json({"model": str(path), "bytes": size})
    else:
        print_line(f"{path}: the model of {model.stem}, {size / 1024:.0f} KiB")


def show(
    model: Annotated[
        str, typer.Argument(help="A model's file or run, fernet, or fernet-binary.")
    ] = "fernet",
    json: Json = False,
) -> None:
    """Show a model's card: what it is, its scores, and what it must not be used for."""
    import msgspec

    from fer_features.model.card import card
    from fer_features.model.load import load_model

    record = load_model(model).record
    if json:
        emit_json(msgspec.to_builtins(record))
    else:
        print_line(card(record).rstrip())
