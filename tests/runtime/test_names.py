from __future__ import annotations

import errno
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_features.data.csv import CsvFaces
from fer_features.data.folder import FolderFaces
from fer_features.data.tasks import BINARY, Task, load_task
from fer_features.errors import FerError, install_hint
from fer_features.runtime.console import print_line, print_message, table
from fer_features.runtime.text import checked_name, counted, file_stem, plain_text


@pytest.mark.parametrize(
    "name", ["", "  ", None, 7, ["a"], "a\nb", "\x1b[31m", "\u202e", "\ud800", "x" * 81]
)
def test_a_name_that_cannot_be_shown_is_an_error(name: object) -> None:
    with pytest.raises(FerError) as caught:
        checked_name(name, "the task's name")
    assert str(caught.value).isprintable()
    with pytest.raises(FerError):
        Task.from_dict({**BINARY.to_dict(), "name": name})
    classes = [{"name": name, "emotions": ["happy"]}, {"name": "b", "emotions": ["sad"]}]
    with pytest.raises(FerError):
        Task.from_dict({"name": "own", "classes": classes, "positive": None})


@pytest.mark.parametrize(
    "name", ["happy", "nicht fröhlich", "顔", "می\u200cخواهم", "../x", "x" * 80]
)
def test_other_names_stay_as_they_are(name: str) -> None:
    assert checked_name(name, "it") == name
    assert plain_text(name) == name


@pytest.mark.parametrize("name", [r"\u001b[31m", r"a\nb", "x" * 5000, ""])
def test_names_in_a_task_file_are_checked(tmp_path: Path, name: str) -> None:
    file = tmp_path / "own.toml"
    for text in (
        f'name = "{name}"\n[classes]\na = ["sad"]\nb = ["happy"]\n',
        f'[classes]\n"{name}" = ["sad"]\nb = ["happy"]\n',
    ):
        file.write_text(text)
        with pytest.raises(FerError, match=r"own\.toml"):
            load_task(str(file))


def test_the_file_of_a_task_gives_no_name_that_cannot_be_shown(tmp_path: Path) -> None:
    file = tmp_path / "a\x1b[31m.toml"
    file.write_text('[classes]\na = ["sad"]\nb = ["happy"]\n')
    with pytest.raises(FerError, match=r"x1b\[31m"):
        load_task(str(file))


@given(st.text(max_size=300))
def test_a_stem_stays_in_its_folder(text: str) -> None:
    stem = file_stem(text)
    assert stem.isprintable()
    assert Path("in", f"{stem}.png").parent == Path("in")
    assert 0 < len(stem.encode()) < 200
    assert not stem.startswith((".", "-")) or stem == text


def test_stems_of_different_texts_differ() -> None:
    assert file_stem("binary-d1-grouped-s0") == "binary-d1-grouped-s0"
    assert len({file_stem(one) for one in ("a/b", "a_b", "a\\b", "a:b", "a:b ", "..", "")}) == 7


def test_nothing_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[2J[/red]:smile:\ud800"
    print_line(f"{hostile}\nnext")
    print_message(hostile)
    table(["a"], [[hostile]], title=hostile, text_columns=["a"])
    out, err = capsys.readouterr()
    shown = r"\x1b[2J[/red]:smile:\ud800"
    assert out.startswith(f"{shown}\nnext\n{shown}\n")
    assert out.count(shown) == 3
    assert err == f"{shown}\n"


@pytest.mark.parametrize("name", ["evil\x1b[31m", "two\nlines"])
def test_a_source_has_a_name_that_can_be_printed(tmp_path: Path, name: str) -> None:
    assert CsvFaces(tmp_path / f"{name}.csv").name == plain_text(f"{name}.csv")
    (tmp_path / name).mkdir()
    assert FolderFaces(tmp_path / name).name == plain_text(name)
    assert plain_text(name).isprintable()


def test_a_full_output_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(FerError, match=r"output.*No space left"):
        print_line("a")


def test_extras_are_installed_from_the_source() -> None:
    assert install_hint() == "pip install ."
    assert install_hint("zstd") == 'pip install "hdf5plugin>=5"'  # works in any folder
    assert install_hint("no-extra") == 'pip install ".[no-extra]"'
    root = Path(__file__).parents[2]
    files = [*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("fer_features/**/*.py")]
    wrong = [
        file
        for file in files
        if "install" in (text := file.read_text())
        and ('"fer-features[' in text or "--upgrade fer-features" in text)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 faces"), (1, "1 face"), (2, "2 faces"), (2000, "2,000 faces")]
)
def test_a_count_has_its_noun_in_the_right_number(n: int, text: str) -> None:
    assert counted(n, "face") == text
