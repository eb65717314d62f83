"""Free memory, asked before a large array is made: beyond it, the system kills the process."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fer_features.errors import FerError

LARGE = 256_000_000
"""Bytes of an array before which free memory is looked at."""

_MEMINFO = Path("/proc/meminfo")
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""A container's limit, by version 2 and version 1 of Linux's control groups."""


def free_memory() -> int | None:
    """Bytes that can still be taken, swap included; None if unknown, as it is but on Linux."""
    found = None
    with suppress(OSError, ValueError, LookupError):
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        kilobytes = {line.partition(":")[0]: line.split()[1] for line in lines}
        found = 1024 * (int(kilobytes["MemAvailable"]) + int(kilobytes.get("SwapFree", 0)))
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # a group without a limit says "max"
            limit = int(path.read_text(encoding="ascii"))
            found = limit if found is None else min(found, limit)
    return found


def new_array(shape: tuple[int, ...], dtype: DTypeLike, what: str) -> NDArray[Any]:
    """An uninitialised array, if there is memory for it.

    Args:
        shape: its shape.
        dtype: of its elements.
        what: what it will hold, for the message.

    Raises:
        FerError: there is not that much memory.
    """
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    free = free_memory() if needed > LARGE else None
    if free is not None and needed > free:
        raise FerError(
            f"{what}: {needed / 1e9:.1f} GB of memory are needed, {free / 1e9:.1f} GB are free",
            hint="take fewer rows, or pooled features in place of maps",
        )
    return np.empty(shape, dtype)
