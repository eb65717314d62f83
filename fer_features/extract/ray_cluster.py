"""A Ray cluster: joining one or starting one, and what a worker takes of it."""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from fer_features.backbones import get_backbone
from fer_features.config import ExtractConfig
from fer_features.errors import FerError, install_hint

LOCAL = "local"
"""The address of a Ray that is started on this machine."""


@dataclass(frozen=True)
class Share:
    """What a worker takes of a cluster: CPUs and GPUs; and how many workers that makes."""

    cpus: int
    gpus: int
    workers: int

    @property
    def text(self) -> str:
        """What a worker takes, in words."""
        return f"{self.gpus} GPU" if self.gpus else f"{self.cpus} CPU"


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """Ray, connected to a cluster; a connection that was there before is used, and left.

    Raises:
        FerError: Ray is not installed, or there is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise FerError("--on ray needs Ray", hint=install_hint("ray")) from error
    if ray.is_initialized():
        yield ray
        return
    own: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    with redirect_stdout(_WithoutRay(sys.stdout)):
        try:
            _reach(address)
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
        except (OSError, RuntimeError, ValueError) as error:
            raise FerError(
                f"no Ray cluster at {address}: {next(iter(str(error).splitlines()), '')}",
                hint="ray start --head starts one on this machine; --on ray needs none",
            ) from error
        try:
            yield ray
        finally:
            with redirect_stdout(io.StringIO()):  # Ray flushes there what it has held back
                ray.shutdown()


def _reach(address: str) -> None:
    """Raise an `OSError` if nothing listens at HOST:PORT, for which Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


class _WithoutRay:
    """Standard output without what Ray's own threads print there: that a machine was lost.

    Args:
        stdout: standard output as it is.
    """

    def __init__(self, stdout: Any) -> None:
        self._stdout = stdout

    def write(self, text: str) -> int:
        """Write a text, unless a thread of Ray's does."""
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return int(self._stdout.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stdout, name)


def share_of(ray: Any, config: ExtractConfig, *, own: bool) -> Share:
    """A GPU for a worker where the cluster has some; else the CPUs of its smallest machine.

    A CPU of each machine is left to Ray and to others, but on a Ray that is started for this.
    """
    nodes = [one["Resources"] for one in ray.nodes() if one["Alive"]]
    gpus = sum(int(one.get("GPU", 0)) for one in nodes)
    if gpus and config.engine != "openvino" and get_backbone(config.backbone).descriptors is None:
        return Share(1, 1, gpus)
    left = 0 if own else 1
    cpus = [max(int(one["CPU"]) - left, 1) for one in nodes if one.get("CPU", 0) >= 1]
    if not cpus:
        raise FerError("no machine of the Ray cluster has a CPU for tasks")
    return Share(min(cpus), 0, sum(one // min(cpus) for one in cpus))
