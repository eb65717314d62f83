"""What runs on a Ray cluster: workers that extract shards, and a count of what they have done."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from fer_features.cache.cache import verify
from fer_features.cache.format import to_json
from fer_features.cache.lock import remove_lock_of_other_machine
from fer_features.cache.record import RowSelection
from fer_features.cache.shard import Shard
from fer_features.config import ExtractConfig
from fer_features.engines import ENGINES
from fer_features.errors import FerError
from fer_features.extract.extract import EXTRACTING, Extraction, extract_plan
from fer_features.extract.kept_engine import KeptEngine
from fer_features.extract.plan import Plan, plan_extraction, plan_shard
from fer_features.extract.ray_store import Store, is_uri
from fer_features.runtime.progress import Advance, Progress, no_advance

TELL_EVERY_S = 1.0

Tell = Callable[[int], None]
"""Called with the images of a shard that have been done so far."""


@dataclass(frozen=True)
class Whole:
    """An extraction in one piece, as a worker plans it.

    Attributes:
        config: its configuration, with the engine and the precision that the worker has chosen.
        key: identifies the rows and features that are requested.
        selection: the rows and their features.
        done: the cache and what is known of its rows; nothing of it is computed yet.
    """

    config: ExtractConfig
    key: str
    selection: RowSelection
    done: Extraction

    @property
    def passes(self) -> int:
        """How often each image goes through the network."""
        return 1 + len(self.config.views)


class Worker:
    """A worker: it reads the data set's index and builds the backbone once, for all its shards.

    Args:
        config: the extraction in one piece; data at a URI are copied to this machine.
        folder: where relative paths begin; empty if nothing is shared but stores.
        threads: of the engine; None for one a core.
    """

    def __init__(self, config: ExtractConfig, folder: str, threads: int | None) -> None:
        if threads:
            os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
        self._config, self._folder = config, folder
        self._scratch = TemporaryDirectory(prefix="fer-", ignore_cleanup_errors=True)
        self._whole: Plan | None = None
        self._engine = KeptEngine(threads)

    def plan(self) -> Whole:
        """Plan the whole.

        Raises:
            FerError: this machine does not see the folder; else as for `plan_extraction`.
        """
        config, whole = self._config, self._planned(self._config)
        self._config = replace(
            config,
            engine=whole.engine.engine if whole.engine.engine in ENGINES else config.engine,
            precision=whole.spec.precision,
        )
        return Whole(self._config, _key(whole), whole.selection, Extraction.of(whole))

    def extract(
        self, config: ExtractConfig, shard: Shard, place: str, tell: Tell, find_copies: bool
    ) -> Extraction:
        """Extract a shard.

        Args:
            config: that of the whole, with engine and precision.
            shard: which one.
            place: the folder of the shards, or its URI.
            tell: called with the number of images that are done, about once a second.
            find_copies: as for `extract`.
        """
        whole = self._planned(config)
        store = Store(place) if is_uri(place) else None
        folder = Path(self._scratch.name, "shards") if store else Path(place)
        path = shard.path(folder / whole.path.name)
        if store and not path.exists() and path.name in store.names():
            store.fetch(folder, path.name)
        remove_lock_of_other_machine(path)
        _remove_damaged(path)
        part = plan_shard(whole, shard, folder)
        done = extract_plan(part, self._engine, progress=_telling(tell), find_copies=find_copies)
        if store:
            store.put(path)
            path.unlink()
        return done

    def clean_up(self) -> None:
        """Remove what was copied to this machine; the worker is not used afterwards."""
        self._scratch.cleanup()

    def _planned(self, config: ExtractConfig) -> Plan:
        if not Path(self._folder).is_dir():
            raise FerError(
                f"{socket.gethostname()} has no folder {self._folder}",
                hint="start fer extract in a folder that all machines of the cluster see, or give "
                "URIs as data and as --shards-dir",
            )
        os.chdir(self._folder or self._scratch.name)
        if self._whole is None or self._config != config:
            here, scratch = config, Path(self._scratch.name)
            if not self._folder:
                here = replace(here, cache_dir=scratch / "cache")
            if is_uri(here.data):
                here = replace(here, data=str(Store(here.data).fetch(scratch / "data")))
            self._whole, self._config = plan_extraction(here), config
        return self._whole


class Counter:
    """How many images of each shard have been done."""

    def __init__(self) -> None:
        self._done: dict[int, int] = {}

    def set(self, shard: int, images: int) -> None:
        """Remember what has been done of a shard; one that begins again does not go back."""
        self._done[shard] = max(images, self._done.get(shard, 0))

    def total(self) -> int:
        """Images of all shards."""
        return sum(self._done.values())


def _key(whole: Plan) -> str:
    """Eight hex digits that identify rows, features and compression that are requested."""
    wanted = {**whole.selection.to_dict(), "compression": whole.config.compression}
    return hashlib.sha256(to_json(wanted).encode()).hexdigest()[:8]


def _remove_damaged(path: Path) -> None:
    """Remove a shard that is finished, but is not as it was written."""
    try:
        if path.exists():
            verify(path)
    except FerError:
        path.unlink()


def _telling(tell: Tell) -> Progress:
    """Progress that is told at most once in `TELL_EVERY_S`."""
    done, last = 0, time.monotonic()

    @contextmanager
    def progress(title: str, total: int, unit: str) -> Iterator[Advance]:
        def advance(n: int) -> None:
            nonlocal done, last
            done += n
            if time.monotonic() - last > TELL_EVERY_S:
                last = time.monotonic()
                tell(done)

        yield advance if title == EXTRACTING else no_advance

    return progress
