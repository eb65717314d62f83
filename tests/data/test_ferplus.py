import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_features.config import EMOTIONS
from fer_features.data.faces import pixel_sha256
from fer_features.data.ferplus import (
    COLUMNS,
    Stretch,
    Votes,
    find_stretch,
    majority,
    not_a_face,
    read_ferplus,
    soft,
)
from fer_features.data.tasks import conflicting, rows_to_drop
from fer_features.errors import FerError

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
    ("line", "wrong"),
    [
        ("Trainig,a.png,4,0,0,1,3,2,0,0,0,0", "trainig"),
        ("Training,a.png,4,x,0,1,3,2,0,0,0,0", "vote"),
        ("Training,a.png,4,-1,0,1,3,2,0,0,0,0", "vote"),
        ("Training,a.png,4", r"\b3\b"),
        ("Training,a.png,4,1_0,0,1,3,2,0,0,0,0", "vote"),
        ("Training,a.png,4,99999999999999999999,0,1,3,2,0,0,0,0", "vote"),
        ("Training,a.png,4,0,0,1,3,2,0,0,0,0,0", r"\b13\b"),
    ],
)
def test_an_error_names_the_row_of_a_bad_line(tmp_path: Path, line: str, wrong: str) -> None:
    with pytest.raises(FerError, match=rf"row 0\b.*{wrong}"):
        read_ferplus(write(tmp_path, line))


def test_a_file_without_votes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FerError, match=r"nowhere\.csv"):
        read_ferplus(tmp_path / "nowhere.csv")
    (tmp_path / "other.csv").write_text("emotion,pixels\n0,1\n")
    with pytest.raises(FerError, match="Usage"):
        read_ferplus(tmp_path / "other.csv")
    with pytest.raises(FerError, match=r"votes\.csv"):
        read_ferplus(write(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\n\n  \n"),
        lambda text: text.lower(),
        lambda text: text.upper(),
        lambda text: text.replace(",", " , "),
        lambda text: text.replace("3", "3.0"),
    ],
    ids=["bom", "crlf", "blank-lines", "lower", "upper", "blanks", "decimals"],
)
def test_other_ways_to_write_the_same_votes(tmp_path: Path, change: Callable[[str], str]) -> None:
    path = write(
        tmp_path, "Training,a.png,4,0,0,1,3,2,0,0,0,0", "PublicTest,a.png,0,9,0,0,0,0,0,0,1,0"
    )
    path.write_bytes(change(path.read_text()).encode())
    found = read_ferplus(path)
    assert found.counts.tolist() == [[4, 0, 0, 1, 3, 2, 0, 0, 0, 0], [0, 9, 0, 0, 0, 0, 0, 0, 1, 0]]
    assert found.usage.tolist() == [0, 1]


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text(f"{HEADER},Fear\nTraining,a.png,4,0,0,1,3,2,0,0,0,0,0\n")
    with pytest.raises(FerError, match=" fear "):
        read_ferplus(path)


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


def test_votes_in_another_order_are_refused() -> None:
    four = votes(*[{"happiness": 9}, {"sadness": 9}, {"anger": 9}, {"fear": 9}])
    emotion, usage = np.array([3, 4, 0, 2], np.int8), np.zeros(4, np.int8)
    rows = np.arange(4)
    assert majority(four.of(rows[2:], usage=usage[2:], emotion=emotion[2:])).tolist() == [0, 2]
    with pytest.raises(FerError, match=" images"):
        four.of(rows, usage=usage, emotion=emotion[::-1])
    with pytest.raises(FerError, match=r"row 2\b.*PrivateTest.*Training"):
        four.of(rows, usage=np.array([0, 0, 2, 0], np.int8), emotion=emotion)
    with pytest.raises(FerError, match=r"\b3\b.*\b4\b"):
        four.of(np.array([4]), usage=usage[:1], emotion=emotion[:1])
    assert len(four.of(rows, usage=usage - 1, emotion=emotion)) == 4  # no usage to compare with


RATES = np.array([0.52, 0.38, 0.14, 0.93, 0.43, 0.82, 0.88])
"""How often voters choose the label, by the label."""


def made_up(
    emotion: NDArray[np.int8], *, seed: int = 0, rates: NDArray[np.float64] = RATES
) -> Votes:
    """Votes that agree with the labels as often as `rates` have it, else say something else."""
    rng = np.random.default_rng(seed)
    other = (emotion + rng.integers(1, 7, len(emotion))) % 7
    voted = np.where(rng.random(len(emotion)) < rates[emotion], emotion, other)
    names = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    counts = np.zeros((len(emotion), len(COLUMNS)), np.int64)
    counts[np.arange(len(emotion)), [COLUMNS.index(names[code]) for code in voted]] = 9
    return Votes(counts=counts, usage=np.repeat([0, 1, 2], [len(emotion) - 800, 400, 400]))


def labels(n: int, *, seed: int = 1) -> NDArray[np.int8]:
    shares = [0.14, 0.02, 0.14, 0.25, 0.17, 0.11, 0.17]
    return np.random.default_rng(seed).choice(7, n, p=shares).astype(np.int8)


def slipped(some: Votes, first: int, last: int) -> Votes:
    """The votes with those on `first` … `last` - 1 one row too late."""
    counts = some.counts.copy()
    counts[first + 1 : last] = some.counts[first : last - 1]
    return Votes(counts=counts, usage=some.usage)


@pytest.mark.parametrize("first", [0, 2000, 4100, 4300])
@pytest.mark.parametrize("known", [True, False], ids=["usage", "no-usage"])
def test_votes_that_slip_by_a_row_for_300_rows_are_refused(first: int, known: bool) -> None:
    emotion = labels(5000)
    some = made_up(emotion)
    usage = some.usage if known else np.full(5000, -1)
    rows = np.arange(5000)
    assert len(some.of(rows, usage=usage, emotion=emotion, total=5000)) == 5000
    with pytest.raises(FerError, match="row") as caught:
        slipped(some, first, first + 300).of(rows, usage=usage, emotion=emotion)
    found = re.search(r"row ([\d,]+) of (\w+) to row ([\d,]+)", caught.value.message)
    assert found
    assert abs(int(found[1].replace(",", "")) - first) < 20
    assert found[2] == ("Training" if first < 4200 else "PublicTest")
    assert abs(int(found[3].replace(",", "")) - first - 300) < 20


def test_a_slip_of_most_rows_is_refused_with_its_first_row() -> None:
    emotion = labels(5000)
    some = slipped(made_up(emotion), 1000, 5000)
    assert (majority(some) == emotion).mean() < 0.4
    with pytest.raises(FerError, match=r"row (9[89]\d|1,0[01]\d) of Training"):
        some.of(np.arange(5000), usage=some.usage, emotion=emotion)
    some = slipped(made_up(emotion), 0, 5000)
    with pytest.raises(FerError, match=" images"):
        some.of(np.arange(5000), usage=some.usage, emotion=emotion)


def test_a_slip_is_found_among_the_rows_of_a_task_that_has_half_of_them() -> None:
    emotion = labels(5000)
    rows = np.flatnonzero(np.isin(emotion, [0, 2, 3, 4]))[::2]
    some = made_up(emotion)
    chosen = {"usage": some.usage[rows], "emotion": emotion[rows]}
    assert len(some.of(rows, **chosen)) == len(rows)
    with pytest.raises(FerError, match=r"row [12],\d{3} of Training"):
        slipped(some, 2000, 3000).of(rows, **chosen)


@pytest.mark.parametrize("n", [0, 1, 7, 40, 400])
def test_few_rows_and_rows_sorted_by_label_raise_no_alarm(n: int) -> None:
    for seed in range(20):
        for emotion in (labels(n, seed=seed), np.sort(labels(n, seed=seed))):
            other = np.random.default_rng(seed).permutation(emotion)
            agree = np.random.default_rng(seed + 99).random(n) < 0.66
            assert find_stretch(np.where(agree, emotion, other), emotion) is None
            assert find_stretch(emotion, emotion) is None


def test_voters_who_see_some_labels_otherwise_in_a_stretch_are_no_slip() -> None:
    emotion = np.tile(np.array([3, 4], np.int8), 100)
    voted = emotion.copy()
    voted[20:70] = 3  # 25 of sad called happy, and 25 of happy, too
    assert find_stretch(voted, emotion) is None
    voted[20:70] = 7 - emotion[20:70]
    found = find_stretch(voted, emotion)
    assert found == Stretch(first=20, last=69, agreement=0.0, usual=1.0)


def test_labels_on_which_voters_disagree_are_no_slip() -> None:
    emotion = np.sort(labels(5000))  # some 700 of fear in a row, of which 14 % agree
    some = made_up(emotion)
    rows = np.arange(5000)
    assert len(some.of(rows, usage=some.usage, emotion=emotion)) == 5000
    fear = np.flatnonzero(np.isin(emotion, [1, 2]))
    assert len(some.of(fear, usage=some.usage[fear], emotion=emotion[fear])) == len(fear)


def test_another_number_of_rows_is_refused_with_both_numbers() -> None:
    emotion = labels(2000)
    some = made_up(emotion)
    rows = np.arange(1999)
    data = {"usage": some.usage[1:], "emotion": emotion[:1999]}
    with pytest.raises(FerError) as caught:
        some.of(rows, **data, total=1999)
    assert "2,000" in caught.value.message
    assert "1,999" in caught.value.message
    with pytest.raises(FerError, match="2,001"):
        some.of(rows, **data, total=2001)  # two are left out


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


def test_a_reason_that_cannot_be_used_is_an_error() -> None:
    nothing = {"emotion": np.zeros(1, np.int8), "sha256": np.array([b"a"])}
    with pytest.raises(FerError, match="notface"):
        rows_to_drop(["notface"], **nothing)
    with pytest.raises(FerError, match="ugly"):
        rows_to_drop(["ugly"], **nothing)
    assert not conflicting(nothing["emotion"], nothing["sha256"]).any()
