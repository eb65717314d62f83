"""The command line: flags to one config, one call, one result; no logic.

Everything heavy is imported inside the commands, so that ``fer --help`` is quick.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec, TypeVar

import typer

from fer_features import __version__
from fer_features.cli import bench as cli_bench
from fer_features.cli import cache as cli_cache
from fer_features.cli import data as cli_data
from fer_features.cli import fit as cli_fit
from fer_features.cli import pretrain as cli_pretrain
from fer_features.cli import report as cli_report
from fer_features.cli.options import (
    CacheDir,
    Data,
    Ignore,
    Json,
    MapClass,
    PerClass,
    Seed,
    SkipBad,
    class_map,
    per_class_number,
)
from fer_features.config import CACHE_DIR, SEED, ExtractConfig
from fer_features.errors import FerError
from fer_features.runtime.console import emit_json, say, tell
from fer_features.runtime.interrupt import INTERRUPTED, prompt_interrupt
from fer_features.runtime.progress import show_progress

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


data_app.command()(_tidy(cli_data.info))
data_app.command()(_tidy(cli_data.show))
data_app.command()(_tidy(cli_data.audit))
data_app.command()(_tidy(cli_data.twins))
data_app.command()(_tidy(cli_data.layers))
cache_app.command("list")(_tidy(cli_cache.list_))
cache_app.command("info")(_tidy(cli_cache.info))
cache_app.command("verify")(_tidy(cli_cache.verify))
cache_app.command("remove")(_tidy(cli_cache.remove))
bench_app.command()(_tidy(cli_bench.speed))
bench_app.command()(_tidy(cli_bench.extract))
bench_app.command()(_tidy(cli_bench.precision))
bench_app.command()(_tidy(cli_bench.heads))


@app.command()
@_tidy
def extract(
    data: Data = ExtractConfig.data,
    backbone: Annotated[
        str,
        typer.Option(help="inception_resnet_v2, fernet, or the descriptors hog, lbp and pixels."),
    ] = ExtractConfig.backbone,
    weights: Annotated[
        str | None,
        typer.Option(
            help="imagenet, shipped (fernet's own), random:SEED, or a .h5, .weights.h5 or .keras "
            "file; by default imagenet, or shipped; descriptors take none."
        ),
    ] = ExtractConfig.weights,
    task: Annotated[
        str, typer.Option(help="binary, seven, or a TOML file with your own classes.")
    ] = ExtractConfig.task,
    per_class: PerClass = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Height and width that images are resized to; by default the network's own.",
        ),
    ] = ExtractConfig.size,
    preprocess: Annotated[
        str,
        typer.Option(help="keras: the network's own; raw: grey levels 0 to 255 as they are."),
    ] = ExtractConfig.preprocess,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            help="A layer to keep; can be given several times; by default the last, but for hog "
            "hog_8, the best on FER2013's validation images.",
        ),
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
    ignore: Ignore = None,
    map_class: MapClass = None,
    json: Json = False,
) -> None:
    """Stage 1: push every chosen image once through a frozen network, and cache the features.

    Stopped at any moment, the same command goes on where it was. What another task or layer has
    computed already is not computed again.
    """
    from fer_features.cli.render import GOES_ON, extraction_dict, show_extraction
    from fer_features.extract.extract import extract as run

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
        ignore=tuple(ignore or ()),
        classes=class_map(map_class),
    )

    with prompt_interrupt(GOES_ON):
        done = run(
            config,
            progress=show_progress,
            log=tell,
            find_copies=True,
        )
    emit_json(extraction_dict(done)) if json else show_extraction(done)


app.command()(_tidy(cli_pretrain.pretrain))
app.command()(_tidy(cli_fit.fit))
app.command()(_tidy(cli_fit.compare))
app.command()(_tidy(cli_report.report))
