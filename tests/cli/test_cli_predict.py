import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from fer_features.cli import app
from fer_features.config import PredictConfig, ServeConfig
from fer_features.runtime.flags import flags_of
from tests.model.fakes import FakeDetector, FakeModel, drawn, save, write_video

ONE = drawn((10, 20, 40, 255))
TWO = drawn((10, 20, 40, 255), (100, 10, 60, 102))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures: a.png two faces, b.jpg damaged, c.png none, d/e.png a small one."""
    monkeypatch.setattr("fer_features.model.load.load_model", lambda _: FakeModel())
    monkeypatch.setattr("fer_features.detect.detector.Detector", FakeDetector)
    monkeypatch.chdir(tmp_path)
    save(Path("in/a.png"), TWO)
    Path("in/b.jpg").write_bytes(b"no picture")
    save(Path("in/c.png"), drawn())
    save(Path("in/d/e.png"), drawn((0, 0, 24, 255)))
    return tmp_path


def fer(*args: str) -> Result:
    return CliRunner().invoke(app, ["predict", *args])


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_folder_as_csv_on_stdout_and_the_rest_on_stderr() -> None:
    result = fer("in")
    assert result.exit_code == 0, result.stderr
    found = rows(result.stdout)
    assert [(one["source"], one["status"]) for one in found] == [
        ("in/a.png", "ok"),
        ("in/a.png", "ok"),
        ("in/b.jpg", "unreadable"),
        ("in/c.png", "no_face"),
        ("in/d/e.png", "ok"),
    ]
    assert "unreadable: in/b.jpg: it is no picture of a known type" in result.stderr
    assert "1 face of 20 to 32 pixels" in result.stderr
    assert "4 pictures, 3 faces (ok 3, unreadable 1, no_face 1)" in result.stderr


def test_json_is_one_object_with_the_rows() -> None:
    value = json.loads(fer("in", "--json").stdout)
    assert (value["pictures"], value["faces"], value["small"]) == (4, 3, 1)
    assert value["statuses"] == {"ok": 3, "unreadable": 1, "no_face": 1}
    assert [one["label"] for one in value["rows"]] == ["dark", "bright", None, None, "bright"]


def test_pictures_outside_the_region_are_counted() -> None:
    save(Path("in/wide.png"), drawn((300, 10, 60, 255), size=(400, 120)))
    result = fer("in", "--region", "290,0,200,100")
    assert result.exit_code == 0, result.stderr
    found = {one["source"]: one["status"] for one in rows(result.stdout)}
    assert found["in/wide.png"] == "ok"  # the region is partly in it
    assert (found["in/a.png"], found["in/b.jpg"]) == ("no_face", "unreadable")
    assert "note: 3 pictures lie outside --region\n" in result.stderr
    assert (
        json.loads(fer("in", "--region", "290,0,200,100", "--json").stdout)["outside_region"] == 3
    )


@pytest.mark.parametrize("faces", ["found", "whole"])
def test_a_region_outside_every_picture_is_an_error(faces: str) -> None:
    for _ in range(2):  # no file is left that the same command would take to be complete
        result = fer("in", "--faces", faces, "--region", "900,0,50,50", "--out", "out.csv")
        assert result.exit_code == 2
        assert result.stderr.splitlines()[-2] == "error: every picture lies outside --region"
        assert not [*Path().glob("out.csv*")]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_an_interrupted_file_resumes_to_the_same_file(suffix: str) -> None:
    out = Path(f"out.{suffix}")
    command = ("in", "--out", str(out))
    assert fer(*command).exit_code == 0
    whole, about = out.read_text(), json.loads(Path(f"{out}.json").read_text())
    assert "nothing to do" in fer(*command).stderr
    del about["sources"]
    lines = whole.splitlines(keepends=True)
    for kept in range(len(lines)):
        out.write_text("".join(lines[:kept]) + lines[kept][:5])
        Path(f"{out}.json").write_text(json.dumps(about))
        assert fer(*command).exit_code == 0
        assert out.read_text() == whole


def test_a_file_of_other_options_is_not_overwritten() -> None:
    assert fer("in", "--out", "out.csv").exit_code == 0
    before = Path("out.csv").read_text()
    for other in (["--largest"], ["--faces", "whole"], ["--region", "0,0,9,9"]):
        refused = fer("in", "--out", "out.csv", *other)
        assert refused.exit_code == 2
        assert "--force" in refused.stderr
        assert Path("out.csv").read_text() == before
    assert fer("in", "--out", "out.csv", "--largest", "--force").exit_code == 0
    assert len(rows(Path("out.csv").read_text())) == 4


def test_mistakes_are_told_before_anything_is_read() -> None:
    for args, words in {
        (): "Missing argument 'INPUT'",
        ("in", "nowhere.jpg"): "nowhere.jpg does not exist",
        ("in", "--every", "0"): "--every 0",
        ("in", "--region", "1,2,3"): "--region 1,2,3",
        ("in", "--faces", "half"): "no such --faces: half",
        ("in", "--out", "out.txt"): "neither .csv nor .jsonl",
        ("in", "--annotate", "in"): "--annotate in",
        ("in", "--annotate", "in/d/out"): "--annotate in/d/out",
    }.items():
        result = fer(*args, *([] if "--out" in args else ["--out", "out.csv"]))
        assert result.exit_code == 2
        assert words in result.stderr
        assert not Path("out.csv").exists()


def test_annotated_pictures_keep_their_folders_and_show_the_boxes(folder: Path) -> None:
    assert fer("in", "--annotate", "seen", "--out", "out.csv").exit_code == 0
    written = sorted(one.relative_to("seen").as_posix() for one in Path("seen").rglob("*.*"))
    assert written == ["a.png", "c.png", "d/e.png"]
    seen = np.asarray(Image.open("seen/a.png"))
    assert seen.shape == (*TWO.shape, 3)
    assert seen[40, 10].tolist() == [0x1F, 0x9D, 0x55]  # the left edge of the box


def test_the_frames_of_a_video_that_are_taken_are_annotated() -> None:
    pictures: list[Any] = [ONE, drawn(), TWO, ONE]
    write_video(Path("v.mp4"), pictures, [0, 500, 600, 2000])
    result = fer("v.mp4", "--every", "2", "--annotate", "seen")
    assert result.exit_code == 0, result.stderr
    found = [(one["frame"], one["time_s"], one["face"]) for one in rows(result.stdout)]
    assert found == [("0", "0.0", "0"), ("2", "0.6", "0"), ("2", "0.6", "1")]
    assert sorted(one.name for one in Path("seen/v.mp4").iterdir()) == ["000000.jpg", "000002.jpg"]


def test_the_help_says_what_it_is_about() -> None:
    words = " ".join(fer("--help").stdout.replace("│", " ").split())
    assert "not about what a person feels" in words
    assert "fer model show" in words
    assert "[OPTIONS] {INPUT}..." in words


def test_predict_and_serve_describe_their_model_alike() -> None:
    flags = [
        next(flag for field, _, flag in flags_of(kind) if field.name == "model")
        for kind in (PredictConfig, ServeConfig)
    ]
    assert flags[0] == flags[1]
