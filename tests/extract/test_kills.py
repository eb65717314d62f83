"""A real extraction, killed again and again: nothing is lost, and no bit of the result differs.

The processes that are killed run the tiny backbone on the drawn sample through the real command's
code. Some are killed by the clock, some by themselves at a chosen write, synchronisation, renaming
or removal, half of whose bytes are written first.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_features.backbones import Backbone
from fer_features.cache import Cache, verify
from fer_features.config import ExtractConfig
from fer_features.extract.extract import extract
from fer_features.runtime.hardware import has_openvino

KILLED_BY_THE_CLOCK = 16
KILLED_AT_A_WRITE = 24

if not has_openvino():  # a process that needs no TensorFlow starts in a second
    pytest.skip("OpenVINO is not installed", allow_module_level=True)
pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL")

CHILD = """
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from conftest import TINY
import h5py
from fer_features.backbones import BACKBONES
from fer_features.config import ExtractConfig
from fer_features.extract.extract import extract
from fer_features.cache import journal

BACKBONES[TINY.name] = TINY
kill_at, events = int(sys.argv[3]), 0

def event(half):
    global events
    events += 1
    if events == kill_at:
        half()
        os.kill(os.getpid(), signal.SIGKILL)

def watch(owner, name, half=lambda *args: None):
    real = getattr(owner, name)
    def watched(*args, **kwargs):
        event(lambda: half(real, *args))
        return real(*args, **kwargs)
    setattr(owner, name, watched)

def half_of_the_bytes(real, file, part):
    content = bytes(part)
    real(file, content[: len(content) // 2])

def half_of_the_rows(real, dataset, place, values):
    middle = (place.start + place.stop) // 2
    real(dataset, slice(place.start, middle), values[: middle - place.start])

@contextmanager
def track(title, total, unit):
    watch(journal, "_write_all", half_of_the_bytes)
    watch(h5py.Dataset, "__setitem__", half_of_the_rows)
    watch(os, "fsync")
    watch(Path, "replace")
    watch(Path, "unlink")
    print("begun", flush=True)
    yield lambda n: None

if len(sys.argv) > 4:  # a disk on which no file can grow beyond so many bytes
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)

extract(
    ExtractConfig(backbone="tiny", weights="random:0", engine="openvino", precision="float32",
                  task="seven", per_class="all", batch_size=4, cache_dir=Path(sys.argv[2])),
    progress=track,
)
print(events)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExtractConfig, bytes]:
    """The configuration, and the cache that it makes when nothing interrupts it."""
    from conftest import TINY

    from fer_features.backbones import BACKBONES

    config = ExtractConfig(
        backbone="tiny",
        weights="random:0",
        engine="openvino",
        precision="float32",
        task="seven",
        per_class="all",
        batch_size=4,
        cache_dir=tmp_path_factory.mktemp("whole"),
    )
    BACKBONES[TINY.name] = TINY
    try:
        return config, extract(config).cache.read_bytes()
    finally:
        del BACKBONES[TINY.name]


def child(folder: Path, kill_at: int = 0, *more: object) -> subprocess.Popen[str]:
    """Another process that extracts; it has begun when this returns."""
    arguments = map(str, (Path(__file__).parents[1], folder, kill_at, *more))
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-c", CHILD, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def folder_with_graph(whole: tuple[ExtractConfig, bytes], place: Path) -> Path:
    """A folder for caches in which the graph is there, so that the child need not export it."""
    place.mkdir()
    (place / "graphs").symlink_to(whole[0].cache_dir / "graphs")
    return place


def check(whole: tuple[ExtractConfig, bytes], folder: Path) -> int:
    """Go on where the killed process stopped; how many rows it had left."""
    config, expected = whole
    done = extract(replace(config, cache_dir=folder))
    assert done.cache.read_bytes() == expected
    verify(done.cache)
    with Cache(done.cache) as cache:
        assert cache.complete
    names = {one.name for one in folder.iterdir()}
    if done.found == done.rows:  # killed after all was done; nobody has locked since
        names.discard(f"{done.cache.name}.lock")
    assert names == {"graphs", "last.json", done.cache.name}
    return done.found


@pytest.mark.long
def test_killed_by_the_clock(
    whole: tuple[ExtractConfig, bytes], tmp_path: Path, tiny: Backbone, rng: np.random.Generator
) -> None:
    left = []
    for number in range(KILLED_BY_THE_CLOCK):
        folder = folder_with_graph(whole, tmp_path / str(number))
        process = child(folder)
        try:
            process.wait(timeout=rng.uniform(0, 0.5))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        left.append(check(whole, folder))
    assert len(set(left)) > 1  # they were killed at different moments


@pytest.mark.parametrize("kills", [4, pytest.param(KILLED_AT_A_WRITE, marks=pytest.mark.long)])
def test_killed_between_and_inside_writes(
    whole: tuple[ExtractConfig, bytes],
    tmp_path: Path,
    tiny: Backbone,
    rng: np.random.Generator,
    kills: int,
) -> None:
    counting = child(folder_with_graph(whole, tmp_path / "count"))
    events = int(counting.communicate()[0])
    assert counting.returncode == 0
    last = events - np.arange(
        min(8, kills // 2)
    )  # folding: writes to HDF5, synchronisation, renaming, removal
    others = rng.choice(np.arange(1, events - 8), kills - len(last), replace=False)
    moments = [*last.tolist(), *others.tolist()]

    def killed(kill_at: int) -> Path:
        folder = folder_with_graph(whole, tmp_path / str(kill_at))
        process = child(folder, kill_at)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, kill_at
        return folder

    with ThreadPoolExecutor(2) as pool:  # a process spends most of its time on starting
        for folder in pool.map(killed, moments):
            check(whole, folder)


@pytest.mark.long
def test_killed_many_times_in_a_row(
    whole: tuple[ExtractConfig, bytes], tmp_path: Path, tiny: Backbone
) -> None:
    folder = folder_with_graph(whole, tmp_path / "again")
    for kill_at in (200, 150, 100, 60, 30, 10):
        process = child(folder, kill_at)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert check(whole, folder) > 0


@pytest.mark.parametrize(
    "room", [*(pytest.param(n, marks=pytest.mark.long) for n in (20_000, 125_000)), 70_000]
)
def test_a_full_disk_loses_nothing(
    whole: tuple[ExtractConfig, bytes], tmp_path: Path, tiny: Backbone, room: int
) -> None:
    """In the first bytes of the journal, and in its middle."""
    folder = folder_with_graph(whole, tmp_path / "full")
    process = child(folder, 0, room)
    _, output = process.communicate()
    assert process.returncode == 1
    last = output.splitlines()[-1]
    assert last.startswith("fer_features.errors.FerError")
    assert "File too large" in last
    assert ".h5.part" in last
    assert list(folder.glob("*.h5")) == []
    check(whole, folder)
