from pathlib import Path

import numpy as np
import pytest

from fer_features.errors import FerError
from fer_features.faces.drop import conflicting, rows_to_drop
from fer_features.faces.ferplus import (
    COLUMNS,
    Votes,
    agreement,
    majority,
    not_a_face,
    read_ferplus,
    soft,
)
from fer_features.faces.record import EMOTIONS, pixel_sha256

HEADER = f"Usage,Image name,{','.join(COLUMNS)}"


def write(folder: Path, *lines: str) -> Path:
    path = folder / "votes.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def votes(*rows: dict[str, int]) -> Votes:
    counts = np.array([[row.get(name, 0) for name in COLUMNS] for row in rows])
    return Votes(counts=counts, usage=np.zeros(len(rows), np.int8))


def test_a_file_is_read_in_the_order_of_its_rows(tmp_path: Path) -> None:
    path = write(tmp_path, "Training,a.png,4,0,0,1,3,2,0,0,0,0", "PrivateTest,,0,9,0,0,0,0,0,0,1,0")
    found = read_ferplus(path)
    assert found.counts.tolist() == [[4, 0, 0, 1, 3, 2, 0, 0, 0, 0], [0, 9, 0, 0, 0, 0, 0, 0, 1, 0]]
    assert found.usage.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Trainig,a.png,4,0,0,1,3,2,0,0,0,0", "row 0: no such usage: Trainig"),
        ("Training,a.png,4,x,0,1,3,2,0,0,0,0", "row 0: a vote that is no whole number"),
        ("Training,a.png,4,-1,0,1,3,2,0,0,0,0", "row 0: a vote that is no whole number"),
        ("Training,a.png,4", "row 0: a vote that is no whole number"),
    ],
)
def test_a_bad_line_is_told_by_its_row(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(FerError, match=told):
        read_ferplus(write(tmp_path, line))


def test_what_is_no_file_of_votes_is_told(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="cannot be read"):
        read_ferplus(tmp_path / "nowhere.csv")
    (tmp_path / "other.csv").write_text("emotion,pixels\n0,1\n")
    with pytest.raises(FerError, match="not a file of FER"):
        read_ferplus(tmp_path / "other.csv")
    with pytest.raises(FerError, match="no votes"):
        read_ferplus(write(tmp_path))


def test_the_majority_is_an_emotion_code_or_none() -> None:
    found = majority(
        votes(
            {"happiness": 6, "neutral": 4},
            {"anger": 5, "sadness": 5},  # a tie
            {"contempt": 6, "anger": 4},
            {"unknown": 10},
            {"NF": 9, "fear": 1},
            {"neutral": 3, "fear": 2, "surprise": 2},
            {},
        )
    )
    happy, neutral = EMOTIONS.index("happy"), EMOTIONS.index("neutral")
    assert found.tolist() == [happy, -1, -1, -1, -1, neutral, -1]


def test_shares_are_of_the_seven_emotions_alone() -> None:
    found = soft(votes({"happiness": 3, "sadness": 1, "contempt": 4}, {"NF": 10}))
    assert found[0, EMOTIONS.index("happy")] == 0.75
    assert found[0, EMOTIONS.index("sad")] == 0.25
    assert found[1].tolist() == [0.0] * 7


def test_no_face_needs_the_most_votes() -> None:
    assert not_a_face(votes({"NF": 6, "sadness": 4}, {"NF": 5, "sadness": 5})).tolist() == [
        True,
        False,
    ]


def test_agreement_is_over_images_with_a_majority() -> None:
    some = votes({"happiness": 9}, {"sadness": 9}, {"NF": 9})
    assert agreement(some, np.array([3, 3, 3], np.int8)) == 0.5


def test_votes_in_another_order_are_refused() -> None:
    four = votes(*[{"happiness": 9}, {"sadness": 9}, {"anger": 9}, {"fear": 9}])
    emotion, usage = np.array([3, 4, 0, 2], np.int8), np.zeros(4, np.int8)
    rows = np.arange(4)
    assert majority(four.of(rows[2:], usage=usage[2:], emotion=emotion[2:])).tolist() == [0, 2]
    with pytest.raises(FerError, match="in another order"):
        four.of(rows, usage=usage, emotion=emotion[::-1])
    with pytest.raises(FerError, match="not in the same order"):
        four.of(rows, usage=np.array([0, 0, 2, 0], np.int8), emotion=emotion)
    with pytest.raises(FerError, match="the votes end at row 3"):
        four.of(np.array([4]), usage=usage[:1], emotion=emotion[:1])
    assert len(four.of(rows, usage=usage - 1, emotion=emotion)) == 4  # no usage to compare with


def test_rows_to_drop_by_each_reason() -> None:
    images = np.zeros((5, 48, 48), np.uint8)
    images[0] = 7
    images[1:, 0, 0] = [1, 1, 2, 2]
    emotion = np.array([3, 3, 4, 0, 0], np.int8)
    found = rows_to_drop(
        ["constant", "conflict", "notface"],
        emotion=emotion,
        sha256=pixel_sha256(images),
        votes=votes({}, {}, {}, {"NF": 3}, {}),
    )
    assert found["constant"].tolist() == [True, False, False, False, False]
    assert found["conflict"].tolist() == [False, True, True, False, False]
    assert found["notface"].tolist() == [False, False, False, True, False]


def test_a_reason_that_cannot_be_used_is_told() -> None:
    nothing = {"emotion": np.zeros(1, np.int8), "sha256": np.array([b"a"])}
    with pytest.raises(FerError, match="told by votes"):
        rows_to_drop(["notface"], **nothing)
    with pytest.raises(FerError, match="no such rows to drop: ugly"):
        rows_to_drop(["ugly"], **nothing)
    assert not conflicting(nothing["emotion"], nothing["sha256"]).any()
