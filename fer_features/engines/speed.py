"""Images a second of each engine on this machine."""

from __future__ import annotations

import statistics
import time
from collections import deque
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_features.backbones import get_backbone, resolve_weights
from fer_features.engines import PRECISIONS, GraphSpec, choose_for, make_engine
from fer_features.engines.engine import Engine, Features
from fer_features.errors import FerError
from fer_features.runtime.progress import Progress, no_progress

IMAGE_SHAPE = (48, 48)


@dataclass(frozen=True)
class Speed:
    """What one engine reached in one precision.

    Attributes:
        engine: the engine and its device; its name if it cannot run.
        precision: ``float32`` or ``bfloat16``.
        batch_size: images in a batch.
        images_per_s: the median of the rounds; None if it cannot run here.
        why_not: why it cannot.
    """

    engine: str
    precision: str
    batch_size: int | None = None
    images_per_s: float | None = None
    why_not: str = ""


def measure_engines(
    backbone: str,
    *,
    size: int | None = None,
    batch_size: int | None = None,
    engines: tuple[str, ...] = ("keras", "openvino"),
    seconds: float = 3.0,
    rounds: int = 3,
    graphs: Path,
    progress: Progress = no_progress,
) -> list[Speed]:
    """Run random images through a network with each engine and precision; weights are random.

    Raises:
        FerError: there is no such backbone or engine, or the size is too small.
    """
    network = get_backbone(backbone)
    pairs = [(engine, precision) for engine in engines for precision in PRECISIONS]
    found = []
    with progress("measuring", len(pairs), "engines") as advance:
        for name, precision in pairs:
            spec = GraphSpec(
                backbone=network,
                weights=resolve_weights("random:0", network),
                size=size or network.default_size,
                preprocess="keras",
                layers=(network.default_layer,),
                outputs=("pooled",),
                image_shape=IMAGE_SHAPE,
                precision=precision,
            )
            try:
                choose_for(network, name, precision)
                made = make_engine(name, spec, batch_size=batch_size, graphs=graphs)
            except FerError as error:
                found.append(Speed(name, precision, why_not=error.message))
            else:
                with closing(made) as engine:
                    rate = statistics.median(_rates(engine, seconds=seconds, rounds=rounds))
                    found.append(Speed(engine.name, precision, engine.batch_size, rate))
            advance(1)
    return found


def _rates(engine: Engine, *, seconds: float, rounds: int) -> list[float]:
    """Images a second of each round; a first one, not counted, warms up and sets the length."""
    batch = np.random.default_rng(0).integers(0, 256, (engine.batch_size, *IMAGE_SHAPE), np.uint8)
    _time(engine, batch, 1)
    once = _time(engine, batch, engine.depth + 1) / (engine.depth + 1)
    batches = max(1, round(seconds / max(once, 1e-6)))
    return [batches * len(batch) / _time(engine, batch, batches) for _ in range(rounds)]


def _time(engine: Engine, batch: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], n: int) -> float:
    begun = time.perf_counter()
    running: deque[Future[Features]] = deque()
    for _ in range(n):
        running.append(engine.submit(batch))
        if len(running) > engine.depth:
            running.popleft().result()
    for one in running:
        one.result()
    return time.perf_counter() - begun
