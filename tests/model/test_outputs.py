import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_features.errors import FerError
from fer_features.model.outputs import FileOutput, TableOutput, TextOutput
from fer_features.model.predictions import Prediction

CLASSES = ("dark", "bright")
COMMAND = {"model": "fake", "inputs": ["x"]}
NAMES = [
    "source", "frame", "time_s", "face", "x", "y", "w", "h", "face_score", "size_px", "status",
    "label", "p_dark", "p_bright", "model",
]  # fmt: skip


def rows_of(source: str) -> list[Prediction]:
    """What a file gives: a name's first letter says how many faces."""
    faces = int(source[0])
    if not faces:
        return [Prediction(source, status="no_face", model="fake")]
    return [
        Prediction(
            source, None, None, face, 1.25, 2, 30, 40, 0.98765, 40, "ok",
            label="dark", probabilities=(0.75, 0.25), model="fake",
        )
        for face in range(faces)
    ]  # fmt: skip


SOURCES = ["2 a.jpg", '1 "b", c.jpg', "0 line\nbreak.jpg", "3 d\udcff.jpg", "0 é.jpg", "2 f.jpg"]


def paths() -> Iterator[Path]:
    return map(Path, SOURCES)


def write(path: Path, *, force: bool = False) -> int:
    """Write or resume all sources; the number that were there."""
    output = FileOutput(path, COMMAND, CLASSES, force=force)
    sources = paths()
    done = output.open(sources)
    for source in sources:
        output.write(rows_of(str(source)))
    output.finish(len(SOURCES))
    output.close()
    return done


def test_csv_has_the_columns_of_the_contract() -> None:
    text = io.StringIO()
    output = TextOutput(text, CLASSES)
    output.write(rows_of("1 a.jpg"))
    header, row = csv.reader(io.StringIO(text.getvalue()))
    assert header == NAMES
    assert row == [
        "1 a.jpg", "", "", "0", "1.2", "2.0", "30.0", "40.0", "0.9877", "40.0", "ok", "dark",
        "0.75", "0.25", "fake",
    ]  # fmt: skip


def test_json_lines_have_the_same_names() -> None:
    text = io.StringIO()
    TextOutput(text, CLASSES, suffix=".jsonl").write(rows_of("0 a.jpg"))
    row = json.loads(text.getvalue())
    assert list(row) == NAMES
    assert (row["status"], row["face"], row["p_dark"]) == ("no_face", None, None)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_file_cut_at_any_byte_resumes_to_the_same_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write(path)
    whole = path.read_bytes()
    done = set()
    for end in range(0, len(whole), 19):
        path.write_bytes(whole[:end])
        (tmp_path / f"out{suffix}.json").write_text(json.dumps({"command": COMMAND}))
        done.add(write(path))
        assert path.read_bytes() == whole, end
    assert done == set(range(len(SOURCES)))


def test_a_complete_file_is_known_and_of_another_command_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write(path)
    assert FileOutput(path, COMMAND, CLASSES, force=False).sources == len(SOURCES)
    for other in ({**COMMAND, "model": "other"}, {}):
        with pytest.raises(FerError, match="--force"):
            FileOutput(path, other, CLASSES, force=False)
    assert write(path, force=True) == 0


def test_a_file_that_no_command_is_known_of_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text("my,own\n")
    with pytest.raises(FerError, match="--force"):
        FileOutput(path, COMMAND, CLASSES, force=False)
    assert path.read_text() == "my,own\n"


def test_inputs_that_have_changed_since_are_said(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write(path)
    output = FileOutput(path, COMMAND, CLASSES, force=False)
    with pytest.raises(FerError, match="inputs now have 0 new"):
        output.open(iter([Path("0 new.jpg"), *paths()]))


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FerError, match=r"neither \.csv nor \.jsonl"):
        FileOutput(tmp_path / "out.txt", COMMAND, CLASSES, force=False)


def test_a_table_is_drawn_page_by_page(capsys: pytest.CaptureFixture[str]) -> None:
    output = TableOutput()
    for _ in range(60):
        output.write(rows_of("2 a.jpg"))
    assert capsys.readouterr().out.count("dark") == 100
    output.write([Prediction("v.mp4", 7, 0.28, status="no_face")])
    output.close()
    rest = capsys.readouterr().out
    assert rest.count("dark") == 20
    assert "0.28 s" in rest


def test_a_reason_is_not_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    output = TableOutput()
    output.write([Prediction("a.jpg", status="unreadable", reason="it is no picture")])
    output.close()
    shown = capsys.readouterr().out
    assert "unreadable" in shown
    assert "it is" not in shown
