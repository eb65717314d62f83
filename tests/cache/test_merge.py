import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from examples import COLUMNS, HEADER, SOFTWARE, features, journal, merge, rows, selection
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fer_features.cache import Cache, Header, journal_path, latest_cache, list_caches
from fer_features.cache import merge as merging
from fer_features.cache.folder import cache_path
from fer_features.cache.journal import JournalWriter
from fer_features.cache.merge import merge_shards
from fer_features.cache.record import RowSelection
from fer_features.cache.shard import Shard
from fer_features.errors import FerError

NUMBERS = (2, 3, 5, 7, 11, 13, 17, 19, 23)
FULL = Header(
    spec={**HEADER.spec, "precision": "float32", "weights_sha256": "e" * 64},
    dataset=HEADER.dataset,
    key=HEADER.key,
)


def make(path: Path, requested: RowSelection, header: Header = FULL) -> Path:
    """The finished cache of a selection."""
    journal(path, [requested.rows.tolist()], requested, header=header)
    merge(path)
    return path


def make_shards(
    folder: Path, count: int, *, only: Sequence[int] = (), whole: RowSelection | None = None
) -> list[Path]:
    """The shards of `NUMBERS`, or some of them."""
    folder.mkdir(exist_ok=True)
    return [
        make(shard.path(folder / "one.h5"), shard.part(whole or selection(*NUMBERS)))
        for shard in (Shard(number, count) for number in only or range(1, count + 1))
    ]


@given(rows=st.integers(1, 500), data=st.data())
def test_the_shards_of_any_rows_are_their_partition(rows: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, rows))
    bounds = [Shard(number, count).bounds(rows) for number in range(1, count + 1)]
    assert [one for first, last in bounds for one in range(first, last)] == list(range(rows))
    assert all(first < last for first, last in bounds)


def test_the_rows_of_each_shard_by_hand() -> None:
    parts = [Shard(k, 4).part(selection(*NUMBERS)) for k in (1, 2, 3, 4)]
    assert [one.rows.tolist() for one in parts] == [[2, 3], [5, 7], [11, 13], [17, 19, 23]]
    assert parts[2].info["shard"] == "3/4"
    assert parts[2].info["whole"] == {"id": selection(*NUMBERS).id, "rows": 9}
    assert Shard(3, 16).path(Path("a/b.h5")) == Path("a/b-shard-03-of-16.h5")


@pytest.mark.parametrize("text", ["0/4", "5/4", "a/b", "", "1", "1/0", "-1/4", "1/2/3", "1/ 2"])
def test_what_names_no_shard_is_refused(text: str) -> None:
    with pytest.raises(FerError, match="no such shard") as caught:
        Shard.parse(text)
    assert "3/16" in caught.value.hint


def test_a_shard_has_a_row_at_least() -> None:
    assert len(Shard(9, 9).part(selection(*NUMBERS)).rows) == 1
    with pytest.raises(FerError, match="10 shards of 9 rows"):
        Shard(1, 10).part(selection(*NUMBERS))


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_merged_shards_are_the_whole_byte_for_byte(tmp_path: Path, count: int) -> None:
    whole = make(cache_path(tmp_path, FULL), selection(*NUMBERS))
    shards = make_shards(tmp_path / "shards", count)
    done = merge_shards(shards[::-1])
    assert (done.rows, done.shards, done.already_there) == (9, count, False)
    assert done.cache == tmp_path / "shards" / whole.name
    assert done.cache.read_bytes() == whole.read_bytes()
    assert latest_cache(tmp_path / "shards") == done.cache
    assert {one.suffix for one in (tmp_path / "shards").iterdir()} == {".h5", ".json"}


def test_a_folder_stands_for_its_shards_and_several_selections_stay_apart(tmp_path: Path) -> None:
    few, more = selection(*NUMBERS), selection(*range(2, 9), task="more")
    whole = make(tmp_path / "whole.h5", few)
    make(whole, more)
    for one in (few, more):
        make_shards(tmp_path / "shards", 3, whole=one)
    done = merge_shards([tmp_path / "shards"], tmp_path / "out" / "joined.h5")
    with Cache(done.cache) as cache, Cache(whole) as expected:
        assert [one.to_dict() for one in cache.selections] == [few.to_dict(), more.to_dict()]
        assert cache.rows.source_row.tolist() == expected.rows.source_row.tolist()
    assert done.cache.read_bytes() == whole.read_bytes()


def test_a_copy_in_another_shard_keeps_the_features_that_its_shard_computed(tmp_path: Path) -> None:
    parts = [Shard(k, 2).part(selection(1, 2, 3, 4)) for k in (1, 2)]
    paths = [Shard(k, 2).path(tmp_path / "one.h5") for k in (1, 2)]
    for path, part, shown in zip(paths, parts, ([1, 2], [2, 4]), strict=True):
        about = {"header": FULL, "selection": part, "software": {}, "columns": COLUMNS}
        with JournalWriter(journal_path(path), **about) as writer:
            writer.append(rows(*part.rows.tolist(), images=shown), features(*shown))
        merge(path)
    with Cache(merge_shards(paths).cache) as cache:
        assert cache.read("top", "pooled")[:, 0].tolist() == [1, 2, 2, 4]


def test_each_software_is_kept_once(tmp_path: Path) -> None:
    shards = make_shards(tmp_path, 3, only=(1, 3))
    part = Shard(2, 3).part(selection(*NUMBERS))
    path = Shard(2, 3).path(tmp_path / "one.h5")
    about = {"header": FULL, "selection": part, "software": {"engine": "new"}, "columns": COLUMNS}
    with JournalWriter(journal_path(path), **about) as writer:
        writer.append(rows(*part.rows.tolist()), features(*part.rows.tolist()))
    merge(path)
    with Cache(merge_shards([*shards, path]).cache) as cache:
        assert [one["engine"] for one in cache.software] == ["by hand", "new"]


@pytest.fixture(scope="module")
def every_shard(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Path]]:
    """All shards of one to five, by their number."""
    return {
        count: make_shards(tmp_path_factory.mktemp(f"of{count}"), count) for count in range(1, 6)
    }


@settings(deadline=None, max_examples=25)
@given(data=st.data(), count=st.integers(1, 5))
def test_every_missing_and_doubled_shard_is_named(
    every_shard: dict[int, list[Path]], data: st.DataObject, count: int
) -> None:
    sizes = {"min_size": count, "max_size": count}
    times = data.draw(st.lists(st.integers(0, 2), **sizes).filter(lambda one: set(one) != {1}))
    paths = [path for path, n in zip(every_shard[count], times, strict=True) for _ in range(n)]
    assume(paths)
    with pytest.raises(FerError) as caught:
        merge_shards(data.draw(st.permutations(paths)))
    every = dict(enumerate(times, start=1))
    expected = {f"shard {k} is there {n} times" for k, n in every.items() if n > 1}
    missing = merging._ranges([k for k, n in every.items() if n == 0])
    expected |= {f"of {count} shards these are missing: {missing}"} if missing else set()
    found = caught.value.message.split("; ")
    assert {one if "missing" in one else one.split(":")[0] for one in found} == expected
    assert sorted(every_shard[count][0].parent.iterdir()) == every_shard[count]


def test_ranges_are_what_a_job_array_takes() -> None:
    assert merging._ranges([1, 3, 4, 5, 9, 10]) == "1,3-5,9-10"


def test_all_that_is_amiss_is_in_one_error(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    make_shards(folder, 8, only=(1, 4, 5, 6))
    (three,) = make_shards(folder, 8, only=(3,))
    content = bytearray(three.read_bytes())
    content[len(content) // 2] ^= 1
    three.write_bytes(content)
    part = Shard(2, 8).part(selection(*NUMBERS))
    journal(Shard(2, 8).path(folder / "one.h5"), [part.rows.tolist()], part, header=FULL)
    other = RowSelection({**selection().info, "seed": 1}, selection().features, np.array(NUMBERS))
    (seven,) = make_shards(folder, 8, only=(7,), whole=other)
    whole = make(tmp_path / "whole.h5", selection(*NUMBERS))
    with pytest.raises(FerError) as caught:
        merge_shards([folder, whole, folder / "no.h5"])
    message = caught.value.message
    assert "one-shard-2-of-8.h5 is unfinished" in message
    assert f"{three} is damaged" in message
    assert f"{seven} is of another extraction: its seed is 1, not 0" in message
    assert f"{whole} is not a shard" in message
    assert f"no such cache: {folder / 'no.h5'}" in message
    assert message.endswith("of 8 shards these are missing: 7-8")
    assert not (folder / cache_path(folder, FULL)).exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"key": "f" * 16, "spec": {**FULL.spec, "backbone": "large"}}, "its backbone is "),
        (
            {"key": "f" * 16, "dataset": {"name": "x", "sha256": "c" * 64}},
            "its data is ",
        ),
    ],
)
def test_a_shard_of_another_backbone_or_data_set_is_named(
    tmp_path: Path, changes: dict, expected: str
) -> None:
    shards = make_shards(tmp_path, 4)
    shards[1].unlink()
    header = Header(**{**vars(FULL), **changes})
    make(shards[1], Shard(2, 4).part(selection(*NUMBERS)), header)
    with pytest.raises(FerError, match=expected):
        merge_shards(shards)


def test_a_shard_to_which_a_whole_selection_was_added_is_none(tmp_path: Path) -> None:
    shards = make_shards(tmp_path, 2)
    make(shards[1], selection(2, 31, task="more"))
    with pytest.raises(FerError, match=f"{shards[1]} is not a shard"):
        merge_shards(shards)


def test_shards_of_another_number_are_named(tmp_path: Path) -> None:
    shards = [*make_shards(tmp_path, 4, only=(1, 2, 3)), *make_shards(tmp_path, 3, only=(3,))]
    with pytest.raises(FerError, match="its number of shards is 3, not 4") as caught:
        merge_shards(shards)
    assert "these are missing: 4" in caught.value.message


def test_the_same_file_is_left_and_another_is_never_replaced(tmp_path: Path) -> None:
    shards = make_shards(tmp_path, 3)
    done = merge_shards(shards)
    before = done.cache.stat()
    assert merge_shards(shards).already_there
    assert done.cache.stat().st_mtime_ns == before.st_mtime_ns
    make(done.cache, selection(2, 31, task="more"))
    content = done.cache.read_bytes()
    with pytest.raises(FerError, match="is there already, and differs"):
        merge_shards(shards)
    assert done.cache.read_bytes() == content


def test_a_file_that_differs_only_in_features_is_not_replaced(tmp_path: Path) -> None:
    shards = make_shards(tmp_path, 3)
    path = tmp_path / "other.h5"
    requested = selection(*NUMBERS)
    about = {"header": FULL, "selection": requested, "software": SOFTWARE, "columns": COLUMNS}
    with JournalWriter(journal_path(path), **about) as writer:
        writer.append(rows(*NUMBERS), features(*(n + 1 for n in NUMBERS)))
    merge(path)
    content = path.read_bytes()
    with pytest.raises(FerError, match="is there already, and differs"):
        merge_shards(shards, path)
    assert path.read_bytes() == content


def test_a_full_disk_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = make_shards(tmp_path, 2)
    monkeypatch.setattr("fer_features.cache.folder.free_bytes", lambda folder: 1000)
    with pytest.raises(FerError, match="MB are needed, 0 MB are free") as caught:
        merge_shards(shards)
    assert "--out" in caught.value.hint
    assert {one.name for one in tmp_path.glob("*.h5*")} == {one.name for one in shards}


def test_out_is_a_cache_and_there_is_something_to_merge(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="no shards in"):
        merge_shards([tmp_path])
    with pytest.raises(FerError, match="not the name of a cache"):
        merge_shards(make_shards(tmp_path, 2), tmp_path / "whole.hdf5")


def test_a_shard_is_no_default_and_is_not_fitted_to(tmp_path: Path) -> None:
    shards = make_shards(tmp_path, 2)
    with pytest.raises(FerError, match="only shards") as caught:
        latest_cache(tmp_path)
    assert caught.value.hint.startswith(f"fer cache merge {tmp_path}")
    with Cache(shards[0]) as cache:
        assert cache.shard == Shard(1, 2)
        assert cache.read("top", "pooled").shape == (4, 2)
        with pytest.raises(FerError, match="is shard 1/2, a part") as caught:
            cache.selection()
        assert caught.value.hint.endswith(f"fer cache merge {tmp_path / 'one-shard-*-of-2.h5'}")
    whole = make(tmp_path / "whole.h5", selection(*NUMBERS))
    os.utime(whole, ns=(0, 0))
    assert latest_cache(tmp_path) == whole
    with Cache(whole) as cache:
        assert cache.shard is None


def test_more_shards_than_files_that_may_be_open(tmp_path: Path) -> None:
    """A merge holds one of them open at a time."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    whole = selection(*range(80))
    shards = make_shards(tmp_path, 40, whole=whole)
    used = len(list(Path("/dev/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 15, hard))
    try:
        done = merge_shards(shards)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with Cache(done.cache) as cache:
        assert cache.read("top", "pooled")[:, 0].tolist() == list(range(80))


CHILD = """
import os, signal, sys
from pathlib import Path
import h5py
from fer_features.cache.merge import merge_shards

real, left = h5py.Dataset.__setitem__, [int(sys.argv[2])]

def half(dataset, place, values):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    real(dataset, place, values)

h5py.Dataset.__setitem__ = half
merge_shards([Path(sys.argv[1])])
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_in_the_middle_no_half_written_cache_is_left(tmp_path: Path) -> None:
    shards = make_shards(tmp_path, 3)
    command = [sys.executable, "-c", CHILD, str(tmp_path), "2"]  # at the second column
    assert subprocess.run(command, check=False).returncode == -9  # noqa: S603  our own program
    assert list_caches(tmp_path) == shards
    done = merge_shards(shards)
    assert done.cache.exists()
    assert list(tmp_path.glob("*.new")) == []
