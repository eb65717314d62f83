"""How long work shows itself: a bar on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Advance = Callable[[int], None]
"""Called with how many units have been done since the last call."""

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def track(title: str, total: int, *, unit: str, stream: TextIO | None = None) -> Iterator[Advance]:
    """Show the progress of `total` units of work, with the rate and the time left.

    Args:
        title: what is being done.
        total: how many units there are.
        unit: what a unit is, in the plural.
        stream: where to show it (default: stderr).
    """
    stream = stream or sys.stderr
    if stream.isatty():
        with _bar(title, total, unit, stream) as advance:
            yield advance
    else:
        yield _lines(title, total, unit, stream)


@contextmanager
def _bar(title: str, total: int, unit: str, stream: TextIO) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        Remaining(),
        TextColumn("left"),
    )
    begun = time.perf_counter()
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:
        bar = progress.add_task(title, total=total, rate="")
        done = 0

        def advance(n: int) -> None:
            nonlocal done
            done += n
            rate = done / (time.perf_counter() - begun)
            progress.update(bar, advance=n, rate=f"{rate:.1f} {unit}/s")

        yield advance


def _lines(title: str, total: int, unit: str, stream: TextIO) -> Advance:
    begun = last = time.perf_counter()
    done = 0

    def advance(n: int) -> None:
        nonlocal done, last
        done += n
        now = time.perf_counter()
        if now - last < SECONDS_BETWEEN_LINES:
            return
        last = now
        rate = done / (now - begun)
        left = (total - done) / rate
        print(
            f"{title}: {done} of {total} {unit}, {rate:.1f} {unit}/s, {_clock(left)} left",
            file=stream,
            flush=True,
        )

    return advance


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
