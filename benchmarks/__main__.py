"""``python -m benchmarks``: measure this package against others; make the page of results."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.config import (
    AccuracyConfig,
    FitsConfig,
    HeadsConfig,
    PrecisionConfig,
    PredictSpeedConfig,
    ShardsConfig,
    SpeedConfig,
    WholeConfig,
)
from fer_features.cli.flags import Json, PlainGroup, add_command
from fer_features.runtime.console import emit_json, print_message

app = typer.Typer(
    help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, cls=PlainGroup
)


def speed(config: SpeedConfig, *, json: Json = False) -> None:
    """Images a second of the network: the usual Keras recipe and each engine, in turn."""
    from benchmarks.speed import measure_speed
    from benchmarks.tables import show_speed

    measured = measure_speed(config)
    emit_json(measured.to_dict()) if json else show_speed(measured)


def extract(config: WholeConfig, *, json: Json = False) -> None:
    """A complete extraction by the clock, against the same network fed from memory.

    It extracts into a temporary folder in the cache folder; caches are neither used nor made.
    """
    from benchmarks.tables import show_whole
    from benchmarks.whole import measure_whole

    measured = measure_whole(config)
    emit_json(measured.to_dict()) if json else show_whole(measured)


def shards(config: ShardsConfig, *, json: Json = False) -> None:
    """An extraction in one piece by the clock, against its shards in turn and their merge."""
    from benchmarks.shards import measure_shards, show_shards

    measured = measure_shards(config)
    emit_json(measured.to_dict()) if json else show_shards(measured)


def precision(config: PrecisionConfig, *, json: Json = False) -> None:
    """What a precision costs: features and test accuracy against float32's; caches are kept."""
    from benchmarks.precision import measure_precision
    from benchmarks.tables import show_precision

    cost = measure_precision(config, log=print_message)
    emit_json(cost.to_dict()) if json else show_precision(cost)


def heads(config: HeadsConfig, *, json: Json = False) -> None:
    """Seconds that heads take, selection included, beside scikit-learn's own at its best."""
    from benchmarks.heads import measure_heads
    from benchmarks.tables import show_heads

    measured = measure_heads(config)
    emit_json(measured.to_dict()) if json else show_heads(measured)


def fits(config: FitsConfig, *, json: Json = False) -> None:
    """Time and memory of `fer fit` on many rows, those of a cache repeated with noise."""
    from benchmarks.fits import measure_fits, show_fits

    measured = measure_fits(config)
    emit_json(measured.to_dict()) if json else show_fits(measured)


def predict(config: PredictSpeedConfig, *, json: Json = False) -> None:
    """Pictures and faces a second of `fer predict`, beside the package fer of PyPI."""
    from benchmarks.predict import measure_predict, show_predict

    measured = measure_predict(config)
    emit_json(measured) if json else show_predict(measured)


def accuracy(config: AccuracyConfig, *, json: Json = False) -> None:
    """Accuracy of a model on FER2013's PrivateTest, beside the package fer of PyPI."""
    from benchmarks.accuracy import measure_accuracy, show_accuracy

    measured = measure_accuracy(config)
    emit_json(measured) if json else show_accuracy(measured)


def results(
    runs_dir: Annotated[Path, typer.Argument(help="Folder of runs.")],
    *,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/results.md"),
    readme: Annotated[
        Path | None, typer.Option(help="A document whose marked table becomes the short form.")
    ] = None,
    weights: Annotated[
        list[Path] | None, typer.Option(help="A file of fer train, seven classes; repeatable.")
    ] = None,
) -> None:
    """Write the page of results, from all runs of a folder."""
    from benchmarks.results_page import results_page, with_short_table
    from fer_features.runs.run import read_runs
    from fer_features.runtime.files import write_text

    runs = read_runs((), runs_dir, log=print_message)
    page = results_page(runs, date=datetime.now(UTC).date().isoformat(), weights=weights or [])
    print_message(f"{write_text(out, page)}: {len(runs):,} runs")
    if readme:
        write_text(readme, with_short_table(readme.read_text(encoding="utf-8"), runs))


for _function in (speed, extract, shards, precision, heads, fits, predict, accuracy, results):
    add_command(app, _function)

if __name__ == "__main__":
    app()
