import os
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from examples import HEADER, features, journal, make_cache, merge, rows, selection

from fer_features.cache import Cache, Header, journal_path, open_writer, verify
from fer_features.errors import FerError


def test_rows_of_a_later_choice_are_put_in_their_place(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "one.h5", [4, 7], [9])
    journal(path, [[1, 5], [12]], selection(1, 4, 5, 12, task="more"))
    merge(path)
    with Cache(path) as cache:
        assert cache.rows.source_row.tolist() == [1, 4, 5, 7, 9, 12]
        assert cache.read("top", "pooled")[:, 0].tolist() == [1, 4, 5, 7, 9, 12]
        assert cache.read("top", "map")[:, 0, 0, 1].tolist() == [-1, -4, -5, -7, -9, -12]
        assert [one.info["task"]["name"] for one in cache.selections] == ["few", "more"]
        assert cache.places(cache.selections[1]).tolist() == [0, 1, 2, 5]
        assert cache.complete
    assert not journal_path(path).exists()


def test_a_layer_is_added_to_the_rows_that_are_there(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "one.h5", [4, 7], [9])
    with Cache(path) as cache:
        before = cache.read("top", "map").tobytes()
    low = {"low/pooled": ((3,), "float32")}
    requested = selection(4, 9, features=list(low), task="other")
    journal(path, [[4, 9]], requested, columns=low)
    merge(path)
    with Cache(path) as cache:
        assert cache.features == ("low/pooled", "top/map", "top/pooled")
        assert cache.read("low", "pooled", np.array([0, 2])).tolist() == [[4, -4, 4], [9, -9, 9]]
        assert cache.done(["low/pooled"]).tolist() == [True, False, True]
        assert cache.read("top", "map").tobytes() == before
        assert cache.complete


def test_a_copy_takes_the_features_of_the_image_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "one.h5"
    journal(path, [[1, 2]], selection(1, 2, 3, 4))
    merge(path, copies=[rows(3, 4, images=(1, 2))])
    journal(path, [[6]], selection(5, 6, task="more"))
    merge(path, copies=[rows(5, images=(2,))])  # an image of the old cache
    with Cache(path) as cache:
        assert cache.rows.source_row.tolist() == [1, 2, 3, 4, 5, 6]
        assert cache.read("top", "pooled")[:, 0].tolist() == [1, 2, 1, 2, 2, 6]
        assert cache.complete


def test_a_row_that_copies_no_image_is_never_taken_for_computed(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "one.h5", [1])
    merge(path, copies=[rows(2, images=(8,))], selections=[selection(1, 2)])
    with Cache(path) as cache:
        assert cache.done(cache.features).tolist() == [True, False]
        assert not cache.complete


def test_in_how_many_pieces_it_was_written_leaves_no_trace(tmp_path: Path) -> None:
    whole, pieces = tmp_path / "a" / "one.h5", tmp_path / "b" / "one.h5"
    numbers = [2, 3, 5, 7, 11, 13, 17]
    journal(whole, [numbers[:3], numbers[3:]], selection(*numbers))
    merge(whole)
    for number in numbers:
        journal(pieces, [[number]], selection(*numbers))
        merge(pieces)
    assert pieces.read_bytes() == whole.read_bytes()


def test_row_metadata_of_several_chunks_are_read_as_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HDF5 takes no chunk of 4 GiB, which the hashes of 67 million rows are."""
    path, numbers = tmp_path / "one.h5", [2, 3, 5, 7, 11]
    monkeypatch.setattr("fer_features.cache.writer.TABLE_ROWS", 2)
    journal(path, [numbers], selection(*numbers))
    merge(path)
    with h5py.File(path) as file:
        assert file["rows/sha256"].chunks == (2,)
        assert file["rows/done"].chunks == (2, 2)
    with Cache(path) as cache:
        assert cache.complete
        np.testing.assert_array_equal(cache.rows.sha256, rows(*numbers).sha256)
    assert verify(path) == path.stat().st_size


def test_folding_twice_changes_nothing(tmp_path: Path) -> None:
    """As after a kill between the renaming of the cache and the removal of the journal."""
    path = tmp_path / "one.h5"
    journal(path, [[4, 7], [9]], selection(4, 7, 9))
    left = journal_path(path).read_bytes()
    merge(path)
    before = path.read_bytes()
    journal_path(path).write_bytes(left)
    merge(path)
    assert path.read_bytes() == before
    assert not journal_path(path).exists()


def test_a_reader_keeps_the_file_it_has_opened(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "one.h5", [4, 7], [9])
    with Cache(path) as reader:
        journal(path, [[1]], selection(1, task="more"))
        merge(path)
        assert reader.read("top", "pooled")[:, 0].tolist() == [4, 7, 9]
        with Cache(path) as later:
            assert len(later) == 4


def test_the_old_file_stays_until_the_new_one_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_cache(tmp_path / "one.h5", [4, 7], [9])
    before = path.read_bytes()
    journal(path, [[1]], selection(1, task="more"))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FerError, match="No space left") as caught:
            merge(path)
    assert str(journal_path(path)) in caught.value.hint
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["one.h5", "one.h5.part"]
    merge(path)
    with Cache(path) as cache:
        assert len(cache) == 4


def test_a_journal_that_is_not_what_this_process_wrote_makes_no_cache(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "one.h5", [4])
    before = path.read_bytes()
    with open_writer(path) as writer:
        journal(path, [[1], [2]], selection(1, 2, task="more"))
        content = bytearray(journal_path(path).read_bytes())
        content[-1] ^= 1
        journal_path(path).write_bytes(content)
        with pytest.raises(FerError, match=r"one\.h5\.part.* damaged"):
            writer.compact()
    assert path.read_bytes() == before
    merge(path)  # the next command recovers what is intact
    with Cache(path) as cache:
        assert cache.rows.source_row.tolist() == [1, 4]


def test_a_journal_of_another_cache_is_an_error(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "one.h5", [4])
    other = Header(spec=HEADER.spec, dataset=HEADER.dataset, key="f" * 16)
    journal(path, [[1]], selection(1), header=other)
    with pytest.raises(FerError, match="f" * 16):
        merge(path)
    assert journal_path(path).exists()


@pytest.mark.parametrize("kept", [0, 10, 100])
def test_a_journal_without_a_batch_is_dropped(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "one.h5"
    journal(path, [], selection(1, 2))
    journal_path(path).write_bytes(journal_path(path).read_bytes()[:kept])
    merge(path)
    assert list(tmp_path.iterdir()) == []


def test_a_choice_of_rows_that_are_there_is_noted(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "one.h5", [4, 7], [9])
    merge(path, selections=[selection(4, 9, task="two")])
    with Cache(path) as cache:
        assert cache.selection().rows.tolist() == [4, 9]
        assert cache.read("top", "pooled")[:, 0].tolist() == [4, 7, 9]


@pytest.mark.parametrize(("compression", "shrinks"), [("gzip", 5), ("zstd", 5), ("none", 0.9)])
def test_packed_features_are_the_same_and_stay_packed(
    tmp_path: Path, compression: str, shrinks: float
) -> None:
    if compression == "zstd":
        pytest.importorskip("hdf5plugin")
    path, n = tmp_path / "one.h5", 300
    columns = {"top/map": ((3, 3, 100), "float16")}
    journal(path, [range(n)], selection(*range(n), features=list(columns)), columns=columns)
    merge(path, compression=compression)
    assert path.stat().st_size * shrinks < n * 900 * 2 + 100_000
    more = selection(n, features=list(columns), task="more")
    journal(path, [[n]], more, columns=columns)
    merge(path)  # without a compression it stays as it is
    with Cache(path) as cache:
        assert cache.compression == compression
        assert len(cache) == n + 1
        expected = features(*range(n + 1), columns=columns)["top/map"]
        assert (cache.read("top", "map") == expected).all()


def test_without_hdf5plugin_the_hint_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    journal(tmp_path / "one.h5", [[1]], selection(1))
    with pytest.raises(FerError) as caught:
        merge(tmp_path / "one.h5", compression="zstd")
    assert caught.value.hint == 'pip install "hdf5plugin>=5"'
    assert journal_path(tmp_path / "one.h5").exists()
