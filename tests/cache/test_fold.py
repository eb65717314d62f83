import os
import sys
from pathlib import Path

import numpy as np
import pytest
from examples import HEADER, OUTPUTS, choice, features, journal, make_cache, opening, rows

from fer_features.cache import Cache, Header, JournalHeader, JournalWriter, fold, journal_of
from fer_features.errors import FerError


def test_rows_of_a_later_choice_are_put_in_their_place(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "one.h5", [4, 7], [9])
    journal(path, [[1, 5], [12]], opening(1, 4, 5, 12, task="more"))
    fold(path, journal_of(path))
    with Cache(path) as cache:
        assert cache.rows.source_row.tolist() == [1, 4, 5, 7, 9, 12]
        assert cache.read("top", "pooled")[:, 0].tolist() == [1, 4, 5, 7, 9, 12]
        assert cache.read("top", "map")[:, 0, 0, 1].tolist() == [-1, -4, -5, -7, -9, -12]
        assert [one.info["task"]["name"] for one in cache.selections] == ["few", "more"]
        assert cache.places(cache.selections[1]).tolist() == [0, 1, 2, 5]
        assert cache.complete
    assert not journal_of(path).exists()


def test_a_layer_is_added_to_the_rows_that_are_there(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "one.h5", [4, 7], [9])
    with Cache(path) as cache:
        before = cache.read("top", "map").tobytes()
    low = {"low/pooled": ((3,), "float32")}
    journal(path, [[4, 9]], opening(4, 9, outputs=low, task="other"))
    fold(path, journal_of(path))
    with Cache(path) as cache:
        assert cache.features == ("low/pooled", "top/map", "top/pooled")
        assert cache.read("low", "pooled", np.array([0, 2])).tolist() == [[4, -4, 4], [9, -9, 9]]
        assert cache.done(["low/pooled"]).tolist() == [True, False, True]
        assert cache.read("top", "map").tobytes() == before
        assert cache.complete


def test_a_copy_takes_the_features_of_the_image_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "one.h5"
    with JournalWriter(journal_of(path), opening(1, 2, 3, 4)) as writer:
        writer.append(
            rows(1, 2, 3, 4, images=(1, 2, 1, 2)),
            np.array([True, True, False, False]),
            features(1, 2),
        )
    fold(path, journal_of(path))
    about = opening(5, 6, task="more")
    with JournalWriter(journal_of(path), about) as writer:  # 5 shows an image of the old cache
        writer.append(rows(5, 6, images=(2, 6)), np.array([False, True]), features(6))
    fold(path, journal_of(path))
    with Cache(path) as cache:
        assert cache.read("top", "pooled")[:, 0].tolist() == [1, 2, 1, 2, 2, 6]


def test_a_copy_of_an_image_that_is_nowhere_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "one.h5"
    with JournalWriter(journal_of(path), opening(1, 2)) as writer:
        writer.append(rows(1, 2, images=(1, 8)), np.array([True, False]), features(1))
    with pytest.raises(FerError, match="is damaged"):
        fold(path, journal_of(path))
    assert not path.exists()


def test_in_how_many_pieces_it_was_written_leaves_no_trace(tmp_path: Path) -> None:
    whole, pieces = tmp_path / "a" / "one.h5", tmp_path / "b" / "one.h5"
    numbers = [2, 3, 5, 7, 11, 13, 17]
    journal(whole, [numbers[:3], numbers[3:]], opening(*numbers))
    fold(whole, journal_of(whole))
    for number in numbers:
        journal(pieces, [[number]], opening(*numbers))
        fold(pieces, journal_of(pieces))
    assert pieces.read_bytes() == whole.read_bytes()


def test_folding_twice_changes_nothing(tmp_path: Path) -> None:
    """As after a kill between the renaming of the cache and the removal of the journal."""
    path = tmp_path / "one.h5"
    journal(path, [[4, 7], [9]], opening(4, 7, 9))
    left = journal_of(path).read_bytes()
    fold(path, journal_of(path))
    before = path.read_bytes()
    journal_of(path).write_bytes(left)
    fold(path, journal_of(path))
    assert path.read_bytes() == before
    assert not journal_of(path).exists()


def test_a_reader_keeps_the_file_it_has_opened(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "one.h5", [4, 7], [9])
    with Cache(path) as reader:
        journal(path, [[1]], opening(1, task="more"))
        fold(path, journal_of(path))
        assert reader.read("top", "pooled")[:, 0].tolist() == [4, 7, 9]
        with Cache(path) as later:
            assert len(later) == 4


def test_the_old_file_stays_until_the_new_one_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_cache(tmp_path / "one.h5", [4, 7], [9])
    before = path.read_bytes()
    journal(path, [[1]], opening(1, task="more"))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FerError, match="No space left") as caught:
            fold(path, journal_of(path))
    assert "the same command goes on" in caught.value.hint
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["one.h5", "one.h5.part"]
    fold(path, journal_of(path))
    with Cache(path) as cache:
        assert len(cache) == 4


def test_a_fresh_journal_that_is_not_what_was_written_makes_no_cache(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "one.h5", [4])
    before = path.read_bytes()
    journal(path, [[1], [2]], opening(1, 2, task="more"))
    content = bytearray(journal_of(path).read_bytes())
    content[-1] ^= 1
    journal_of(path).write_bytes(content)
    with pytest.raises(FerError, match="is damaged"):
        fold(path, journal_of(path), fresh=True)
    assert path.read_bytes() == before
    fold(path, journal_of(path))  # looked at with care, it gives what is whole
    with Cache(path) as cache:
        assert cache.rows.source_row.tolist() == [1, 4]


def test_a_journal_of_another_cache_is_an_error(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "one.h5", [4])
    other = Header(spec=HEADER.spec, dataset=HEADER.dataset, key="f" * 16)
    about = JournalHeader(header=other, choice=choice(1), outputs=OUTPUTS, software={})
    journal(path, [[1]], about)
    with pytest.raises(FerError, match="is of another cache"):
        fold(path, journal_of(path))


@pytest.mark.parametrize("kept", [0, 10, 100])
def test_a_journal_without_a_batch_is_dropped(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "one.h5"
    journal(path, [], opening(1, 2))
    journal_of(path).write_bytes(journal_of(path).read_bytes()[:kept])
    fold(path, journal_of(path))
    assert list(tmp_path.iterdir()) == []


def test_a_choice_of_rows_that_are_there_is_noted(tmp_path: Path) -> None:
    path = make_cache(tmp_path / "one.h5", [4, 7], [9])
    fold(path, journal_of(path), also=[choice(4, 9, task="two")])
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
    about = opening(*range(n), outputs={"top/map": ((3, 3, 100), "float16")})
    journal(path, [range(n)], about)
    fold(path, journal_of(path), compression=compression)
    assert path.stat().st_size * shrinks < n * 900 * 2 + 100_000
    journal(path, [[n]], opening(n, outputs=about.outputs, task="more"))
    fold(path, journal_of(path))  # nothing is said of compression: it stays as it is
    with Cache(path) as cache:
        assert cache.compression == compression
        assert len(cache) == n + 1
        expected = features(*range(n + 1), outputs=about.outputs)["top/map"]
        assert (cache.read("top", "map") == expected).all()


def test_without_hdf5plugin_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    journal(tmp_path / "one.h5", [[1]], opening(1))
    with pytest.raises(FerError) as caught:
        fold(tmp_path / "one.h5", journal_of(tmp_path / "one.h5"), compression="zstd")
    assert caught.value.hint == 'pip install ".[zstd]"'
    assert journal_of(tmp_path / "one.h5").exists()
