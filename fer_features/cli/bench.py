"""The commands of ``fer bench``: flags to one config, one call, one result; no logic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fer_features.cli.options import (
    CacheDir,
    Data,
    Ignore,
    Json,
    MapClass,
    PerClass,
    Seed,
    class_map,
    per_class_number,
)
from fer_features.config import (
    CACHE_DIR,
    SEED,
    ExtractConfig,
    HeadsConfig,
    PrecisionConfig,
    SpeedConfig,
    WholeConfig,
)
from fer_features.runtime.console import emit_json, tell
from fer_features.runtime.interrupt import prompt_interrupt
from fer_features.runtime.progress import show_progress

Backbone = Annotated[str, typer.Option(help="The frozen network.")]
Weights = Annotated[
    str, typer.Option(help="imagenet, random:SEED, or a .h5, .weights.h5 or .keras file.")
]
Task = Annotated[str, typer.Option(help="binary, seven, or a TOML file with your own classes.")]
Size = Annotated[
    int | None,
    typer.Option(min=1, help="Height and width that images are resized to; by default 139."),
]
BatchSize = Annotated[
    int | None,
    typer.Option(min=1, help="Images that go through the network at once; by default its own."),
]
EngineName = Annotated[str, typer.Option(help="keras, openvino or auto.")]


class SpeedByDefault(TyperGroup):
    """``fer bench`` with or without options is ``fer bench speed``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name in where there is none."""
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["speed", *args]
        return super().parse_args(ctx, args)


def speed(
    images: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images of each contender's round, made whole batches; by default what takes "
            "about three seconds.",
        ),
    ] = SpeedConfig.images,
    rounds: Annotated[
        int, typer.Option(min=1, help="How often each contender is measured.")
    ] = SpeedConfig.rounds,
    backbone: Backbone = SpeedConfig.backbone,
    weights: Weights = SpeedConfig.weights,
    size: Size = SpeedConfig.size,
    batch_size: BatchSize = SpeedConfig.batch_size,
    engine: Annotated[
        list[str] | None,
        typer.Option(help="keras or openvino; can be given several times; by default both."),
    ] = None,
    peer: Annotated[
        str | None, typer.Option(help="timm: its network on PyTorch, measured beside ours.")
    ] = SpeedConfig.peer,
    peer_python: Annotated[
        Path | None, typer.Option(help="The Python that has the peer's packages.")
    ] = SpeedConfig.peer_python,
    cache_dir: CacheDir = CACHE_DIR,
    json: Json = False,
) -> None:
    """Images a second of the network: the usual Keras recipe and each engine, in turn."""
    from fer_features.bench.speed import measure_speed
    from fer_features.cli.render_bench import show_speed

    config = SpeedConfig(
        backbone=backbone,
        weights=weights,
        size=size,
        batch_size=batch_size,
        engines=tuple(engine or ()),
        images=images,
        rounds=rounds,
        peer=peer,
        peer_python=peer_python,
        cache_dir=cache_dir,
    )
    measured = measure_speed(config)
    emit_json(measured.to_dict()) if json else show_speed(measured)


def extract(
    data: Data = ExtractConfig.data,
    rounds: Annotated[
        int, typer.Option(min=1, help="How often it is measured, each time in fresh processes.")
    ] = WholeConfig.rounds,
    backbone: Backbone = ExtractConfig.backbone,
    weights: Weights = SpeedConfig.weights,
    task: Task = ExtractConfig.task,
    per_class: PerClass = None,
    size: Size = ExtractConfig.size,
    engine: EngineName = ExtractConfig.engine,
    precision: Annotated[
        str, typer.Option(help="float32, bfloat16 or auto.")
    ] = ExtractConfig.precision,
    batch_size: BatchSize = ExtractConfig.batch_size,
    seed: Seed = SEED,
    cache_dir: CacheDir = CACHE_DIR,
    ignore: Ignore = None,
    map_class: MapClass = None,
    json: Json = False,
) -> None:
    """A whole extraction by the clock, against the same network fed from memory.

    It extracts into a temporary folder in the cache folder; caches are neither used nor made.
    """
    from fer_features.bench.whole import measure_whole
    from fer_features.cli.render_bench import show_whole

    config = ExtractConfig(
        data=data,
        backbone=backbone,
        weights=weights,
        task=task,
        per_class=per_class_number(per_class),
        size=size,
        engine=engine,
        precision=precision,
        batch_size=batch_size,
        seed=seed,
        cache_dir=cache_dir,
        ignore=tuple(ignore or ()),
        classes=class_map(map_class),
    )
    measured = measure_whole(WholeConfig(extract=config, rounds=rounds))
    emit_json(measured.to_dict()) if json else show_whole(measured)


def precision(
    data: Data = ExtractConfig.data,
    backbone: Backbone = ExtractConfig.backbone,
    weights: Weights = "imagenet",
    task: Task = ExtractConfig.task,
    per_class: PerClass = None,
    size: Size = ExtractConfig.size,
    engine: EngineName = ExtractConfig.engine,
    head: Annotated[
        list[str] | None,
        typer.Option(
            help="A head, such as dense or svm; can be given several times; by default "
            f"{', '.join(PrecisionConfig.heads)}."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="grouped, reference or usage; by default as in fer fit.")
    ] = PrecisionConfig.split,
    seeds: Annotated[
        int, typer.Option(min=1, help="Seeds that each head is fitted with, from 0 on.")
    ] = PrecisionConfig.seeds,
    batch_size: BatchSize = ExtractConfig.batch_size,
    seed: Seed = SEED,
    cache_dir: CacheDir = CACHE_DIR,
    ignore: Ignore = None,
    map_class: MapClass = None,
    json: Json = False,
) -> None:
    """What a precision costs: features and test accuracy against float32's.

    The caches are kept; the runs are not. --seed draws the images.
    """
    from fer_features.bench.precision import measure_precision
    from fer_features.cli.render import GOES_ON, epoch_progress
    from fer_features.cli.render_bench import show_precision

    config = ExtractConfig(
        data=data,
        backbone=backbone,
        weights=weights,
        task=task,
        per_class=per_class_number(per_class),
        size=size,
        engine=engine,
        batch_size=batch_size,
        seed=seed,
        cache_dir=cache_dir,
        ignore=tuple(ignore or ()),
        classes=class_map(map_class),
    )
    wanted = PrecisionConfig(
        extract=config, heads=tuple(head or PrecisionConfig.heads), split=split, seeds=seeds
    )
    with prompt_interrupt(GOES_ON):
        cost = measure_precision(wanted, progress=show_progress, on_epoch=epoch_progress, log=tell)
    emit_json(cost.to_dict()) if json else show_precision(cost)


def heads(
    cache: Annotated[
        Path | None,
        typer.Argument(help="A cache to measure on; by default features are drawn."),
    ] = HeadsConfig.cache,
    head: Annotated[
        list[str] | None,
        typer.Option(
            help="A head on pooled features; can be given several times; by default "
            f"{', '.join(HeadsConfig.heads)}."
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="How often each head is measured.")
    ] = HeadsConfig.rounds,
    stock: Annotated[
        bool, typer.Option(help="Measure scikit-learn's own too, in each thread setting.")
    ] = HeadsConfig.stock,
    stock_rounds: Annotated[
        int, typer.Option(min=1, help="How often those are measured; they take minutes.")
    ] = HeadsConfig.stock_rounds,
    rows: Annotated[
        int, typer.Option(min=60, help="Drawn rows to fit to; a third as many to choose on.")
    ] = HeadsConfig.rows,
    features: Annotated[
        int, typer.Option(min=1, help="Numbers of a drawn row.")
    ] = HeadsConfig.features,
    seed: Seed = SEED,
    json: Json = False,
) -> None:
    """Seconds that heads take, choice included, beside scikit-learn's own at its best, in turn."""
    from fer_features.bench.heads import measure_heads
    from fer_features.cli.render_bench import show_heads

    config = HeadsConfig(
        cache=cache,
        heads=tuple(head or HeadsConfig.heads),
        rounds=rounds,
        stock=stock,
        stock_rounds=stock_rounds,
        rows=rows,
        features=features,
        seed=seed,
    )
    measured = measure_heads(config)
    emit_json(measured.to_dict()) if json else show_heads(measured)
