"""The command line: flags to one config, one call, one result; no logic.

Everything heavy is imported inside the commands, so that ``fer --help`` is quick.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer

from fer_features import __version__, cli_bench, cli_cache
from fer_features.config import CACHE_DIR, RUNS_DIR, SEED, ExtractConfig, FitConfig
from fer_features.console import emit_json, say, tell
from fer_features.errors import FerError
from fer_features.interrupt import INTERRUPTED, prompt_interrupt
from fer_features.options import (
    CacheDir,
    CacheFile,
    Data,
    Json,
    PerClass,
    RunsDir,
    Seed,
    SkipBad,
    per_class_number,
)

P = ParamSpec("P")
R = TypeVar("R")

CALLERS_MISTAKE = 2
PIPE_CLOSED = 141

app = typer.Typer(
    help="Facial-expression classification in two stages: features cached once, heads in seconds.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
data_app = typer.Typer(help="Look at a source of faces.", no_args_is_help=True)
cache_app = typer.Typer(help="Look at feature caches, check and delete them.", no_args_is_help=True)
bench_app = typer.Typer(
    help="Measure this machine; without a command: speed.", cls=cli_bench.SpeedByDefault
)
app.add_typer(data_app, name="data")
app.add_typer(cache_app, name="cache")
app.add_typer(bench_app, name="bench")


def _tidy(command: Callable[P, R]) -> Callable[P, R]:
    """Print a caller's mistake as two lines, an interruption as one; never a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except FerError as error:
            tell(f"error: {error.message}")
            if error.hint:
                tell(f"hint: {error.hint}")
            raise typer.Exit(CALLERS_MISTAKE) from None
        except KeyboardInterrupt:
            tell("interrupted; nothing half-written was left behind")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # the reader of our output has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(PIPE_CLOSED) from None
        except OSError as error:  # a full disk, a folder that cannot be written
            place = f"{error.filename}: " if error.filename else ""
            tell(f"error: {place}{error.strerror or error}")
            raise typer.Exit(CALLERS_MISTAKE) from None

    return wrapped


def main() -> None:
    """Start the command line."""
    app()


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        say(__version__)
        raise typer.Exit


@data_app.command("info")
@_tidy
def data_info(
    data: Data = ExtractConfig.data, skip_bad: SkipBad = False, json: Json = False
) -> None:
    """Count images by emotion and usage; find copies and constant images."""
    from fer_features.faces import open_faces
    from fer_features.faces.inspect import summarize
    from fer_features.render import show_summary

    summary = summarize(open_faces(data, skip_bad=skip_bad))
    emit_json(summary.to_dict()) if json else show_summary(summary)


@data_app.command("show")
@_tidy
def data_show(
    data: Data = ExtractConfig.data,
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("faces.png"),
    per_emotion: Annotated[int, typer.Option(min=1, help="Images of each emotion.")] = 10,
    seed: Seed = SEED,
    skip_bad: SkipBad = False,
    json: Json = False,
) -> None:
    """Draw a labelled grid of images."""
    from fer_features.faces import open_faces, read_all
    from fer_features.faces.inspect import sample_rows
    from fer_features.plots import faces_grid, save_figure

    source = open_faces(data, skip_bad=skip_bad)
    rows = sample_rows(source.index(), per_emotion=per_emotion, seed=seed)
    figure = faces_grid(read_all(source, rows), title=f"{source.name}, with row numbers")
    path = save_figure(figure, out)
    emit_json({"picture": str(path), "rows": rows.tolist()}) if json else say(str(path))


@data_app.command("layers")
@_tidy
def data_layers(
    backbone: Annotated[str, typer.Argument(help="The frozen network.")] = ExtractConfig.backbone,
    size: Annotated[
        int | None, typer.Option(min=1, help="Height and width that images are resized to.")
    ] = ExtractConfig.size,
    json: Json = False,
) -> None:
    """List the layers of a network that can be kept, with their shapes."""
    from fer_features.backbones import get_backbone
    from fer_features.backbones.layers import layer_shapes
    from fer_features.render import layers_dict, show_layers

    network = get_backbone(backbone)
    shapes = layer_shapes(network, size=size)
    emit_json(layers_dict(network, shapes)) if json else show_layers(network, shapes)


cache_app.command("list")(_tidy(cli_cache.list_))
cache_app.command("info")(_tidy(cli_cache.info))
cache_app.command("verify")(_tidy(cli_cache.verify))
cache_app.command("remove")(_tidy(cli_cache.remove))
for command in (cli_bench.speed, cli_bench.extract, cli_bench.precision):
    bench_app.command()(_tidy(command))


@app.command()
@_tidy
def extract(
    data: Data = ExtractConfig.data,
    backbone: Annotated[str, typer.Option(help="The frozen network.")] = ExtractConfig.backbone,
    weights: Annotated[
        str, typer.Option(help="imagenet, random:SEED, or a .h5, .weights.h5 or .keras file.")
    ] = ExtractConfig.weights,
    task: Annotated[
        str, typer.Option(help="binary, seven, or a TOML file with your own classes.")
    ] = ExtractConfig.task,
    per_class: PerClass = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Height and width that images are resized to; by default the network's: 139.",
        ),
    ] = ExtractConfig.size,
    preprocess: Annotated[
        str,
        typer.Option(help="keras: the network's own; raw: grey levels 0 to 255 as they are."),
    ] = ExtractConfig.preprocess,
    layer: Annotated[
        list[str] | None,
        typer.Option(help="A layer to keep; can be given several times; by default the last."),
    ] = None,
    output: Annotated[
        str, typer.Option(help="pooled, map, or both with a comma between.")
    ] = ",".join(ExtractConfig.outputs),
    views: Annotated[
        list[str] | None,
        typer.Option(help="A view to keep besides the images as they are: flip, their mirror."),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="keras, openvino or auto: Keras on a GPU, OpenVINO on a CPU where it is installed."
        ),
    ] = ExtractConfig.engine,
    precision: Annotated[
        str,
        typer.Option(help="float32, bfloat16 or auto: bfloat16 where the hardware has it."),
    ] = ExtractConfig.precision,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images that go through the network at once; by default the engine's own: 32 on "
            "a CPU.",
        ),
    ] = ExtractConfig.batch_size,
    compression: Annotated[
        str | None,
        typer.Option(
            help="none, gzip or zstd; by default as the cache is, none for a new one.",
        ),
    ] = ExtractConfig.compression,
    seed: Seed = SEED,
    cache_dir: CacheDir = CACHE_DIR,
    skip_bad: SkipBad = False,
    json: Json = False,
) -> None:
    """Stage 1: push every chosen image once through a frozen network, and cache the features.

    Stopped at any moment, the same command goes on where it was. What another task or layer has
    computed already is not computed again.
    """
    from fer_features.extract import extract as run
    from fer_features.render import GOES_ON, extraction_dict, show_extraction, track_extraction

    config = ExtractConfig(
        data=data,
        backbone=backbone,
        weights=weights,
        task=task,
        per_class=per_class_number(per_class),
        size=size,
        preprocess=preprocess,
        layers=tuple(layer or ()),
        outputs=tuple(one.strip() for one in output.split(",")),
        views=tuple(views or ()),
        engine=engine,
        precision=precision,
        batch_size=batch_size,
        compression=compression,
        seed=seed,
        cache_dir=cache_dir,
        skip_bad=skip_bad,
    )

    with prompt_interrupt(GOES_ON):
        done = run(config, track=track_extraction(config), note=tell)
    emit_json(extraction_dict(done)) if json else show_extraction(done)


@app.command()
@_tidy
def fit(
    cache: CacheFile = None,
    head: Annotated[
        list[str] | None,
        typer.Option(
            help="dense (the default), logreg, svm or all; can be given several times.",
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="grouped (no leak), reference (as published) or usage.")
    ] = FitConfig.split,
    task: Annotated[
        str | None, typer.Option(help="Another task than the cache's: binary, seven or a file.")
    ] = None,
    per_class: PerClass = None,
    layer: Annotated[
        str | None, typer.Option(help="The cached layer; by default the last.")
    ] = None,
    seed: Seed = SEED,
    cv: Annotated[int, typer.Option(metavar="K", help="Cross-validate over K folds too.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter of every head named; can be given several times.",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(help="Parallel jobs; -1 for one each core.")
    ] = FitConfig.jobs,
    cache_dir: CacheDir = CACHE_DIR,
    runs_dir: RunsDir = RUNS_DIR,
    json: Json = False,
) -> None:
    """Stage 2: fit light heads on a cache, score them, and write a run for each."""
    from fer_features.fit import fit as run
    from fer_features.render import epoch_progress, parse_params, run_dict, show_run
    from fer_features.store import latest_cache

    params = parse_params(set_ or [])
    used = cache or latest_cache(cache_dir)
    config = FitConfig(
        cache=used,
        heads=tuple(head or FitConfig.heads),
        split=split,
        task=task,
        per_class=per_class_number(per_class),
        layer=layer,
        seed=seed,
        cv=cv,
        params=params,
        cache_dir=cache_dir,
        runs_dir=runs_dir,
        jobs=jobs,
    )
    runs = []
    for one in run(config, progress=functools.partial(epoch_progress, cache=used)):
        runs.append(one)
        if not json:
            show_run(one)
    if json:
        emit_json({"runs": [run_dict(one) for one in runs]})


@app.command()
@_tidy
def compare(
    run: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of runs; by default all that are about the newest's images."),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    everything: Annotated[
        bool, typer.Option("--all", help="All runs, whatever images they are about.")
    ] = False,
    format_: Annotated[
        str, typer.Option("--format", help="table, markdown, csv or json.")
    ] = "table",
    figures: Annotated[
        Path | None, typer.Option(help="Where the pictures go; by default RUNS_DIR/compare.")
    ] = None,
    json: Json = False,
) -> None:
    """Put runs into one table, the best validation accuracy first, and draw them."""
    from fer_features.compare import compare as tabulate
    from fer_features.compare import of_same_data, write_figures
    from fer_features.render import show_comparisons
    from fer_features.runs import list_runs, read_run

    found = [read_run(path) for path in run] if run else list_runs(runs_dir)
    shown = found if run or everything else of_same_data(found)
    tables = tabulate(shown)
    show_comparisons(tables, "json" if json else format_)
    for path in write_figures(tables, figures or runs_dir / "compare"):
        tell(f"drew {path}")
    if len(shown) < len(found):
        tell(f"{len(found) - len(shown)} runs on other images are not shown: fer compare --all")
