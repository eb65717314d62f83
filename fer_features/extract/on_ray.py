"""An extraction on Ray: shards on all machines of a cluster, merged to the cache of one piece.

Ray places the workers, and starts one again, with the shard that it had, where a process or a
machine is lost. A shard that is finished is in a file of its own, and an unfinished one in its
journal, so the same command goes on where a killed one stopped.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter as Count
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fer_features.cache import Cache, remember
from fer_features.cache.folder import SHARD_NAME, beside, journal_path
from fer_features.cache.lock import only_writer
from fer_features.cache.merge import merge_shards
from fer_features.cache.shard import Shard
from fer_features.config import ExtractConfig
from fer_features.errors import FerError
from fer_features.extract.extract import EXTRACTING, Extraction
from fer_features.extract.ray_cluster import LOCAL, joined, share_of
from fer_features.extract.ray_pool import Pool
from fer_features.extract.ray_store import Store, is_uri
from fer_features.extract.ray_worker import Whole
from fer_features.runtime.progress import Log, Progress, no_log, no_progress

SHARDS_OF_A_WORKER = 4
ROWS_OF_A_SHARD = 2_000, 100_000
"""Rows of a shard at least, and at most, where their number is not given."""


def extract_on_ray(
    config: ExtractConfig,
    *,
    progress: Progress = no_progress,
    log: Log = no_log,
    find_copies: bool = False,
) -> Extraction:
    """Compute the features of the selected images on a Ray cluster, and cache them.

    The cache is the same byte for byte as that of an extraction in one piece. All machines of the
    cluster see the data, the weights and the folder of caches under the same paths; with a URI as
    ``shards_dir``, only stores.

    Args:
        config: what to compute, and ``on`` which cluster.
        progress: progress callback.
        log: called with each line that the user should see.
        find_copies: as for `fer_features.extract.extract.extract`.

    Raises:
        FerError: Ray is not installed, there is no such cluster, or a worker was lost again and
            again; else as for an extraction in one piece.
    """
    begun = time.perf_counter()
    address = _address(config)
    alone = replace(config, on=None, shards=None, shards_dir=None)
    with joined(address) as ray:
        own = address == LOCAL
        shared = "" if is_uri(config.shards_dir or "") else str(Path.cwd())
        share = share_of(ray, alone, own=own)
        pool = Pool(ray, alone, share, shared=shared, log=no_log if own else log)
        try:
            whole = pool.plan()
            for text in whole.done.notes:
                log(f"note: {text}")
            done = replace(whole.done, cache=config.cache_dir / whole.done.cache.name)
            folder = _Folder(beside(done.cache, f"-{whole.key}-shards"), config.shards_dir)
            if _is_complete(done.cache, whole):
                done.found = done.rows
                remember(done.cache, whole.selection)
            else:
                with only_writer(folder.local / done.cache.name):
                    run = _Run(pool, whole, folder, progress, log, begun)
                    run.extract(done, config.shards, find_copies=find_copies)
            folder.remove()
            return done
        finally:
            pool.close()


@dataclass(frozen=True)
class _Run:
    """One extraction on the workers, and what it needs."""

    pool: Pool
    whole: Whole
    folder: _Folder
    progress: Progress
    log: Log
    begun: float

    def extract(self, done: Extraction, count: int | None, *, find_copies: bool) -> None:
        """Extract all shards, and merge them; completes `done`."""
        number = count or _count(self.folder.names(), done.rows, self.pool.share.workers)
        shards = [Shard(one, number) for one in range(1, number + 1)]
        workers = min(self.pool.share.workers, number)
        self.log(f"extracting {done.rows:,} images with {self.whole.config.backbone} on Ray")
        self.log(f"{number:,} shards on {workers:,} workers, each with {self.pool.share.text}")
        self._clock(done, "prepare")
        with self.progress(EXTRACTING, self.whole.passes * done.rows, "images") as advance:
            parts = self.pool.extract(
                self.whole,
                shards,
                self.folder.place,
                find_copies=find_copies and self.folder.store is None,
                advance=advance,
            )
        done.computed = sum(one.computed for one in parts)
        done.found = sum(one.found for one in parts)
        done.engine = next((one.engine for one in parts if one.engine), "")
        self._clock(done, "run")
        paths = [self.folder.local / one.cache.name for one in parts]
        self.folder.fetch(paths)
        merge_shards(paths, done.cache, progress=self.progress)
        self._clock(done, "write")

    def _clock(self, done: Extraction, step: str) -> None:
        done.seconds[step] = time.perf_counter() - self.begun - sum(done.seconds.values())


class _Folder:
    """Where the shards are until they are merged.

    Args:
        beside: the folder by default.
        given: a folder or URI in which they are instead.

    Attributes:
        local: the folder that they are merged from.
        store: where workers put them if that is elsewhere; else None.
    """

    def __init__(self, beside: Path, given: str | None) -> None:
        self.store = Store(f"{given}/{beside.name}") if given and is_uri(given) else None
        self.local = Path(given) / beside.name if given and not self.store else beside

    @property
    def place(self) -> str:
        """The folder or URI for the workers."""
        return self.store.uri if self.store else str(self.local)

    def names(self) -> list[str]:
        """The files of the shards that are there, finished or not."""
        return self.store.names() if self.store else [one.name for one in self.local.glob("*")]

    def fetch(self, paths: Sequence[Path]) -> None:
        """Make sure that shards are in the local folder."""
        if self.store:
            for one in paths:
                self.store.fetch(one.parent, one.name)

    def remove(self) -> None:
        """Delete the shards."""
        shutil.rmtree(self.local, ignore_errors=True)
        if self.store:
            self.store.remove()


def _address(config: ExtractConfig) -> str:
    """What `ray.init` takes; ``local`` starts a Ray on this machine."""
    name, _, address = str(config.on).partition("=")
    if name != "ray" or (address == "" and str(config.on) != "ray"):
        raise FerError(
            f"--on {config.on}: nothing to extract on",
            hint="--on ray, --on ray=auto or --on ray=HOST:PORT",
        )
    if config.shard is not None:
        raise FerError("--on extracts all shards", hint="leave --shard out, or --on")
    if config.detect and is_uri(config.shards_dir or ""):
        raise FerError(
            "--detect needs a folder of caches that all machines see",
            hint="leave --shards-dir out, or make it a folder: else each would find all faces",
        )
    return address or LOCAL


def _is_complete(path: Path, whole: Whole) -> bool:
    """Whether the cache is there already.

    Raises:
        FerError: other rows or features are there, or an extraction in one piece was interrupted.
    """
    if path.exists():
        with Cache(path) as cache:
            if (
                cache.complete
                and whole.config.compression in (None, cache.compression)
                and any(
                    one.id == whole.selection.id
                    and set(whole.selection.features) <= set(one.features)
                    for one in cache.selections
                )
            ):
                return True
    if path.exists() or journal_path(path).exists():
        raise FerError(
            f"{path} holds a part of this, or other rows or features: --on ray adds to no cache",
            hint="the same command without --on adds them; or take another folder with --cache-dir",
        )
    return False


def _count(names: Sequence[str], rows: int, workers: int) -> int:
    """How many shards: as many as an interrupted extraction had, or some for each worker."""
    found = [SHARD_NAME.search(one.removesuffix(".part")) for one in names]
    begun = Count(int(one[2]) for one in found if one)
    if begun:
        return begun.most_common(1)[0][0]
    least, most = ROWS_OF_A_SHARD
    return max(1, min(SHARDS_OF_A_WORKER * workers, rows // least), rows // most)
