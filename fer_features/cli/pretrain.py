"""`fer pretrain`: train a small backbone of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_features.cli.options import Data, FerPlus, Ignore, Json, MapClass, Seed, SkipBad, class_map
from fer_features.config import SEED, PretrainConfig
from fer_features.runtime.console import emit_json, say, tell
from fer_features.runtime.interrupt import prompt_interrupt
from fer_features.runtime.progress import show_progress

if TYPE_CHECKING:
    from fer_features.training.run import Pretrained

INTERRUPTED = "interrupted; the same command resumes after the last whole epoch"


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
    """Train a small backbone, and write its weights with a record of the images they have seen.

    It learns from FER2013's Training part without copies of images of the other two (from 60 % of
    data that names no parts). Stopped at any moment, the same command resumes after the last whole
    epoch, with the same result. `fer extract --backbone fernet --weights FILE` uses the weights; a
    picture of the learning curves is put beside them.
    """
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
    with prompt_interrupt(INTERRUPTED):
        trained = run(config, progress=show_progress, log=tell)
    if json:
        emit_json({"weights": str(trained.path), "found": trained.found, **trained.provenance})
    else:
        show_pretrained(trained)


def show_pretrained(trained: Pretrained) -> None:
    """Print the result of a training in a few lines."""
    from fer_features.training.record import curves_path

    provenance, data = trained.provenance, trained.provenance["data"]
    minutes = provenance["seconds"] / 60
    state = "there already" if trained.found else f"trained in {minutes:.1f} minutes"
    say(f"{trained.path}: {state}; learnt from {data['train']:,} images of {data['name']}")
    for part, scores in provenance["scores"].items():
        say(
            f"  {part}, {scores['n']:,} images and their mirror images: accuracy "
            f"{scores['accuracy']:.4f}, balanced {scores['balanced_accuracy']:.4f}, log loss "
            f"{scores['log_loss']:.4f}"
        )
    if not trained.found:
        say(f"  learning curves: {curves_path(trained.path)}")
