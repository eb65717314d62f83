"""The workers of an extraction on Ray, and how shards are handed to them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer_features.cache.shard import Shard
from fer_features.config import ExtractConfig
from fer_features.errors import FerError
from fer_features.extract.extract import Extraction
from fer_features.extract.ray_cluster import Share
from fer_features.extract.ray_worker import Counter, Whole, Worker
from fer_features.runtime.progress import Advance, Log

RETRIES = 5
"""How often a shard is started again after its worker was lost."""

WAIT_S = 0.5
PATIENCE_S = 15.0
"""Seconds after which the user is told that the cluster has no room yet."""


class Pool:
    """The workers on a cluster, and what they have done.

    Args:
        ray: Ray, connected.
        config: the extraction in one piece.
        share: what a worker takes.
        shared: the folder where relative paths begin; empty if the machines share none.
        log: called if the cluster has no room.

    Raises:
        FerError: from all methods: what a worker raises, or it is lost again and again.
    """

    def __init__(
        self, ray: Any, config: ExtractConfig, share: Share, *, shared: str, log: Log
    ) -> None:
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
        self._arguments = config, shared, None if share.gpus else share.cpus
        self._workers = [self._kind.remote(*self._arguments)]

    def plan(self) -> Whole:
        """The plan of the whole, by a worker: the engine depends on its machine."""
        planned = self._workers[0].plan.remote()
        if not self._ray.wait([planned], timeout=PATIENCE_S)[0]:
            self._log(f"waiting for a worker with {self.share.text}, which first reads the data")
        whole: Whole = self._get(planned, "the first worker")
        return whole

    def extract(
        self,
        whole: Whole,
        shards: Sequence[Shard],
        place: str,
        *,
        find_copies: bool,
        advance: Advance,
    ) -> list[Extraction]:
        """Extract shards into a place; a worker that has finished one gets the next."""
        ray, waiting, rows = self._ray, list(reversed(shards)), whole.done.rows
        for _ in range(min(self.share.workers, len(shards)) - 1):
            self._workers.append(self._kind.remote(*self._arguments))
        busy: dict[Any, tuple[Any, Shard]] = {}
        done: list[Extraction] = []
        seen, idle = 0, list(self._workers)
        while idle or busy:
            for worker in idle:
                if waiting:
                    shard = waiting.pop()
                    tell = _Tell(self._counter, shard)
                    call = worker.extract.remote(whole.config, shard, place, tell, find_copies)
                    busy[call] = worker, shard
                else:  # what it has taken is free for one that Ray starts again
                    ray.wait([worker.clean_up.remote()], timeout=PATIENCE_S)
                    ray.kill(worker)
            finished, _ = ray.wait(list(busy), timeout=WAIT_S) if busy else ([], [])
            idle = []
            for call in finished:
                worker, shard = busy.pop(call)
                done.append(self._get(call, f"shard {shard}"))
                first, last = shard.bounds(rows)
                self._counter.set.remote(shard.number, whole.passes * (last - first))
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
            raise (error.cause or error) from None
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
