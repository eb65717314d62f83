import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_features.data.tasks import BINARY, SEVEN, Task, choose_rows, load_task
from fer_features.errors import FerError

EMOTION = np.arange(7, dtype=np.int8)


def test_binary_is_happy_against_angry_fear_sad() -> None:
    # angry, disgust, fear, happy, sad, surprise, neutral
    assert BINARY.labels(EMOTION).tolist() == [0, -1, 0, 1, 0, -1, -1]
    assert BINARY.class_names == ("not happy", "happy")
    assert BINARY.positive == "happy"


def test_seven_keeps_every_emotion_apart() -> None:
    assert SEVEN.labels(EMOTION).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_a_task_survives_json() -> None:
    # sorted keys included: "happy" sorts before "not happy", and must stay class 1
    text = json.dumps(BINARY.to_dict(), sort_keys=True)
    assert Task.from_dict(json.loads(text)) == BINARY


def test_a_file_makes_a_task(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[classes]\nbad = ["angry", "sad"]\ngood = ["happy", "surprise"]\n')
    task = load_task(str(file))
    assert task.name == "mine"
    assert task.positive == "good"
    assert task.labels(EMOTION).tolist() == [0, -1, -1, 1, 0, 1, -1]


@pytest.mark.parametrize(
    ("text", "datum"),
    [
        ("[classes]\na = ['happy']\n", r"\btwo\b"),
        ("[classes]\na = ['happy']\nb = ['joy']\n", "joy"),
        ("[classes]\na = ['happy']\nb = ['sad', 'happy']\n", "happy"),
        ("[classes]\na = ['happy']\nb = []\n", "emotion"),
        ("positive = 'c'\n[classes]\na = ['happy']\nb = ['sad']\n", "positive"),
        ("colour = 1\n[classes]\na = ['happy']\nb = ['sad']\n", "colour"),
        ("name = 7\n[classes]\na = ['happy']\nb = ['sad']\n", "name"),
        ("[classes\n", r"task\.toml"),
        ("positive = ['a']\n[classes]\na = ['happy']\nb = ['sad']\n", "positive"),
        ("positive = {a = 1}\n[classes]\na = ['happy']\nb = ['sad']\n", "positive"),
        ("positive = 1\n[classes]\na = ['happy']\nb = ['sad']\n", "positive"),
        ("[classes]\n'' = ['happy']\nb = ['sad']\n", "class"),
        ("[classes]\n'  ' = ['happy']\nb = ['sad']\n", "class"),
        ("[classes]\n' a' = ['happy']\nb = ['sad']\n", "' a'"),
        ('[classes]\n"a\\nb" = ["happy"]\nb = ["sad"]\n', r"a\\nb"),
        ('[classes]\n"\\u001b[2J" = ["happy"]\nb = ["sad"]\n', r"x1b\[2J"),
        (f"[classes]\n{'a' * 5000} = ['happy']\nb = ['sad']\n", "5,000"),
        ("name = ''\n[classes]\na = ['happy']\nb = ['sad']\n", "name"),
        ('name = "a\\nb"\n[classes]\na = ["happy"]\nb = ["sad"]\n', r"name .*a\\nb"),
        ("[classes]\na = 'happy'\nb = ['sad']\n", "classes"),
        ("[classes]\na = [['happy']]\nb = ['sad']\n", "classes"),
        ("[classes]\na = [3]\nb = ['sad']\n", "classes"),
        ("classes = ['happy', 'sad']\n", "classes"),
        ("", "classes"),
        (f"name = {'[' * 5000}\n", r"task\.toml"),
        (f"name = {'1' * 5000}\n", r"task\.toml"),
    ],
)
def test_the_error_of_a_bad_file_names_it_and_the_datum(
    tmp_path: Path, text: str, datum: str
) -> None:
    file = tmp_path / "task.toml"
    file.write_text(text)
    with pytest.raises(FerError, match=datum) as caught:
        load_task(str(file))
    assert str(file) in caught.value.message


VALUES = st.recursive(
    st.sampled_from(["true", "1", "-1.5", "nan", "1979-05-27", "''", "'a'", "'happy'", "'sad'"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")
        | st.lists(inner, max_size=2).map(
            lambda parts: "{" + ", ".join(f"k{n} = {one}" for n, one in enumerate(parts)) + "}"
        )
    ),
    max_leaves=4,
)
KEYS = st.sampled_from(["a", "b", "''", "' '", '"\\n"', "'é'"])


@settings(deadline=None)
@given(
    top=st.dictionaries(st.sampled_from(["name", "positive", "classes", "x"]), VALUES, max_size=3),
    classes=st.none() | st.dictionaries(KEYS, VALUES | st.just("['fear']"), max_size=3),
    junk=st.just("") | st.text(max_size=20),
)
def test_any_file_gives_a_task_or_an_error_for_its_author(
    tmp_path_factory: pytest.TempPathFactory,
    top: dict[str, str],
    classes: dict[str, str] | None,
    junk: str,
) -> None:
    lines = [f"{key} = {value}" for key, value in top.items()]
    if classes is not None:
        lines += ["[classes]", *(f"{key} = {value}" for key, value in classes.items())]
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes("\n".join([*lines, junk]).encode("utf-8", "surrogatepass"))
    try:
        task = load_task(str(file))
    except FerError:
        return
    assert Task.from_dict(json.loads(json.dumps(task.to_dict()))) == task
    assert (task.labels(EMOTION) < len(task.classes)).all()
    assert all(name.strip() for name in (task.name, *task.class_names))


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[classes]\na = ['happy']\nb = ['sad']\n", encoding="utf-8-sig")
    assert load_task(str(file)).class_names == ("a", "b")


@pytest.mark.parametrize("task", ["a" * 5000, "\0", "~nobody-of-that-name/x", "", "."])
def test_what_cannot_be_a_path_is_no_task(task: str) -> None:
    with pytest.raises(FerError, match="binary"):
        load_task(task)


def test_an_unknown_task_names_the_known_ones() -> None:
    with pytest.raises(FerError) as caught:
        load_task("eight")
    assert all(name in caught.value.hint for name in ("binary", "seven"))


def test_the_default_is_the_smallest_class() -> None:
    emotion = np.array([3, 3, 3, 0, 2, 5, 6], np.int8)  # three happy, two of the others
    rows = choose_rows(BINARY, emotion)
    assert np.bincount(BINARY.labels(emotion[rows])).tolist() == [2, 2]
    assert set(rows) >= {3, 4}


def test_binary_takes_8500_of_each_where_there_are_that_many() -> None:
    emotion = np.repeat(np.array([3, 0, 2], np.int8), [9000, 6000, 4000])
    rows = choose_rows(BINARY, emotion)
    assert np.bincount(BINARY.labels(emotion[rows])).tolist() == [8500, 8500]


def test_all_takes_every_row_of_every_class() -> None:
    emotion = np.array([3, 3, 0, 5, 3], np.int8)
    assert choose_rows(BINARY, emotion, per_class="all").tolist() == [0, 1, 2, 4]


def test_too_few_rows_is_an_error_with_the_counts() -> None:
    emotion = np.array([3, 3, 0], np.int8)
    with pytest.raises(FerError, match=r"\b1\b.*'not happy'.*\b2\b.* 'happy'") as caught:
        choose_rows(BINARY, emotion, per_class=2)
    assert "--per-class 1" in caught.value.hint


def test_a_class_without_images_is_an_error() -> None:
    with pytest.raises(FerError, match=r"\b0\b.*'not happy'"):
        choose_rows(BINARY, np.array([3, 3], np.int8), per_class="all")


@given(st.lists(st.sampled_from([0, 2, 3, 4, 6]), min_size=2, max_size=60), st.integers(0, 9))
def test_the_choice_is_balanced_ascending_and_repeats_by_seed(codes: list[int], seed: int) -> None:
    emotion = np.array([3, 0, *codes], np.int8)
    rows = choose_rows(BINARY, emotion, seed=seed)
    counts = np.bincount(BINARY.labels(emotion[rows]))
    assert counts[0] == counts[1]
    assert (np.diff(rows) > 0).all()
    assert rows.tolist() == choose_rows(BINARY, emotion, seed=seed).tolist()


def test_another_seed_draws_other_rows() -> None:
    emotion = np.repeat(np.array([3, 0], np.int8), [50, 10])
    first, second = (choose_rows(BINARY, emotion, seed=seed).tolist() for seed in (0, 1))
    assert first != second
