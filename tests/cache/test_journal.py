from pathlib import Path

import numpy as np
import pytest
from examples import COLUMNS, HEADER, SOFTWARE, features, merge, rows, selection
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_features.cache import Journal
from fer_features.cache.journal import JournalWriter
from fer_features.errors import FerError


def write(path: Path, *batches: list[int]) -> bytes:
    requested = selection(*range(20))
    with JournalWriter(
        path, header=HEADER, selection=requested, software=SOFTWARE, columns=COLUMNS
    ) as writer:
        for batch in batches:
            writer.append(rows(*batch), features(*batch))
    return path.read_bytes()


def test_what_was_added_is_read(tmp_path: Path) -> None:
    path = tmp_path / "one.h5.part"
    write(path, [4, 7], [9, 10])
    with Journal(path) as journal:
        assert (journal.header, journal.software) == (HEADER, [SOFTWARE])
        assert journal.selections[0].rows.tolist() == list(range(20))
        assert journal.columns == COLUMNS
        assert journal.rows.source_row.tolist() == [4, 7, 9, 10]
        assert journal.rows.sha256[3] == b"%064d" % 10
        found = journal.gather("top/pooled", np.array([0, 1, 3]))
        assert found.tolist() == [[4, -4], [7, -7], [10, -10]]
        assert journal.gather("top/map", np.array([2])).tolist() == [[[[9, -9], [9, -9]]]]
        assert not journal.torn


def test_a_journal_cut_anywhere_keeps_its_complete_records(tmp_path: Path) -> None:
    path = tmp_path / "one.h5.part"
    ends = [len(write(path)), len(write(path, [1, 2])), len(write(path, [1, 2], [3]))]
    content = path.read_bytes()
    for kept in range(len(content) + 1):
        path.write_bytes(content[:kept])
        with Journal(path) as journal:
            assert bool(journal.header.key) == (kept >= ends[0])
            assert len(journal.rows) == 2 * (kept >= ends[1]) + (kept >= ends[2])
            assert journal.torn == (kept not in ends)


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
        assert journal.torn
        assert journal.rows.source_row.tolist() in ([], [1, 2])
        if len(journal.rows):
            assert journal.gather("top/pooled", np.array([0, 1]))[:, 0].tolist() == [1, 2]


def test_a_torn_tail_of_old_content_is_not_taken_for_a_record(tmp_path: Path) -> None:
    path = tmp_path / "one.h5.part"
    whole = write(path, [1, 2], [3])
    end = len(write(path, [1, 2]))
    path.write_bytes(whole[:end] + bytes(len(whole) - end))  # what a power cut may leave
    with Journal(path) as journal:
        assert journal.rows.source_row.tolist() == [1, 2]
        assert journal.torn


def test_a_newer_journal_is_an_error_and_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.h5.part"
    with monkeypatch.context() as patch:
        patch.setattr("fer_features.cache.journal.JOURNAL_VERSION", 3)
        before = write(path, [1])
    with pytest.raises(FerError, match=r"one\.h5\.part.* 3\b") as caught:
        merge(tmp_path / "one.h5")
    assert "git pull" in caught.value.hint
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FerError, match=r"one\.h5\.part.* Not a directory"):
        write(tmp_path / "file" / "one.h5.part")
