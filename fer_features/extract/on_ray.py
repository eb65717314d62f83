"""An extraction on Ray: shards on all machines of a cluster, merged to the cache of one piece.

Ray places the workers, and starts one again, with the shard that it had, where a process or a
machine is lost. A shard that is finished is in a file of its own, and an unfinished one in its
journal, so the same command goes on where a killed one stopped.
"""

from __future__ import annotations

import io
import logging
import os
import shutil
import time
from collections import Counter as Count
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fer_features.backbones import get_backbone
from fer_features.cache.folder import SHARD_NAME, beside, journal_path, list_caches
from fer_features.cache.lock import only_writer
from fer_features.cache.merge import merge_shards
from fer_features.cache.shard import Shard
from fer_features.config import ExtractConfig
from fer_features.errors import FerError, install_hint
from fer_features.extract.extract import EXTRACTING, Extraction
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
    with _cluster(address) as ray:
        pool = _Pool(ray, alone, _share(ray, alone, own=address == "local"), log)
        try:
            whole = pool.plan()
            for text in whole.done.notes:
                log(f"note: {text}")
            done = whole.done
            if not whole.complete:
                _check_new(done.cache)
                folder = beside(done.cache, f"-{whole.key}-shards")
                with only_writer(folder / done.cache.name):
                    _extract(pool, whole, folder, config.shards, begun, progress, log, find_copies)
                shutil.rmtree(folder)
            return done
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


@dataclass(frozen=True)
class _Share:
    """What a worker takes of a cluster: CPUs and GPUs; and how many workers that makes."""

    cpus: int
    gpus: int
    workers: int

    @property
    def text(self) -> str:
        return f"{self.gpus} GPU" if self.gpus else f"{self.cpus} CPU"


class _Pool:
    """The workers on a cluster."""

    def __init__(self, ray: Any, config: ExtractConfig, share: _Share, log: Log) -> None:
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
    return address or "local"


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
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
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    with redirect_stdout(io.StringIO()):  # Ray prints there that a machine is lost
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise FerError(
                f"no Ray cluster at {address}: {next(iter(str(error).splitlines()), '')}",
                hint="ray start --head starts one on this machine; --on ray needs none",
            ) from error
        try:
            yield ray
        finally:
            ray.shutdown()


def _share(ray: Any, config: ExtractConfig, *, own: bool) -> _Share:
    """A GPU for a worker where the cluster has some; else the CPUs of its smallest machine.

    A CPU of each machine is left to Ray and to others, but on a Ray that is started for this.
    """
    nodes = [one["Resources"] for one in ray.nodes() if one["Alive"]]
    gpus = sum(int(one.get("GPU", 0)) for one in nodes)
    if gpus and config.engine != "openvino" and get_backbone(config.backbone).descriptors is None:
        return _Share(1, 1, gpus)
    left = 0 if own else 1
    cpus = [max(int(one["CPU"]) - left, 1) for one in nodes if one.get("CPU", 0) >= 1]
    if not cpus:
        raise FerError("no machine of the Ray cluster has a CPU for tasks")
    return _Share(min(cpus), 0, sum(one // min(cpus) for one in cpus))


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
