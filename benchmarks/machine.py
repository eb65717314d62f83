"""What is measured on, for the line under the table."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def describe_machine(gpu: str = "") -> dict[str, Any]:
    """The processor, how much of it is available, and how busy it is now.

    Args:
        gpu: the GPU's name, as a child has seen it; empty for none.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return {
        "cpu": cpu_name(),
        "cores": cores,
        "gpu": gpu or None,
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def cpu_name(path: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's own name; its architecture if it has none."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
