"""Progress on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int], None]
"""Called with how many units have been done since the last call."""

Progress = Callable[[str, int, str], AbstractContextManager[Advance]]
"""Called with what is done, the number of units, and the unit in the plural."""

Log = Callable[[str], None]
"""Called with each line of text that the user should see."""

SECONDS_BETWEEN_LINES = 10.0

WARM_UP = 2.0
"""Seconds from the first batch in which the rate is not measured yet."""


@contextmanager
def show_progress(title: str, total: int, unit: str) -> Iterator[Advance]:
    """Show the progress of `total` units of work, with the rate and the time left.

    Args:
        title: what is being done.
        total: how many units there are.
        unit: what a unit is, in the plural.
    """
    if sys.stderr.isatty():
        with _bar(title, total, unit) as advance:
            yield advance
    else:
        yield _lines(title, total, unit)


@contextmanager
def no_progress(title: str, total: int, unit: str) -> Iterator[Advance]:
    """No-op progress."""
    yield no_advance


def no_advance(n: int) -> None:
    """No-op callback."""


def no_log(text: str) -> None:
    """No-op callback."""


@contextmanager
def _bar(title: str, total: int, unit: str) -> Iterator[Advance]:
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[rate]}"),
    )
    rate = _Rate(total, unit)
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(title, total=total, rate="")

        def advance(n: int) -> None:
            rate.add(n)
            progress.update(bar, advance=n, rate=rate.text or f"– {unit}/s")

        yield advance


def _lines(title: str, total: int, unit: str) -> Advance:
    rate = _Rate(total, unit)
    last = time.perf_counter()

    def advance(n: int) -> None:
        nonlocal last
        rate.add(n)
        now = time.perf_counter()
        if now - last < SECONDS_BETWEEN_LINES:
            return
        last = now
        text = ", ".join(filter(None, [f"{title}: {rate.done} of {total} {unit}", rate.text]))
        print(text, file=sys.stderr, flush=True)

    return advance


class _Rate:
    """Units a second, and the time left, in words.

    What is done up to `WARM_UP` seconds after the first batch does not count: that batch waits for
    the compiler, and those that were computed beside it follow at once.

    Attributes:
        done: how many units have been done.
        text: the rate and the time left; empty while they are not known.
    """

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit = total, unit
        self._first: float | None = None
        self._before, self._begun = 0, 0.0
        self.done, self.text = 0, ""

    def add(self, n: int) -> None:
        now = time.perf_counter()
        self.done += n
        if self._first is None:
            self._first = now
        if now - self._first <= WARM_UP:
            self._before, self._begun = self.done, now
        elif self.done > self._before:
            per_s = (self.done - self._before) / (now - self._begun)
            left = clock((self._total - self.done) / per_s)
            self.text = f"{per_s:.1f} {self._unit}/s, {left} left"


def clock(seconds: float) -> str:
    """Seconds as people read them: ``0:42``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
