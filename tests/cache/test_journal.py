from pathlib import Path

import numpy as np
import pytest
from examples import OUTPUTS, features, opening, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_features.cache import Journal, JournalWriter
from fer_features.errors import FerError


def write(path: Path, *batches: list[int]) -> bytes:
    with JournalWriter(path, opening(*range(20))) as writer:
        for batch in batches:
            writer.append(rows(*batch), np.ones(len(batch), bool), features(*batch))
    return path.read_bytes()


def test_what_was_added_is_read(tmp_path: Path) -> None:
    path = tmp_path / "one.h5.part"
    about = opening(4, 7, 9)
    with JournalWriter(path, about) as writer:
        writer.append(rows(4, 7), np.ones(2, bool), features(4, 7))
        writer.append(rows(9, 10, images=(9, 4)), np.array([True, False]), features(9))
    with Journal(path) as journal:
        found = journal.opening
        assert found is not None
        assert (found.header, found.outputs, found.software) == (
            about.header,
            OUTPUTS,
            about.software,
        )
        assert found.choice.rows.tolist() == [4, 7, 9]
        assert [one.rows.source_row.tolist() for one in journal.records] == [[4, 7], [9, 10]]
        assert journal.records[1].computed.tolist() == [True, False]
        assert journal.records[1].rows.sha256[1] == b"%064d" % 4
        assert journal.read("top/pooled", 0, 0, 2).tolist() == [[4, -4], [7, -7]]
        assert journal.read("top/pooled", 0, 1, 2).tolist() == [[7, -7]]
        assert journal.read("top/map", 1, 0, 1).tolist() == [[[[9, -9], [9, -9]]]]


def test_a_journal_cut_anywhere_keeps_its_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "one.h5.part"
    ends = [len(write(path)), len(write(path, [1, 2])), len(write(path, [1, 2], [3]))]
    content = path.read_bytes()
    for kept in range(len(content) + 1):
        path.write_bytes(content[:kept])
        with Journal(path) as journal:
            assert (journal.opening is not None) == (kept >= ends[0])
            assert len(journal.records) == sum(kept >= end for end in ends[1:])


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, 10**9), bit=st.integers(0, 7))
def test_a_flipped_bit_ends_the_journal_before_its_record(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "one.h5.part"
    content = bytearray(write(path, [1, 2], [3]))
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    with Journal(path) as journal:
        assert len(journal.records) < 2
        for number, record in enumerate(journal.records):
            assert record.rows.source_row.tolist() == [[1, 2], [3]][number]
            assert journal.read("top/pooled", number, 0, 1)[0, 0] == [1, 3][number]


def test_a_torn_tail_of_old_content_is_not_taken_for_a_record(tmp_path: Path) -> None:
    path = tmp_path / "one.h5.part"
    whole = write(path, [1, 2], [3])
    end = len(write(path, [1, 2]))
    path.write_bytes(whole[:end] + bytes(len(whole) - end))  # what a power cut may leave
    with Journal(path) as journal:
        assert len(journal.records) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["top/pooled", "top/map"])
def test_a_feature_that_is_no_number_names_its_row(tmp_path: Path, bad: float, name: str) -> None:
    values = features(7, 9)
    values[name].reshape(2, -1)[1, 1] = bad
    with JournalWriter(tmp_path / "one.h5.part", opening(4, 7, 9)) as writer:
        # the first row is a copy: the values are of the second and the third
        told = f"{name} of row 9 is not a number"
        computed = np.array([False, True, True])
        with pytest.raises(FerError, match=told):
            writer.append(rows(4, 7, 9), computed, values)


def test_a_newer_journal_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.h5.part"
    with monkeypatch.context() as patch:
        patch.setattr("fer_features.cache.journal.JOURNAL_VERSION", 2)
        write(path)
    with pytest.raises(FerError, match="journal format 2 is newer"):
        Journal(path)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FerError, match="cannot be written"):
        JournalWriter(tmp_path / "file" / "one.h5.part", opening(1))
