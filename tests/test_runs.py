from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_examples import record

from fer_features.errors import FerError
from fer_features.runs import (
    Part,
    Predictions,
    Run,
    list_runs,
    new_run,
    read_run,
    write_record,
)


def test_a_run_survives_the_disk(tmp_path: Path) -> None:
    with new_run(tmp_path / "one") as folder:
        write_record(folder, record("svm"))
    found = read_run(tmp_path / "one")
    assert found.record == {"format_version": 2, **record("svm")}
    assert read_run(tmp_path / "one" / "run.json").path == found.path
    assert list_runs(tmp_path) == [found]


def test_a_failed_run_leaves_the_old_one(tmp_path: Path) -> None:
    with new_run(tmp_path / "one") as folder:
        write_record(folder, record("svm"))
    with pytest.raises(ValueError, match="JSON"), new_run(tmp_path / "one") as folder:
        write_record(folder, {"accuracy": float("nan")})
    assert read_run(tmp_path / "one").record["head"]["name"] == "svm"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": "x"}'])
def test_a_broken_record_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(FerError, match=r"run\.json: not a run's record"):
        read_run(tmp_path)


def test_a_missing_or_newer_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="no run in"):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text('{"format_version": 99}')
    with pytest.raises(FerError, match="newer"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"id": 7}, {"validation": {"accuracy": "x"}}, {"test": {}}, {"seconds": None}, {"task": []}],
)
def test_a_damaged_record_is_an_error(tmp_path: Path, change: dict[str, Any]) -> None:
    write_record(tmp_path, {**record(), **change})
    with pytest.raises(FerError, match="the run's record is damaged"):
        read_run(tmp_path)


def test_a_folder_for_runs_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FerError, match="no folder for runs"), new_run(tmp_path / "file" / "one"):
        pass


def test_a_run_of_an_earlier_format_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format_version": 1}')
    with pytest.raises(FerError, match="no longer read") as caught:
        read_run(tmp_path)
    assert "fit again" in caught.value.hint


def test_one_bad_run_does_not_hide_the_others(tmp_path: Path) -> None:
    with new_run(tmp_path / "good") as folder:
        write_record(folder, record())
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    told: list[str] = []
    assert [run.path.name for run in list_runs(tmp_path, note=told.append)] == ["good"]
    assert "bad" in told[0]
    with pytest.raises(FerError, match="bad"):
        list_runs(tmp_path)


def test_predictions_survive_the_disk(tmp_path: Path) -> None:
    part = Part(
        row=np.array([3, 5]),
        label=np.array([0, 1]),
        probability=np.array([[0.9, 0.1], [0.3, 0.7]]),
        twin=np.array([True, False]),
    )
    Predictions(validation=part, test=part).save(tmp_path)
    found = Run(tmp_path, {}).predictions()
    for name, array in vars(part).items():
        assert (getattr(found.test, name) == array).all()
        assert (getattr(found.validation, name) == array).all()


def test_predictions_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="predictions cannot be read"):
        Run(tmp_path, {}).predictions()
    (tmp_path / "predictions.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(FerError, match="predictions cannot be read"):
        Run(tmp_path, {}).predictions()
