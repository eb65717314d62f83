"""The command of stage 0: flags to one config, one call, one result; no logic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_features.cli.options import Data, FerPlus, Ignore, Json, MapClass, Seed, SkipBad, class_map
from fer_features.config import SEED, PretrainConfig
from fer_features.runtime.console import emit_json, tell
from fer_features.runtime.interrupt import prompt_interrupt
from fer_features.runtime.progress import show_progress


def pretrain(
    data: Data = PretrainConfig.data,
    backbone: Annotated[str, typer.Option(help="fernet.")] = PretrainConfig.backbone,
    task: Annotated[
        str, typer.Option(help="seven, binary, or a TOML file with your own classes.")
    ] = PretrainConfig.task,
    ferplus: FerPlus = PretrainConfig.ferplus,
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Where the weights go; the checkpoint is beside them."),
    ] = PretrainConfig.out,
    epochs: Annotated[
        int, typer.Option(help="How often all images are seen.")
    ] = PretrainConfig.epochs,
    batch_size: Annotated[
        int, typer.Option(help="Images of one step.")
    ] = PretrainConfig.batch_size,
    learning_rate: Annotated[
        float, typer.Option(help="The highest of the one-cycle schedule.")
    ] = PretrainConfig.learning_rate,
    warm_up: Annotated[
        float, typer.Option(help="The part of the training in which the rate rises.")
    ] = PretrainConfig.warm_up,
    weight_decay: Annotated[
        float, typer.Option(help="What a step takes off the kernels, times the rate.")
    ] = PretrainConfig.weight_decay,
    smoothing: Annotated[
        float, typer.Option(help="The part of each label that all classes share.")
    ] = PretrainConfig.smoothing,
    average: Annotated[
        float, typer.Option(help="The weights kept are a moving average: its momentum, a step.")
    ] = PretrainConfig.average,
    votes_weight: Annotated[
        float, typer.Option(help="How much FER+'s votes count beside the labels.")
    ] = PretrainConfig.votes_weight,
    precision: Annotated[
        str, typer.Option(help="float32, bfloat16 or auto: bfloat16 where the hardware has it.")
    ] = PretrainConfig.precision,
    seed: Seed = SEED,
    test: Annotated[
        bool,
        typer.Option(
            "--test",
            help="Score the test part too and note it in the file; when nothing is to be chosen.",
        ),
    ] = PretrainConfig.test,
    skip_bad: SkipBad = PretrainConfig.skip_bad,
    ignore: Ignore = None,
    map_class: MapClass = None,
    json: Json = False,
) -> None:
    """Stage 0: train a small backbone, and write its weights with all that they have seen.

    It learns from FER2013's Training part without the twins of the other two (60 % of data that
    names no parts). Stopped at any moment, the same command goes on after the last whole epoch, to
    the same weights. `fer extract --backbone fernet --weights FILE` takes them; a picture of the
    learning curves is put beside them.
    """
    from fer_features.cli.render_pretrain import GOES_ON, epoch_done, show_pretrained, track_epoch
    from fer_features.training.run import pretrain as run

    config = PretrainConfig(
        data=data,
        backbone=backbone,
        task=task,
        ferplus=ferplus,
        out=out,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warm_up=warm_up,
        weight_decay=weight_decay,
        smoothing=smoothing,
        average=average,
        votes_weight=votes_weight,
        precision=precision,
        seed=seed,
        test=test,
        skip_bad=skip_bad,
        ignore=tuple(ignore or ()),
        classes=class_map(map_class),
    )
    with prompt_interrupt(GOES_ON):
        made = run(
            config,
            progress=track_epoch(config),
            done=epoch_done(config),
            log=tell,
            track_copies=show_progress,
        )
    if json:
        emit_json({"weights": str(made.path), "found": made.found, **made.provenance})
    else:
        show_pretrained(made)
