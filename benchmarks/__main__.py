"""``python -m benchmarks``: measure this package against others on this machine."""

from __future__ import annotations

import typer

from benchmarks.config import HeadsConfig, PrecisionConfig, SpeedConfig, WholeConfig
from fer_features.cli.flags import Json, add_command
from fer_features.runtime.console import emit_json, print_message

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


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


for _function in (speed, extract, precision, heads):
    add_command(app, _function)

if __name__ == "__main__":
    app()
