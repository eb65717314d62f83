"""Stage 1: images in, a feature cache out; nothing computed twice, nothing lost."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features import __version__
from fer_features.cache import (
    GRAPHS,
    IMAGE,
    SEEN,
    Cache,
    JournalHeader,
    JournalWriter,
    RowSelection,
    fold,
    free_bytes,
    journal_of,
    only_writer,
    remember,
    row_bytes,
)
from fer_features.cache.learnt import keep_keys
from fer_features.config import ExtractConfig
from fer_features.data import IMAGE_SIZE, BadRow
from fer_features.data.twin_table import twin_table
from fer_features.engines import Engine, NoNetwork, make_engine
from fer_features.errors import FerError
from fer_features.extract.pipeline import Batch, Clocks, make_batches, run_pipeline
from fer_features.extract.plan import (
    Plan,
    Work,
    graph_spec,
    holds,
    missing_work,
    plain_name,
    plan_extraction,
    rows_there,
)
from fer_features.runtime.progress import Advance
from fer_features.runtime.progress import Progress as TrackCopies

Progress = Callable[[Work], AbstractContextManager[Advance]]
"""Called with what is to be done before the network is run; yields what is told of progress."""


@dataclass
class Extraction:
    """What an extraction did.

    Attributes:
        cache: the cache file.
        rows: how many rows were asked for.
        computed: how many images went through the network, each view counted.
        found: how many rows were there before, with all that was asked for.
        engine: what ran the network; empty if nothing had to be run.
        packed: whether nothing was computed, but the file packed in another way.
        precision: the arithmetic's type.
        why: why this engine and this precision, where that was left to the program.
        clocks: where the time went.
        bad: rows of the source that were left out.
        notes: what a user must know of how the source was read.
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
    clocks: Clocks = field(default_factory=Clocks)

    @property
    def reused(self) -> bool:
        """Whether nothing had to be computed."""
        return not self.engine

    @property
    def images_per_s(self) -> float | None:
        """Images a second while reading, running and writing; None if nothing was computed."""
        seconds = self.clocks.read + self.clocks.run + self.clocks.write
        return self.computed / seconds if self.computed else None


def extract(
    config: ExtractConfig,
    *,
    progress: Progress | None = None,
    log: Callable[[str], None] | None = None,
    track_copies: TrackCopies | None = None,
) -> Extraction:
    """Compute the features of the chosen images, and cache them.

    What a cache of the same kind of features of the same data holds already is not computed
    again, nor what an interrupted extraction has left. Identical images are computed once.
    Killed at any moment, the same call goes on where it stopped.

    Args:
        config: what to compute.
        progress: called with each pass before its network starts; returns a context manager that
            yields a function to be told of each batch's rows.
        log: called with a line on what takes long before that, and on how the data were read.
        track_copies: shows the progress of the search for copies in the whole data set, made once
            for it; None leaves that to the first fit, which sees the cache's rows only.

    Raises:
        FerError: the data, the weights or the configuration cannot be used, another extraction
            writes the same cache, or the disk is full.
    """
    begun = time.perf_counter()
    plan = plan_extraction(config)
    done = Extraction(
        cache=plan.path,
        rows=len(plan.choice.rows),
        precision=plan.spec.precision,
        why=plan.engine.why,
        bad=plan.bad,
        notes=plan.notes,
    )
    for text in plan.notes:
        (log or _ignore)(f"note: {text}")
    done.clocks.prepare = time.perf_counter() - begun
    if not holds(plan):
        remember(plan.path, plan.choice)  # so that `fer fit` does not take up an older one
        with only_writer(plan.path):
            _take_up(plan)  # what an interrupted extraction has left
            passes = list(missing_work(plan))
            done.found = rows_there(plan)
            for work in passes:
                _run(
                    plan,
                    work,
                    config,
                    done,
                    _untracked if progress is None else progress,
                    log or _ignore,
                )
            if not passes:
                done.packed = plan.repacks
                _take_up(plan, also=[plan.choice])
    else:
        done.found = done.rows
        if journal_of(plan.path).exists():
            # Whoever is writing it takes it up; what is asked for is there already.
            with suppress(FerError), only_writer(plan.path):
                _take_up(plan)
    remember(plan.path, plan.choice)
    if plan.seen is not None:
        keep_keys(plan.path.parent, plan.spec.weights_sha256, plan.seen.keys)
    if track_copies is not None:
        twin_table(plan.source, plan.path.parent, progress=track_copies)
    return done


def _take_up(plan: Plan, *, also: Sequence[RowSelection] = (), fresh: bool = False) -> None:
    """Put what the journal holds into the cache, if there is one."""
    fold(plan.path, journal_of(plan.path), also=also, compression=plan.compression, fresh=fresh)


def _run(
    plan: Plan,
    work: Work,
    config: ExtractConfig,
    done: Extraction,
    progress: Progress,
    log: Callable[[str], None],
) -> None:
    """One pass: read, run and write, then fold what was computed into the cache."""
    clocks, journal_path = done.clocks, journal_of(plan.path)
    begun = time.perf_counter()
    engine: Engine = NoNetwork()
    if work.computed:
        engine = make_engine(
            plan.engine.engine,
            graph_spec(plan.backbone, plan.weights, plan.spec, work.computed),
            batch_size=config.batch_size,
            graphs=Path(config.cache_dir) / GRAPHS,
            log=log,
        )
    done.engine = engine.name
    clocks.prepare += time.perf_counter() - begun
    known = _known_images(plan, work)
    before = len(known)
    told = replace(
        work,
        engine=engine.name,
        weights=plan.weights.label,
        precision=plan.spec.precision,
        why=plan.engine.why,
    )
    opening = _opening(plan, work, engine)
    _check_space(plan, work, opening)
    with (
        closing(engine),
        progress(told) as advance,
        JournalWriter(journal_path, opening) as journal,
    ):
        run_pipeline(
            make_batches(
                plan.source,
                work.rows,
                size=engine.batch_size,
                known=known,
                mirrored=work.view == "flip",
            ),
            engine,
            journal,
            names={plain_name(name): name for name in work.computed},
            also={name: one for name, one in _known(plan).items() if name in work.features},
            clocks=clocks,
            advance=advance,
        )
    begun = time.perf_counter()
    _take_up(plan, fresh=True)
    clocks.write += time.perf_counter() - begun
    done.computed += (len(known) - before) * bool(work.computed)


def _known_images(plan: Plan, work: Work) -> set[bytes]:
    """Hashes of images that the cache holds all of a pass's features of."""
    if not plan.path.exists():
        return set()
    with Cache(plan.path) as cache:
        return set(cache.rows.sha256[cache.done(work.features)].tolist())


def _known(plan: Plan) -> dict[str, Callable[[Batch], NDArray[np.uint8]]]:
    """What is known of images without a network, by its name in the cache."""
    known: dict[str, Callable[[Batch], NDArray[np.uint8]]] = {IMAGE: lambda batch: batch.images}
    seen = plan.seen
    if seen is not None:
        known[SEEN] = lambda batch: seen.marks(batch.images, batch.rows.sha256[batch.computed])
    return known


def _opening(plan: Plan, work: Work, engine: Engine) -> JournalHeader:
    shapes = {
        **engine.outputs(),
        IMAGE: ((IMAGE_SIZE, IMAGE_SIZE), "uint8"),
        SEEN: ((1 if plan.seen is None else plan.seen.columns,), "uint8"),
    }
    software = {name: version(name) for name in ("keras", "numpy", "h5py")}
    return JournalHeader(
        header=plan.header,
        choice=plan.choice,
        outputs={name: shapes[plain_name(name)] for name in work.features},
        software={
            "fer_features": __version__,
            "python": platform.python_version(),
            "engine": engine.name,
            **software,
        },
    )


def _check_space(plan: Plan, work: Work, opening: JournalHeader) -> None:
    """Stop before the work if the disk has no room for it: the journal, and the cache that follows.

    Raises:
        FerError: it has not.
    """
    each = sum(row_bytes(*output) for output in opening.outputs.values())
    there = plan.path.stat().st_size if plan.path.exists() else 0
    needed = 2 * len(work.rows) * each + there
    free = free_bytes(plan.path.parent)
    if free < needed:
        raise FerError(
            f"{plan.path.parent}: about {needed / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are "
            "free",
            hint="make room, or take another folder with --cache-dir, or less with --output pooled",
        )


def _ignore(_: object) -> None:
    """Nobody watches."""


def _untracked(_: Work) -> AbstractContextManager[Advance]:
    return nullcontext(_ignore)
