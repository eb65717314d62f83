"""Read, run and write at once: the network never waits for the disk, nor memory for the network."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.cache import JournalWriter, Rows
from fer_features.data import Faces, FaceSource
from fer_features.engines.engine import Engine, Features, OutputSpecs
from fer_features.runtime.progress import Advance

READ_ROWS = 256
"""Rows that are decoded at a time."""

AHEAD = 4
"""Batches that are read before the network asks for them, and that may wait to be written."""


@dataclass
class Clocks:
    """Where an extraction's seconds went.

    Attributes:
        prepare: checking, scanning the data, building and compiling the network.
        read: what the network waited for images.
        run: what the network took.
        write: what the network waited for the disk, and the writing of the cache at the end.
    """

    prepare: float = 0.0
    read: float = 0.0
    run: float = 0.0
    write: float = 0.0


@dataclass(frozen=True)
class Batch:
    """Rows that are done together.

    Attributes:
        rows: who they are.
        computed: bool (len(rows),), which of them go through the network; the others are copies
            of images that stand before them.
        images: uint8 (computed.sum(), H, W).
    """

    rows: Rows
    computed: NDArray[np.bool_]
    images: NDArray[np.uint8]


@dataclass
class _Pending:
    """What has been read and does not fill a batch yet."""

    faces: list[tuple[Faces, int]] = field(default_factory=list)
    computed: list[bool] = field(default_factory=list)
    images: int = 0

    def add(self, faces: Faces, at: int, *, new: bool) -> None:
        self.faces.append((faces, at))
        self.computed.append(new)
        self.images += new

    def take(self) -> Batch:
        rows = Rows(
            **{
                name: np.array([getattr(faces, source)[at] for faces, at in self.faces])
                for name, source in _FIELDS.items()
            }
        )
        images = [
            faces.images[at]
            for (faces, at), new in zip(self.faces, self.computed, strict=True)
            if new
        ]
        computed = np.array(self.computed, bool)
        shape = self.faces[0][0].images.shape[1:]
        self.faces, self.computed, self.images = [], [], 0
        return Batch(rows, computed, np.array(images, np.uint8).reshape(-1, *shape))


_FIELDS = {"emotion": "emotion", "usage": "usage", "sha256": "sha256", "source_row": "row"}


def make_batches(
    source: FaceSource,
    rows: NDArray[np.int64],
    *,
    size: int,
    known: set[bytes],
    mirrored: bool = False,
) -> Iterator[Batch]:
    """Cut rows into batches of `size` different images, in the source's order.

    How they are cut depends on the rows alone, so that an extraction that goes on where another
    stopped makes the same batches.

    Args:
        source: where the images are.
        rows: ascending numbers of the source's rows.
        size: images in a batch; the last may have fewer.
        known: hashes of images whose features are there already; what is read is added.
        mirrored: turn left and right round.
    """
    pending = _Pending()
    for faces in source.read(rows, batch_size=READ_ROWS):
        for at, sha256 in enumerate(faces.sha256.tolist()):
            new = sha256 not in known
            pending.add(faces, at, new=new)
            known.add(sha256)
            if new and pending.images == size:
                yield _turned(pending.take(), mirrored)
    if pending.faces:
        yield _turned(pending.take(), mirrored)


def _turned(batch: Batch, mirrored: bool) -> Batch:
    return Batch(batch.rows, batch.computed, batch.images[:, :, ::-1]) if mirrored else batch


def run_pipeline(
    batches: Iterator[Batch],
    engine: Engine,
    journal: JournalWriter,
    *,
    names: dict[str, str],
    also: Mapping[str, Callable[[Batch], NDArray[Any]]],
    clocks: Clocks,
    advance: Advance,
) -> None:
    """Put all batches through the engine and into the journal, in their order.

    Args:
        batches: what to compute; read on a thread of its own.
        engine: what computes.
        journal: where it goes; written on a thread of its own.
        names: the engine's features that are kept, and what the journal calls them.
        also: what is known of a batch's computed images without the engine, and what the journal
            calls it.
        clocks: told of what was waited for.
        advance: told of the rows of each batch that has been written.
    """
    shapes = engine.outputs()

    def write(batch: Batch, running: Future[Features]) -> int:
        features = running.result()
        kept = {new: features[old] for old, new in names.items()}
        kept |= {name: known(batch) for name, known in also.items()}
        journal.append(batch.rows, batch.computed, kept)
        return len(batch.rows)

    def finish(running: Future[Features], writing: Future[int]) -> None:
        """Wait for the oldest batch: first for the network, then for the disk."""
        begun = time.perf_counter()
        wait((running,))
        ran = time.perf_counter()
        n = writing.result()
        clocks.run += ran - begun
        clocks.write += time.perf_counter() - ran
        advance(n)

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        try:
            ahead = deque(reader.submit(next, batches, None) for _ in range(AHEAD))
            under_way: deque[tuple[Future[Features], Future[int]]] = deque()
            while True:
                begun = time.perf_counter()
                batch = ahead.popleft().result()
                clocks.read += time.perf_counter() - begun
                if batch is None:
                    break
                ahead.append(reader.submit(next, batches, None))
                begun = time.perf_counter()
                running = engine.submit(batch.images) if len(batch.images) else _nothing(shapes)
                clocks.run += time.perf_counter() - begun
                under_way.append((running, writer.submit(write, batch, running)))
                while len(under_way) > engine.depth + AHEAD or (
                    under_way and under_way[0][1].done()
                ):
                    finish(*under_way.popleft())
            while under_way:
                finish(*under_way.popleft())
        finally:
            reader.shutdown(wait=False, cancel_futures=True)
            writer.shutdown(wait=False, cancel_futures=True)


def _nothing(shapes: OutputSpecs) -> Future[Features]:
    """The features of no image: of a batch that is all copies."""
    future: Future[Features] = Future()
    future.set_result({name: np.empty((0, *s), dtype) for name, (s, dtype) in shapes.items()})
    return future
