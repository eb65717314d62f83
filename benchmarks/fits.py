"""``fer fit`` on so many rows: its time and memory, each fit in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.config import FitsConfig
from benchmarks.contenders import peak_bytes
from benchmarks.machine import describe_machine
from benchmarks.repeated import repeat_cache
from fer_features.cache import latest_cache
from fer_features.config import CACHE_DIR
from fer_features.runtime.console import print_line, table
from fer_features.runtime.progress import show_progress

_LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Fit:
    """One fit.

    Attributes:
        head: the head.
        seconds: of the whole process.
        cpu_s: its processor seconds, of all threads together.
        peak_bytes: the most memory that it has held.
        outcome: ``done``, ``out of time``, or what the process said last.
    """

    head: str
    seconds: float
    cpu_s: float
    peak_bytes: int
    outcome: str


@dataclass(frozen=True)
class Fits:
    """All fits on one cache.

    Attributes:
        rows: rows of the cache.
        cache_s: seconds in which it was written.
        cache_peak_bytes: the most memory that took.
        fits: in their order.
        machine: the machine, field by field.
    """

    rows: int
    cache_s: float
    cache_peak_bytes: int
    fits: list[Fit]
    machine: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types."""
        return asdict(self)


def measure_fits(config: FitsConfig) -> Fits:
    """Repeat the rows of a cache with noise, and run ``fer fit`` on them, head by head.

    Raises:
        FerError: the cache cannot be used.
    """
    cache = config.cache or latest_cache(CACHE_DIR)
    machine, found = describe_machine(), []
    with (
        tempfile.TemporaryDirectory(prefix=".bench-", dir=cache.parent) as folder,
        show_progress("measuring", len(config.heads), "fits") as advance,
    ):
        path = Path(folder, "repeated.h5")
        begun = time.perf_counter()
        repeat_cache(cache, path, rows=config.rows)
        cache_s, cache_peak_bytes = time.perf_counter() - begun, peak_bytes()
        for head in config.heads:
            found.append(_fit(path, head, limit_s=config.limit_s))
            advance(1)
    return Fits(config.rows, cache_s, cache_peak_bytes, found, machine)


def _fit(path: Path, head: str, *, limit_s: float) -> Fit:
    runs = path.parent / "runs"
    command = [sys.executable, "-m", "fer_features", "fit", str(path), "--head", head]
    with tempfile.TemporaryFile() as log:
        begun = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*command, "--runs-dir", str(runs)], stdout=log, stderr=log
        )
        ended, late = 0, False
        while not ended:
            time.sleep(_LOOK_EVERY_S)
            if not late and time.perf_counter() - begun > limit_s:
                late = True
                process.kill()
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        lines = log.read().decode(errors="replace").strip().splitlines()
    if late:
        outcome = "out of time"
    elif process.returncode:
        outcome = next((one for one in lines if one.startswith("error")), "".join(lines[-1:]))
    else:
        outcome = "done"
    cpu_s = used.ru_utime + used.ru_stime
    return Fit(head, seconds, cpu_s, used.ru_maxrss * 1024, outcome)


def show_fits(measured: Fits) -> None:
    """Print a line for each fit."""
    rows = [
        [
            one.head,
            f"{one.seconds:.1f}",
            f"{one.cpu_s:.1f}",
            f"{one.peak_bytes / 2**20:,.0f}",
            one.outcome,
        ]
        for one in measured.fits
    ]
    columns = ["head", "s", "CPU s", "peak MiB", "outcome"]
    table(columns, rows, title=f"{measured.rows:,} rows", text_columns=["head", "outcome"])
    memory = f"{measured.cache_peak_bytes / 2**20:,.0f} MiB"
    print_line(f"the cache was written in {measured.cache_s:.1f} s, with {memory}")
    print_line(f"machine: {measured.machine['cpu']}, {measured.machine['cores']} cores")
