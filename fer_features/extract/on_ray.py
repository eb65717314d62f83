"""An extraction on Ray: shards on all machines of a cluster, merged to the cache of one piece.

Ray places the workers, and starts one again, with the shard that it had, where a process or a
machine is lost. A shard that is finished is in a file of its own, and an unfinished one in its
journal, so the same command goes on where a killed one stopped.
"""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter as Count
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fer_features.cache.folder import SHARD_NAME, beside, journal_path, list_caches
from fer_features.cache.lock import only_writer
from fer_features.cache.merge import merge_shards
from fer_features.cache.shard import Shard
from fer_features.config import ExtractConfig
from fer_features.errors import FerError
from fer_features.extract.extract import EXTRACTING, Extraction
from fer_features.extract.ray_cluster import LOCAL, Share, joined, share_of
from fer_features.extract.ray_worker import Counter, Whole, Worker
from fer_features.runtime.progress import Advance, Log, Progress, no_log, no_progress

RETRIES = 5
"""How often a shard is started again after its worker was lost."""

SHARDS_OF_A_WORKER = 4
ROWS_OF_A_SHARD = 2_000, 100_000
"""Rows of a shard at least, and at most, where their number is not given."""

WAIT_S = 0.5
PATIENCE_S = 15.0
"""Seconds after which the user is told that the cluster has no room yet."""


def extract_on_ray(
    config: ExtractConfig,
    *,
    progress: Progress = no_progress,
    log: Log = no_log,
    find_copies: bool = False,
) -> Extraction:
    """Compute the features of the selected images on a Ray cluster, and cache them.

    The cache is the same byte for byte as that of an extraction in one piece. All machines of the
    cluster see the data, the weights and the folder of caches under the same paths.

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
    alone = replace(config, on=None, shards=None)
    with joined(address) as ray:
        own = address == LOCAL
        pool = _Pool(ray, alone, share_of(ray, alone, own=own), no_log if own else log)
        try:
            whole = pool.plan()
            for text in whole.done.notes:
                log(f"note: {text}")
            folder = beside(whole.done.cache, f"-{whole.key}-shards")
            if not whole.complete:
                _check_new(whole.done.cache)
                with only_writer(folder / whole.done.cache.name):
                    _extract(pool, whole, folder, config.shards, begun, progress, log, find_copies)
            shutil.rmtree(folder, ignore_errors=True)
            return whole.done
        finally:
            pool.close()


def _extract(
    pool: _Pool,
    whole: Whole,
    folder: Path,
    count: int | None,
    begun: float,
    progress: Progress,
    log: Log,
    find_copies: bool,
) -> None:
    """Extract all shards into a folder, and merge them; completes ``whole.done``."""
    done, share = whole.done, pool.share
    number = count or _count(folder, done.rows, share.workers)
    shards = [Shard(one, number) for one in range(1, number + 1)]
    workers = min(share.workers, len(shards))
    log(f"extracting {done.rows:,} images with {whole.config.backbone} on Ray")
    log(f"{len(shards):,} shards on {workers:,} workers, each with {share.text}")
    done.seconds["prepare"] = time.perf_counter() - begun
    passes = 1 + len(whole.config.views)
    with progress(EXTRACTING, passes * done.rows, "images") as advance:
        parts = pool.extract(whole.config, shards, folder, find_copies, passes, done.rows, advance)
    done.computed = sum(one.computed for one in parts)
    done.found = sum(one.found for one in parts)
    done.engine = next((one.engine for one in parts if one.engine), "")
    done.seconds["run"] = time.perf_counter() - begun - done.seconds["prepare"]
    merge_shards([one.cache for one in parts], done.cache, progress=progress)
    done.seconds["write"] = (
        time.perf_counter() - begun - done.seconds["prepare"] - done.seconds["run"]
    )


class _Pool:
    """The workers on a cluster."""

    def __init__(self, ray: Any, config: ExtractConfig, share: Share, log: Log) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._log, self.share = ray, log, share
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        counter = ray.remote(Counter).options(num_cpus=0, scheduling_strategy=here)
        self._counter = counter.remote()
        self._kind = ray.remote(Worker).options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            max_restarts=-1,
            max_task_retries=RETRIES,
        )
        self._arguments = config, str(Path.cwd()), None if share.gpus else share.cpus
        self._workers = [self._kind.remote(*self._arguments)]

    def plan(self) -> Whole:
        """The plan of the whole, by a worker: the engine depends on its machine."""
        planned = self._workers[0].plan.remote()
        if not self._ray.wait([planned], timeout=PATIENCE_S)[0]:
            self._log(f"waiting for a machine of the cluster with {self.share.text} free")
        whole: Whole = self._get(planned, "the first worker")
        return whole

    def extract(
        self,
        config: ExtractConfig,
        shards: Sequence[Shard],
        folder: Path,
        find_copies: bool,
        passes: int,
        rows: int,
        advance: Advance,
    ) -> list[Extraction]:
        """Extract shards into a folder; a worker that has finished one gets the next."""
        ray, waiting = self._ray, list(reversed(shards))
        for _ in range(min(self.share.workers, len(shards)) - 1):
            self._workers.append(self._kind.remote(*self._arguments))
        busy: dict[Any, tuple[Any, Shard]] = {}
        done: list[Extraction] = []
        seen = 0
        idle = list(self._workers)
        while idle or busy:
            for worker in idle:
                if waiting:
                    shard = waiting.pop()
                    tell = _Tell(self._counter, shard)
                    call = worker.extract.remote(config, shard, folder, tell, find_copies)
                    busy[call] = worker, shard
                else:  # its CPUs are free for one that Ray starts again
                    ray.kill(worker)
            finished, _ = ray.wait(list(busy), timeout=WAIT_S) if busy else ([], [])
            idle = []
            for call in finished:
                worker, shard = busy.pop(call)
                done.append(self._get(call, f"shard {shard}"))
                first, last = shard.bounds(rows)
                self._counter.set.remote(shard.number, passes * (last - first))
                idle.append(worker)
            total = ray.get(self._counter.total.remote())
            advance(total - seen)
            seen = total
        return done

    def close(self) -> None:
        """End the workers, whatever they do."""
        for actor in (*self._workers, self._counter):
            self._ray.kill(actor)

    def _get(self, call: Any, what: str) -> Any:
        """The result of a call; what a worker raises is raised here."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(call)
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.RayActorError as error:
            raised = re.findall(r"^\w+(?:Error|Exception): .*", str(error), re.MULTILINE)
            if "creation task" in str(error) and raised:
                raise FerError(
                    f"{what}: its worker cannot start: {raised[-1]}",
                    hint="all machines of the cluster need this package in the same version",
                ) from None
            raise FerError(
                f"{what}: its worker was lost {RETRIES + 1} times",
                hint="is its machine out of memory? Ray's logs say why; the same command goes on",
            ) from error


@dataclass(frozen=True)
class _Tell:
    """Tells the counter what has been done of a shard, without waiting for it."""

    counter: Any
    shard: Shard

    def __call__(self, images: int) -> None:
        self.counter.set.remote(self.shard.number, images)


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
    return address or LOCAL


def _check_new(cache: Path) -> None:
    """Make sure that there is nothing of the cache yet.

    Raises:
        FerError: other rows or features are there, or an extraction in one piece was interrupted.
    """
    if cache.exists() or journal_path(cache).exists():
        raise FerError(
            f"{cache} holds a part of this, or other rows or features: --on ray adds to no cache",
            hint="the same command without --on adds them; or take another folder with --cache-dir",
        )


def _count(folder: Path, rows: int, workers: int) -> int:
    """How many shards: as many as an interrupted extraction had, or some for each worker."""
    names = [SHARD_NAME.search(one.name) for one in list_caches(folder)]
    begun = Count(int(name[2]) for name in names if name)
    if begun:
        return begun.most_common(1)[0][0]
    least, most = ROWS_OF_A_SHARD
    return max(1, min(SHARDS_OF_A_WORKER * workers, rows // least), rows // most)
