"""What `--on` is refused for, and how rows are divided: without Ray."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fer_features import extract
from fer_features.cache.folder import LOCK_SUFFIX
from fer_features.cache.lock import remove_lock_of_other_machine
from fer_features.config import ExtractConfig
from fer_features.errors import FerError
from fer_features.extract import on_ray
from fer_features.extract.ray_cluster import share_of
from fer_features.extract.ray_worker import Counter


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "slurm"}, "--on slurm: nothing to extract on"),
        ({"on": "ray="}, "--on ray=: nothing to extract on"),
        ({"on": "ray", "shard": "1/2"}, "--on extracts all shards"),
        ({"on": "ray", "detect": True, "shards_dir": "s3://bucket/x"}, "--detect needs a folder"),
        ({"shards": 3}, "are for --on"),
        ({"shards_dir": "s3://bucket/shards"}, "are for --on"),
    ],
)
def test_options_that_do_not_go_together(options, message: str, tmp_path: Path) -> None:
    with pytest.raises(FerError, match=message) as caught:
        extract("sample", backbone="hog", cache_dir=tmp_path, **options)
    assert caught.value.hint


def test_without_ray_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(FerError, match="--on ray needs Ray") as caught:
        extract("sample", backbone="hog", cache_dir=tmp_path, on="ray")
    assert "ray" in caught.value.hint
    assert caught.value.hint.startswith("pip install")


@pytest.mark.parametrize(
    ("nodes", "own", "config", "expected"),
    [
        ([{"CPU": 8.0}], True, {}, "8 CPU × 1"),
        ([{"CPU": 8.0}], False, {}, "7 CPU × 1"),
        ([{"CPU": 4.0}, {"CPU": 16.0}, {}], False, {}, "3 CPU × 6"),
        ([{"CPU": 1.0}, {"CPU": 1.0}], False, {}, "1 CPU × 2"),
        ([{"CPU": 8.0, "GPU": 4.0}, {"CPU": 8.0, "GPU": 4.0}], False, {}, "1 GPU × 8"),
        ([{"CPU": 8.0, "GPU": 4.0}], False, {"backbone": "hog"}, "7 CPU × 1"),
        ([{"CPU": 8.0, "GPU": 4.0}], False, {"engine": "openvino"}, "7 CPU × 1"),
    ],
)
def test_what_a_worker_takes(nodes, own: bool, config, expected: str) -> None:
    listed = [{"Alive": True, "Resources": one} for one in nodes]
    ray = SimpleNamespace(nodes=lambda: [*listed, {"Alive": False, "Resources": {"CPU": 1.0}}])
    share = share_of(ray, ExtractConfig(**config), own=own)
    assert f"{share.text} × {share.workers}" == expected


def test_a_cluster_without_cpus_is_refused() -> None:
    ray = SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": {"memory": 1.0}}])
    with pytest.raises(FerError, match="no machine"):
        share_of(ray, ExtractConfig(backbone="hog"), own=False)


@pytest.mark.parametrize(
    ("rows", "workers", "count"), [(600, 8, 1), (30_000, 2, 8), (30_000, 8, 15), (4_000_000, 2, 40)]
)
def test_how_many_shards(rows: int, workers: int, count: int) -> None:
    assert on_ray._count([], rows, workers) == count


def test_an_interrupted_extraction_goes_on_with_its_number_of_shards() -> None:
    names = ["a-shard-1-of-9.h5", "a-shard-2-of-9.h5.part", "a-shard-1-of-4.h5"]
    assert on_ray._count(names, 600, 1) == 9


def test_what_is_done_of_a_shard_does_not_go_back() -> None:
    counter = Counter()
    for shard, images in ((1, 5), (2, 7), (1, 3)):
        counter.set(shard, images)
    assert counter.total() == 12


def test_only_the_lock_of_another_machine_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    lock = tmp_path / f"a{LOCK_SUFFIX}"
    for host, left in ((os.uname().nodename, True), ("elsewhere", False)):
        lock.write_text(f"123\n{host}\n", encoding="utf-8")
        remove_lock_of_other_machine(path)
        assert lock.exists() is left
