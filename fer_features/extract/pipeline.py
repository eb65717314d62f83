"""Read, run and write at the same time, with a bounded number of batches in memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.cache import Rows
from fer_features.data import FaceSource
from fer_features.engines import Features
from fer_features.errors import FerError
from fer_features.runtime.progress import Advance

READ_ROWS = 256
"""Rows that are decoded at a time."""

AHEAD = 4
"""Batches that are read ahead of the network, and that may wait to be written."""

Run = Callable[[NDArray[np.uint8]], "Future[Features]"]
"""Starts to compute the features of images, uint8 (N, H, W)."""


@dataclass(frozen=True)
class Batch:
    """Images that are computed together: metadata of their rows, and uint8 (N, H, W)."""

    rows: Rows
    images: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: Any) -> Batch:
        return Batch(self.rows[places], self.images[places])


def read_batches(
    source: FaceSource,
    rows: NDArray[np.int64],
    *,
    size: int,
    known: set[bytes],
    copies: list[Rows],
) -> Iterator[Batch]:
    """Read rows, and cut them into batches of `size` different images, in the source's order.

    Args:
        source: of the images.
        rows: row numbers in the source, ascending.
        size: images in a batch; the last may have fewer.
        known: hashes of images that need not be computed; those that are read are added.
        copies: the rows of such images are appended.
    """
    waiting: Batch | None = None
    for faces in source.read(rows, batch_size=READ_ROWS):
        new = np.zeros(len(faces), bool)
        for at, sha256 in enumerate(faces.sha256.tolist()):
            new[at] = sha256 not in known
            known.add(sha256)
        every = Rows(faces.emotion, faces.usage, faces.sha256, faces.row)
        copies.append(every[~new])
        batch = Batch(every[new], faces.images[new])
        if waiting is not None:
            images = np.concatenate([waiting.images, batch.images])
            batch = Batch(Rows.concatenate([waiting.rows, batch.rows]), images)
        full = len(batch) // size * size
        for start in range(0, full, size):
            yield batch[start : start + size]
        waiting = batch[full:]
    if waiting is not None and len(waiting):
        yield waiting


def run_pipeline(
    batches: Iterator[Batch],
    run: Run,
    write: Callable[[Batch, Features], None],
    *,
    depth: int,
    seconds: dict[str, float],
    advance: Advance,
) -> None:
    """Run all batches, and write their features, in their order.

    Args:
        batches: what to compute; read on another thread.
        run: starts to compute a batch.
        write: called on a third thread with each batch and its features.
        depth: batches worth computing at once.
        seconds: the time spent waiting for each step is added to ``read``, ``run`` and ``write``.
        advance: called with the number of images of each batch that has been written.
    """

    def finish(batch: Batch, running: Future[Features], writing: Future[None]) -> None:
        """Wait for the oldest batch: first for the network, then for the disk."""
        with clock(seconds, "run"):
            wait((running,))
        with clock(seconds, "write"):
            writing.result()
        advance(len(batch))

    def write_result(batch: Batch, running: Future[Features]) -> None:
        write(batch, running.result())

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        try:
            ahead = deque(reader.submit(next, batches, None) for _ in range(AHEAD))
            under_way: deque[tuple[Batch, Future[Features], Future[None]]] = deque()
            while True:
                with clock(seconds, "read"):
                    batch = ahead.popleft().result()
                if batch is None:
                    break
                ahead.append(reader.submit(next, batches, None))
                with clock(seconds, "run"):
                    running = run(batch.images)
                under_way.append((batch, running, writer.submit(write_result, batch, running)))
                if len(under_way) > depth + AHEAD:
                    finish(*under_way.popleft())
            for one in under_way:
                finish(*one)
        finally:
            reader.shutdown(wait=False, cancel_futures=True)
            writer.shutdown(wait=False, cancel_futures=True)


@contextmanager
def clock(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Add the time that the block takes to a step's."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        seconds[step] += time.perf_counter() - begun


def check_finite(features: Features, source_row: NDArray[np.int64]) -> None:
    """Make sure that features are numbers.

    Raises:
        FerError: one is NaN or infinite; the message names its row in the source.
    """
    for name, array in features.items():
        if array.dtype == np.float16:  # the exponent's bits: isfinite is slow on float16
            finite = (array.view(np.uint16) & 0x7C00) != 0x7C00
        else:
            finite = np.isfinite(array)
        if not finite.all():
            row = source_row[~finite.reshape(len(array), -1).all(axis=1)][0]
            raise FerError(
                f"{name} of row {row} is not a number",
                hint="the weights or the preprocessing do not fit the network",
            )
