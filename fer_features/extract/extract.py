"""Stage 1: images in, a feature cache out; what a cache already holds is not computed again."""

from __future__ import annotations

import platform
import time
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features import __version__
from fer_features.cache import (
    CacheWriter,
    Rows,
    journal_path,
    open_writer,
    remember,
)
from fer_features.cache.folder import check_space
from fer_features.cache.journal import row_bytes
from fer_features.cache.learnt import save_keys
from fer_features.cache.record import Columns
from fer_features.cache.shard import Shard
from fer_features.config import ExtractConfig
from fer_features.data import IMAGE_SIZE, BadRow
from fer_features.data.twin_table import twin_table
from fer_features.engines import Engine, Features
from fer_features.errors import FerError
from fer_features.extract import pipeline
from fer_features.extract.kept_engine import KeptEngine
from fer_features.extract.pipeline import Batch, clock
from fer_features.extract.plan import Pass, Plan, plan_extraction
from fer_features.runtime.progress import Log, Progress, no_log, no_progress
from fer_features.runtime.text import counted

EXTRACTING = "extracting"
"""What the progress of images through the network is called."""


@dataclass
class Extraction:
    """The result of an extraction.

    Attributes:
        cache: the cache file.
        rows: how many rows were requested.
        precision: ``float32`` or ``bfloat16``.
        why: the reasons for what ``auto`` chose; else empty.
        bad: rows of the source that were left out.
        notes: remarks on how the source was read, for the user.
        computed: how many images went through the network, each view counted.
        found: how many rows were there before, with all that was requested.
        engine: what ran the network; empty if nothing had to be run.
        packed: whether nothing was computed, but the file was compressed differently.
        seconds: to prepare (checking, scanning the data, building the network), and those that
            the network waited for images (read), took (run), and waited for the disk, with the
            writing of the cache at the end (write).
    """

    cache: Path
    rows: int
    precision: str
    why: str
    bad: tuple[BadRow, ...]
    notes: tuple[str, ...] = ()
    computed: int = 0
    found: int = 0
    engine: str = ""
    packed: bool = False
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("prepare", "read", "run", "write"), 0.0)
    )

    @classmethod
    def of(cls, plan: Plan) -> Extraction:
        """The extraction of a plan, before anything is computed."""
        return cls(
            cache=plan.path,
            rows=len(plan.selection.rows),
            precision=plan.spec.precision,
            why=plan.engine.why,
            bad=plan.index.bad,
            notes=plan.notes,
        )

    @property
    def reused(self) -> bool:
        """Whether nothing had to be computed."""
        return not self.engine

    @property
    def images_per_s(self) -> float | None:
        """Images a second while reading, running and writing; None if nothing was computed."""
        seconds = sum(self.seconds.values()) - self.seconds["prepare"]
        return self.computed / seconds if self.computed else None


def extract(
    config: ExtractConfig,
    *,
    progress: Progress = no_progress,
    log: Log = no_log,
    find_copies: bool = False,
) -> Extraction:
    """Compute the features of the selected images, and cache them.

    What a cache of the same spec and data holds, or the journal of an interrupted extraction, is
    not computed again. Identical images are computed once. Killed at any moment, the same call
    resumes.

    Args:
        config: what to compute.
        progress: progress callback.
        log: called with each line that the user should see.
        find_copies: also search the data set for copies, once, for the splits of all fits;
            otherwise the first fit searches the cache's rows. Of shards, the first does it.

    Raises:
        FerError: the data, the weights or the configuration cannot be used, another extraction
            writes the same cache, or the disk is full.
    """
    begun = time.perf_counter()
    plan = plan_extraction(config, progress=progress)
    for text in plan.notes:
        log(f"note: {text}")
    prepare = time.perf_counter() - begun
    with closing(KeptEngine()) as kept:
        done = extract_plan(plan, kept, progress=progress, log=log, find_copies=find_copies)
    done.seconds["prepare"] += prepare
    return done


def extract_plan(
    plan: Plan,
    kept: KeptEngine,
    *,
    progress: Progress = no_progress,
    log: Log = no_log,
    find_copies: bool = False,
) -> Extraction:
    """As `extract`, of a plan, with an engine that is kept."""
    done = Extraction.of(plan)
    if not plan.complete:
        with open_writer(plan.path, compression=plan.config.compression) as writer:
            passes = plan.missing(writer.cache)
            done.found = plan.found(writer.cache)
            for one in passes:
                _run_pass(plan, one, writer, done, kept, progress=progress, log=log)
            if writer.cache is not None and not passes:
                done.packed = plan.config.compression not in (None, writer.cache.compression)
                writer.compact(selections=[plan.selection])
    else:
        done.found = done.rows
        if journal_path(plan.path).exists():
            with suppress(FerError), open_writer(plan.path):  # recovers it; or its writer does
                pass
    if done.reused:
        _remember(plan)
    if plan.seen is not None:
        save_keys(plan.path.parent, plan.spec.weights_sha256, plan.seen.keys)
    shard = plan.config.shard
    if find_copies and (not shard or Shard.parse(shard).number == 1):
        twin_table(plan.source, plan.config.cache_dir, progress=progress)
    return done


def _run_pass(
    plan: Plan,
    work: Pass,
    writer: CacheWriter,
    done: Extraction,
    kept: KeptEngine,
    *,
    progress: Progress,
    log: Log,
) -> None:
    """Read, run and write what rows lack, then compact the journal into the cache."""
    with clock(done.seconds, "prepare"):
        engine = kept.get(plan, work, log) if work.features else None
    done.engine = engine.name if engine else "no network"
    columns = _columns(plan, work, engine)
    _check_space(plan, work, columns)
    _remember(plan)  # so that `fer fit` does not use an older one
    _log_pass(plan, work, done.engine, log)

    def run(images: NDArray[np.uint8]) -> Future[Features]:
        if engine is None:
            return _no_features()
        done.computed += len(images)
        return engine.submit(images[:, :, ::-1] if work.view == "flip" else images)

    def write(batch: Batch, features: Features) -> None:
        named = {name: features[of_engine] for name, of_engine in work.features.items()}
        pipeline.check_finite(named, batch.rows.source_row)
        named["image"] = batch.images
        if plan.seen and "seen" in work.columns:
            named["seen"] = plan.seen.marks(batch.images, batch.rows.sha256)
        journal.append(batch.rows, named)

    copies: list[Rows] = []
    size = engine.batch_size if engine else pipeline.READ_ROWS
    known = writer.images_with(work.columns)
    batches = pipeline.read_batches(plan.source, work.rows, size=size, known=known, copies=copies)
    with (
        progress(EXTRACTING, len(work.rows), "images") as advance,
        writer.journal(
            header=plan.header,
            selection=plan.selection,
            software=_software(done.engine),
            columns=columns,
        ) as journal,
    ):
        depth, seconds = engine.depth if engine else 1, done.seconds
        pipeline.run_pipeline(batches, run, write, depth=depth, seconds=seconds, advance=advance)
        advance(sum(map(len, copies)))
    with clock(done.seconds, "write"):
        writer.compact(copies=copies)


def _no_features() -> Future[Features]:
    nothing: Future[Features] = Future()
    nothing.set_result({})
    return nothing


def _remember(plan: Plan) -> None:
    if plan.config.shard is None:
        remember(plan.path, plan.selection)


def _log_pass(plan: Plan, work: Pass, engine: str, log: Log) -> None:
    weights = f" ({plan.weights.label})" if plan.weights.label != "none" else ""
    view = f", view {work.view}" if work.view else ""
    why = f" ({plan.engine.why})" if plan.engine.why else ""
    shard = f", shard {plan.config.shard}" if plan.config.shard else ""
    images = counted(len(work.rows), "image")
    log(f"extracting {images} with {plan.backbone.name}{weights}{view}{shard}")
    log(f"engine: {engine}, {plan.spec.precision}{why}")


def _software(engine: str) -> dict[str, str]:
    return {
        "fer_features": __version__,
        "python": platform.python_version(),
        "engine": engine,
        **{name: version(name) for name in ("keras", "numpy", "h5py")},
    }


def _columns(plan: Plan, work: Pass, engine: Engine | None) -> Columns:
    """Shape of one row and dtype of each column of a pass."""
    outputs = engine.outputs() if engine else {}
    found = {name: outputs[of_engine] for name, of_engine in work.features.items()}
    if "image" in work.columns:
        found["image"] = ((IMAGE_SIZE, IMAGE_SIZE), "uint8")
    if plan.seen and "seen" in work.columns:
        found["seen"] = ((plan.seen.columns,), "uint8")
    return found


def _check_space(plan: Plan, work: Pass, columns: Columns) -> None:
    """Make sure, before the work, that the disk has room for the journal and the new cache.

    Raises:
        FerError: it has not.
    """
    there = plan.path.stat().st_size if plan.path.exists() else 0
    needed = 2 * len(work.rows) * row_bytes(columns) + there
    check_space(
        plan.path.parent,
        needed,
        hint="make room, or take another folder with --cache-dir, or less with --output pooled",
    )
