import os
import re
from pathlib import Path

import h5py
import pytest
from examples import journal, make_cache, selection

from fer_features.cache import (
    journal_path,
    last_selection,
    latest_cache,
    list_caches,
    remember,
    remove_cache,
)
from fer_features.errors import FerError


def test_the_latest_cache_is_the_one_asked_for_last(tmp_path: Path) -> None:
    one, two = (make_cache(tmp_path / name, [4]) for name in ("one.h5", "two.h5"))
    os.utime(one, (1e9, 1e9))
    assert latest_cache(tmp_path) == two
    remember(one, selection(4))
    assert latest_cache(tmp_path) == one
    assert list_caches(tmp_path) == [two, one]
    assert last_selection(one) == selection(4).id
    assert last_selection(two) is None


@pytest.mark.parametrize("noted", ["", "[]", "{}", '{"cache": "gone.h5", "choice": "x"}'])
def test_an_unreadable_last_json_is_ignored(tmp_path: Path, noted: str) -> None:
    path = make_cache(tmp_path / "one.h5", [4])
    (tmp_path / "last.json").write_text(noted)
    assert latest_cache(tmp_path) == path
    assert last_selection(path) is None


def test_a_folder_without_caches_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FerError) as caught:
        latest_cache(tmp_path)
    assert "fer extract" in caught.value.hint


def test_a_begun_cache_is_listed_but_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "one.h5"
    journal(path, [[1]], selection(1, 2))
    assert list_caches(tmp_path) == [path]
    with pytest.raises(FerError, match=r"one\.h5"):
        latest_cache(tmp_path)


def test_removing_takes_all_that_belongs_to_a_cache_and_nothing_else(tmp_path: Path) -> None:
    path, other = make_cache(tmp_path / "one.h5", [4]), make_cache(tmp_path / "two.h5", [4])
    journal(path, [[1]], selection(1))
    size = path.stat().st_size + journal_path(path).stat().st_size
    assert remove_cache(path) == size
    assert list(tmp_path.iterdir()) == [other]
    for wrong in (path, other.with_suffix(".txt")):
        with pytest.raises(FerError, match=re.escape(str(wrong))):
            remove_cache(wrong)


def test_what_is_no_cache_is_never_deleted(tmp_path: Path) -> None:
    weights = tmp_path / "weights.h5"
    with h5py.File(weights, "w") as file:
        file["kernel"] = [1.0]
    with pytest.raises(FerError, match=re.escape(str(weights))):
        remove_cache(weights)
    assert weights.exists()
    damaged = make_cache(tmp_path / "one.h5", [4])
    damaged.write_bytes(damaged.read_bytes()[:700])
    remove_cache(damaged)
    assert not damaged.exists()
