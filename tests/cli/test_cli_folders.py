"""Folders of pictures through the commands: classes left out or mapped, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from fer_features.cache import Cache
from fer_features.cli import app
from fer_features.cli.figures import faces_grid
from fer_features.config import ExtractConfig, FitConfig
from fer_features.data import EMOTIONS, Faces
from fer_features.extract.extract import extract
from fer_features.fit.fit import fit_each
from fer_features.runtime.flags import parse_class_map

COMMANDS = [
    ["data", "info"],
    ["data", "show"],
    ["data", "audit"],
    ["extract", "--backbone", "pixels"],
    ["pretrain"],
]
ALL = {"backbone": "pixels", "task": "binary", "per_class": "all"}


def fer(*args: str) -> Result:
    return CliRunner().invoke(app, args)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve faces each of happy, sad and contempt in train, four each in test, and a text."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 4)):
        for name in ("happy", "sad", "contempt"):
            (tmp_path / "faces" / part / name).mkdir(parents=True)
            for number in range(count):
                image = Image.fromarray(rng.integers(0, 256, (48, 48)).astype(np.uint8))
                image.save(tmp_path / "faces" / part / name / f"{number}.png")
    (tmp_path / "faces" / "about.txt").touch()
    return tmp_path / "faces"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("choice", [["--ignore", "nosuch"], ["--map", "nosuch=sad"]], ids=str)
def test_every_command_that_reads_data_takes_ignore_and_map(
    command: list[str], choice: list[str]
) -> None:
    result = fer(*command, "faces", "--ignore", "contempt", *choice)
    assert result.exit_code == 2
    assert "nosuch" in result.stderr


def test_data_info_lists_its_notes() -> None:
    result = fer("data", "info", "faces", "--map", "contempt=disgust", "--json")
    found = json.loads(result.stdout)
    assert sum(found["counts"]["disgust"].values()) == 16
    assert len(found["notes"]) == 2
    shown = fer("data", "info", "faces", "--ignore", "contempt")
    assert "48 × 48 (32)" in shown.stdout
    assert [line[:6] for line in shown.stderr.splitlines()] == ["note: "] * 2


def test_caches_of_other_classes_are_apart_and_named() -> None:
    notes: list[str] = []
    left_out = ExtractConfig(data="faces", ignore=("contempt",), **ALL)
    mapped = ExtractConfig(data="faces", classes={"contempt": "fear"}, **ALL)
    done = [extract(one, log=notes.append) for one in (left_out, mapped)]
    assert done[0].cache != done[1].cache
    assert [one.rows for one in done] == [32, 48]
    assert extract(left_out).reused
    assert sum(line.startswith("note: ") for line in notes) == 4
    infos = []
    for one in done:
        with Cache(one.cache) as cache:
            infos.append(cache.selections[0].info)
    assert infos[0]["ignore"] == ["contempt"]
    assert "classes" not in infos[0]
    assert infos[1]["classes"] == {"contempt": "fear"}


def test_a_cache_of_data_without_notes_does_not_mention_them() -> None:
    with Cache(extract(ExtractConfig(**ALL)).cache) as cache:
        assert list(cache.selections[0].info) == [
            "per_class",
            "seed",
            "skip_bad",
            "source_rows",
            "task",
        ]


def test_a_folder_of_train_and_test_splits_by_its_folders() -> None:
    extract(ExtractConfig(data="faces", ignore=("contempt",), **ALL))
    notes: list[str] = []
    config = FitConfig(heads=("ridge",), split="usage", seed=3)
    (run,) = fit_each(config, log=notes.append)
    split = run.record.split
    assert (split.train, split.validation, split.test) == (18, 6, 8)
    assert (split.seed, split.validation_from) == (3, "Training")
    assert sum("about.txt" in log for log in notes) == 1
    assert sum("cut from Training" in log for log in notes) == 1


@pytest.mark.parametrize("text", ["contempt", "=sad", "contempt=", "a=sad,a=happy"])
def test_a_map_that_maps_nothing_is_refused(text: str) -> None:
    pairs = [arg for one in text.split(",") for arg in ("--map", one)]
    result = fer("data", "info", "faces", *pairs)
    assert result.exit_code == 2
    assert "--map" in result.stderr


def test_a_class_s_name_may_hold_an_equals_sign() -> None:
    assert parse_class_map(["a=b=sad", " Contempt = disgust "]) == {
        "a=b": "sad",
        "Contempt": "disgust",
    }


def test_more_faces_than_one_can_look_at_are_refused() -> None:
    assert fer("data", "show", "sample", "--per-emotion", "1000").exit_code == 2
    assert not Path("faces.png").exists()


def test_a_grid_is_one_image_a_line_with_each_face_under_its_row() -> None:
    count = 45  # 41 angry in lines of 20, 20 and 1; 4 sad
    faces = Faces(
        images=np.arange(count, dtype=np.uint8)[:, None, None].repeat(48, 1).repeat(48, 2),
        emotion=np.array([0] * 41 + [4] * 4, np.int8),
        usage=np.zeros(count, np.int8),
        row=np.arange(count) + 100,
        sha256=np.zeros(count, "S64"),
    )
    (axes,) = faces_grid(faces, title="few").axes
    lines = [np.asarray(image.get_array()) for image in axes.images]
    starts = slice(0, None, lines[0].shape[1] // 20)
    assert [line[0, starts].tolist() for line in lines] == [
        list(range(20)),
        list(range(20, 40)),
        [40] + [255] * 19,
        [41, 42, 43, 44] + [255] * 16,
    ]
    texts = [text.get_text() for text in axes.texts]
    assert [text for text in texts if text in EMOTIONS] == ["angry", "sad"]
    assert [int(text) for text in texts if text.isdigit()] == list(range(100, 145))
