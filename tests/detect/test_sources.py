import tracemalloc
from itertools import islice
from pathlib import Path

import pytest

from fer_features.detect.sources import check_inputs, list_sources
from fer_features.errors import FerError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_folders_are_listed_at_any_depth_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a/z.PNG", "c/d/e.mp4", "a.txt", ".hidden.jpg", ".dir/x.jpg", "q.heic")
    found = [one.relative_to(tmp_path).as_posix() for one in list_sources([tmp_path])]
    assert found == ["a/z.PNG", "b.jpg", "c/d/e.mp4", "q.heic"]


def test_inputs_keep_their_order_and_any_name(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "picture", "a/z.png")
    inputs = [tmp_path / "picture", tmp_path / "a", tmp_path / "b.jpg"]
    assert [one.name for one in list_sources(inputs)] == ["picture", "z.png", "b.jpg"]


def test_links_back_to_a_folder_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path, "a/b.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "self.jpg").symlink_to("self.jpg")
    assert [one.name for one in list_sources([tmp_path])] == ["b.jpg"]


def test_a_folder_is_listed_when_its_turn_comes(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/1.jpg")
    sources = list_sources([tmp_path])
    assert [one.parent.name for one in islice(sources, 1)] == ["a"]
    touch(tmp_path, "b/2.jpg")
    assert [f"{one.parent.name}/{one.name}" for one in sources] == ["b/1.jpg", "b/2.jpg"]


def test_only_the_names_of_a_folder_are_in_memory(tmp_path: Path) -> None:
    for folder in range(6):
        touch(tmp_path, *(f"{folder}/{number}.jpg" for number in range(100)))
    tracemalloc.start()
    assert sum(1 for _ in list_sources([tmp_path])) == 600
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 60_000  # bytes: 600 paths are more


def test_what_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="nothing"):
        check_inputs([])
    with pytest.raises(FerError, match="does not exist"):
        check_inputs([tmp_path, tmp_path / "nowhere.jpg"])
    with pytest.raises(FerError, match="neither"):
        check_inputs([Path("/dev/null")])
