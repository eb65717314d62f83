"""Measurements as people read them."""

from __future__ import annotations

import textwrap
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from fer_features.runtime.console import print_line, table, width

if TYPE_CHECKING:
    from benchmarks.heads import HeadsSpeed, MeasuredHead
    from benchmarks.precision import PrecisionCost
    from benchmarks.results import Line, Speed
    from benchmarks.whole import Whole

DISTURBING = 0.05
"""A process that took more of the others' time than this is reported."""


def show_speed(speed: Speed) -> None:
    """One line for each contender, then what they are compared with, and the machine."""
    from benchmarks.results import NAIVE, best_products

    lines = speed.lines()
    rounds = len(lines[0].measured.rounds)
    table(
        [
            "contender",
            "precision",
            "images/s",
            "min – max",
            "× naive",
            "GFLOP/s",
            "of products",
            "runs on",
        ],
        [_cells(line) for line in lines],
        title=f"{speed.backbone} at {speed.size} px, median of {_count(rounds, 'round')} in turn",
        text_columns=["contender", "precision", "runs on"],
    )
    _note(
        "× naive is within one precision; images/s are of different images, each through the "
        "network"
    )
    for line in lines:
        if line.across is not None and line.measured.name.split()[0] != NAIVE:
            _note(
                f"across precisions: {line.measured.name} is {line.across.median:.2f} times naive "
                "in float32, which holds the gain of the precision itself"
            )
    if speed.gflop is not None:
        about = "" if speed.exact else "about "
        _note(f"{about}{speed.gflop:.2f} GFLOP an image, a multiplication with its addition as two")
    for (device, precision), one in best_products(speed.products).items():
        rate = median(one.gflops)
        _note(
            f"matrix products, {one.side} × {one.side}, {precision} on {device}: {rate:,.0f} "
            f"GFLOP/s ({one.library})"
        )
    for name, reason in speed.left_out.items():
        _note(f"left out: {name}: {reason}")
    for name in _disturbing(speed):
        _note(f"! {name} did not sleep while others worked; take these numbers with care")
    print_line(_machine(speed.machine))


def _cells(line: Line) -> list[str]:
    return [
        line.measured.name.removesuffix(f" {line.measured.precision}"),
        line.measured.precision,
        _rate(line.rate.median),
        f"{_rate(line.rate.least)} – {_rate(line.rate.greatest)}",
        "–" if line.to_naive is None else f"{line.to_naive.median:.2f}",
        "–" if line.gflops is None else f"{line.gflops:,.0f}",
        "–" if line.share is None else f"{line.share:.0%}",
        f"{line.measured.engine}, batches of {line.measured.batch_size}"
        + (f" (best of {', '.join(line.measured.tried)})" if line.measured.tried else ""),
    ]


def _rate(images_per_s: float) -> str:
    return f"{images_per_s:.1f}" if images_per_s < 100 else f"{images_per_s:,.0f}"


def _disturbing(speed: Speed) -> list[str]:
    """Contenders that computed while it was the others' turn."""
    names = []
    for one in speed.contenders:
        others = [other for other in speed.contenders if other is not one]
        seconds = sum(turn.seconds for other in others for turn in other.rounds)
        # Before its first turn a process may still be busy with its own making.
        busy = sum(turn.idle_cpu_s for turn in one.rounds[1:])
        if busy > DISTURBING * seconds:
            names.append(one.name)
    return names


def _machine(machine: dict[str, Any]) -> str:
    gpu = f"{machine['gpu']}; " if machine["gpu"] else ""
    return (
        f"machine: {gpu}{machine['cpu']}, {machine['cores']} cores; {machine['system']}; load "
        f"{machine['load_before']:.2f} before the first round"
    )


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def _note(text: str) -> None:
    print_line(textwrap.fill(text, width(), subsequent_indent="  "))


def show_whole(whole: Whole) -> None:
    """One line for each round, then the medians in words."""
    from benchmarks.whole import CLOCKS

    rows = [
        [
            str(place),
            *(f"{one.clocks[name]:.2f}" for name in CLOCKS),
            f"{one.wall_s:.2f}",
            _rate(one.images / one.wall_s),
            _rate(whole.rows / one.wall_s),
            f"{one.peak_bytes / 2**20:,.0f}",
            f"{one.network_s:.2f}",
            _rate(one.images / one.network_s),
            f"{one.cost_s:.2f}",
        ]
        for place, one in enumerate(whole.rounds, start=1)
    ]
    columns = ["round", *(f"{name} s" for name in CLOCKS), "wall s", "images/s", "rows/s"]
    columns += ["peak MiB"]
    columns += ["network alone s", "its images/s", "cost s"]
    images = whole.rounds[0].images
    title = f"{whole.data}: {whole.rows:,} rows, {images:,} images; {whole.engine}"
    table(columns, rows, title=f"{title}, {whole.precision}")
    cost = whole.median_of(lambda one: one.cost_s)
    _note(
        f"reading and writing cost {cost:.2f} s beside the network alone: "
        f"{whole.median_of(lambda one: one.share_of_wall):.1%} of the wall time, "
        f"{whole.median_of(lambda one: one.share_of_work):.1%} of it without preparation and "
        "imports (medians)"
    )
    first = whole.median_of(lambda one: one.images / (one.wall_s + whole.building_s))
    _note(
        f"the first extraction also builds the network's graph: {whole.building_s:.1f} s more, "
        f"{_rate(first)} images/s in all; images/s are of different images that went through the "
        "network, rows/s of all rows, whose copies are computed once"
    )
    print_line(_machine(whole.machine))


def show_precision(cost: PrecisionCost) -> None:
    """The features' cosines in a line, the heads' accuracies in a table."""
    rows = [
        [
            head,
            precision,
            f"{mean(values):.4f}",
            f"{min(values):.4f} – {max(values):.4f}",
            f"{100 * mean(cost.differences(head, precision)):+.2f}",
        ]
        for head, by_precision in cost.accuracies.items()
        for precision, values in by_precision.items()
    ]
    seeds = max((len(v) for by in cost.accuracies.values() for v in by.values()), default=0)
    table(
        ["head", "precision", "test acc", "min – max", "points to float32"],
        rows,
        title=f"{cost.data}: {cost.rows:,} images, {cost.test_rows:,} of them test; "
        f"{cost.engine}, weights {cost.weights}; mean of {_count(seeds, 'seed')}",
        text_columns=["head", "precision"],
    )
    for precision, one in cost.cosines.items():
        _note(
            f"pooled features in {precision}: cosine to float32's {one.median:.6f} in the median, "
            f"{one.least:.6f} at the least"
        )
    for precision, reason in cost.left_out.items():
        _note(f"left out: {precision}: {reason}")
    if cost.weights.startswith("random"):
        _note("! RANDOM WEIGHTS: they do not show what a precision costs a trained network")


def show_heads(speed: HeadsSpeed) -> None:
    """One line for each head, scikit-learn's own below it, then the machine."""
    training, validation, test = speed.rows
    columns = ["head", "fit s", "min – max", "CPU s", "predict s", "val acc", "test acc"]
    table(
        [*columns, "peak MiB", "× wall", "× CPU", "fitted by"],
        [_head_cells(speed, one) for one in speed.contenders],
        title=f"{speed.data}: {training:,} rows of {speed.features:,} features, the choice on "
        f"{validation:,}, predictions of {test:,}; medians of rounds in turn",
        text_columns=["head", "fitted by"],
    )
    _note(
        "a fit includes every candidate, the choice among them, and for svm and ridge the "
        "calibration of the probabilities, scikit-learn's own too; × wall: scikit-learn's fastest "
        "thread setting (*) by the head's; × CPU: the same of processor seconds, by the setting "
        f"with the fewest; paired by round, {_count(speed.machine['cores'], 'core')} for each"
    )
    for name, reason in speed.left_out.items():
        _note(f"left out: {name}: {reason}")
    print_line(_machine(speed.machine))


def _head_cells(speed: HeadsSpeed, one: MeasuredHead) -> list[str]:
    times, cpu = speed.times_stock(one), speed.times_stock(one, "fit_cpu_s")
    last, best = one.rounds[-1], " *" if one is speed.best_stock(one.head) else ""
    return [
        f"  scikit-learn's, {one.setting}{best}" if one.stock else one.head,
        f"{one.fit.median:.2f}",
        f"{one.fit.least:.2f} – {one.fit.greatest:.2f}",
        f"{one.fit_cpu.median:.2f}",
        f"{one.predict.median:.2f}",
        f"{last.validation:.4f}",
        f"{last.test:.4f}",
        f"{max(turn.peak_bytes for turn in one.rounds) / 2**20:,.0f}",
        "–" if times is None else f"{times.median:.1f}",
        "–" if cpu is None else f"{cpu.median:.1f}",
        last.solver,
    ]
