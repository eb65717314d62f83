"""A Ray cluster of several nodes whose workers, nodes and driver are killed: nothing is lost.

The nodes are processes of this machine. A lock beside a shard names the process that writes it;
that is the worker that is killed. Twenty kills in all.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from fer_features.cache.folder import SHARD_NAME
from fer_features.config import ExtractConfig
from fer_features.data import load_faces
from fer_features.extract.extract import extract

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]

SHARDS = 12
WORKERS_KILLED_AT = (0, 1, 2, 4, 5, 7, 9, 11)
"""How many shards are finished when a worker is killed, one after the other in one extraction."""

NODES_KILLED_AT = (1, 6, 12, 18)
SHARDS_ON_NODES = 48
"""More: while a node is replaced, the other one goes on."""

DRIVERS_KILLED_AT = (0, 0, 1, 3, 5, 8, 10, 12)
DAMAGED_AT = 5
LONGEST_S = 300.0


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    config = ExtractConfig(backbone="hog", cache_dir=tmp_path_factory.mktemp("one"))
    return extract(config).cache.read_bytes()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without CPUs and two nodes of one CPU, which notice a lost node within seconds."""
    from ray.cluster_utils import Cluster

    quick = {"health_check_period_ms": 1000, "health_check_failure_threshold": 5}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": quick}
    made = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        made.add_node(num_cpus=1)
    yield made
    made.shutdown()


class Driver:
    """The command in a process of its own, and the shards that it has made so far."""

    def __init__(
        self, folder: Path, on: str, *more: str, data: str = "sample", shards: int = SHARDS
    ) -> None:
        self.folder = folder
        command = f"-m fer_features extract {data} --backbone hog --on {on} --shards {shards}"
        self.process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, *command.split(), "--json", "--cache-dir", str(folder), *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def shards(self) -> list[Path]:
        """The shards that are finished."""
        return [one for one in self.folder.glob("*-shards/*.h5") if SHARD_NAME.search(one.name)]

    def writers(self) -> set[int]:
        """The processes that write shards."""
        found = set()
        for lock in self.folder.glob("*-shards/*-shard-*.lock"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                found.add(int(lock.read_text(encoding="utf-8").split()[0]))
        return found

    def wait_for(self, ready: Callable[[], Any]) -> Any:
        """What `ready` returns, as soon as that is something; None if the command ends before."""
        end = time.monotonic() + LONGEST_S
        while time.monotonic() < end:
            if found := ready():
                return found
            if self.process.poll() is not None:
                return None
            time.sleep(0.005)
        raise TimeoutError(self.finish())

    def finish(self) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        try:
            stdout, stderr = self.process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            stdout, stderr = self.process.communicate()
        return self.process.returncode, stdout, stderr


def check(driver: Driver, expected: bytes) -> dict[str, Any]:
    """The command succeeds, and leaves the one cache and no shard; what it printed."""
    status, stdout, stderr = driver.finish()
    assert status == 0, stderr
    done: dict[str, Any] = json.loads(stdout)
    assert Path(done["cache"]).read_bytes() == expected
    assert not list(driver.folder.glob("*-shards"))
    assert "Traceback" not in stderr
    return done


def test_workers_killed_at_several_moments(cluster: Any, expected: bytes, tmp_path: Path) -> None:
    driver, killed = Driver(tmp_path, f"ray={cluster.address}"), set[int]()
    for moment in WORKERS_KILLED_AT:
        found = driver.wait_for(
            lambda n=moment: len(driver.shards()) >= n and driver.writers() - killed
        )
        assert found, driver.finish()
        os.kill(min(found), signal.SIGKILL)
        killed.add(min(found))
    check(driver, expected)


def test_nodes_killed_at_several_moments(cluster: Any, expected: bytes, tmp_path: Path) -> None:
    driver = Driver(tmp_path, f"ray={cluster.address}", shards=SHARDS_ON_NODES)
    for moment in NODES_KILLED_AT:
        ready = driver.wait_for(lambda n=moment: len(driver.shards()) >= n and driver.writers())
        assert ready, driver.finish()
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        if moment != NODES_KILLED_AT[-1]:  # the last is not replaced
            cluster.add_node(num_cpus=1)
    check(driver, expected)
    cluster.add_node(num_cpus=1)


def test_driver_killed_at_several_moments(cluster: Any, expected: bytes, tmp_path: Path) -> None:
    """Each time the same command goes on; once, a finished shard has been damaged."""
    for moment in DRIVERS_KILLED_AT:
        driver = Driver(tmp_path, f"ray={cluster.address}")
        driver.wait_for(
            lambda d=driver, n=moment: len(d.shards()) >= n and (n == SHARDS or d.writers())
        )
        driver.process.kill()
        driver.finish()
        if moment == DAMAGED_AT:
            damaged = min(driver.shards())
            content = bytearray(damaged.read_bytes())
            content[len(content) // 2] ^= 1
            damaged.write_bytes(content)
    assert check(Driver(tmp_path, f"ray={cluster.address}"), expected)["found"] > 0


def test_data_and_shards_in_a_store(cluster: Any, tmp_path: Path) -> None:
    """Nothing else is shared; killed, the same command finds what is in the store."""
    faces = load_faces("sample")
    rows = [
        f"{emotion},{' '.join(map(str, image.ravel()))},Training"
        for emotion, image in zip(faces.emotion, faces.images, strict=True)
    ]
    data = tmp_path / "faces.csv"
    data.write_text("\n".join(["emotion,pixels,Usage", *rows]), encoding="ascii")
    whole = ExtractConfig(str(data), backbone="hog", cache_dir=tmp_path / "one")
    expected = extract(whole).cache.read_bytes()
    store = tmp_path / "store"
    words = ("--shards-dir", store.as_uri())
    for last in (False, True):
        driver = Driver(tmp_path / "cache", f"ray={cluster.address}", *words, data=data.as_uri())
        if not last:
            driver.wait_for(lambda d=driver: len(list(store.glob("*-shards/*.h5"))) > 3)
            driver.process.kill()
            driver.finish()
    assert check(driver, expected)["found"] > 0
    assert not list(store.iterdir())
