import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_examples import record

from fer_features.errors import FerError
from fer_features.runs.run import (
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
    assert [run.path.name for run in list_runs(tmp_path, log=told.append)] == ["good"]
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


def test_a_link_in_the_place_of_a_run_is_replaced_and_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "run.json").write_text("theirs")
    runs = tmp_path / "runs"
    runs.mkdir()
    for target in (other, tmp_path / "nothing"):
        (runs / "one").symlink_to(target)
        told: list[str] = []
        with new_run(runs / "one", log=told.append) as folder:
            write_record(folder, record("svm"))
        assert not (runs / "one").is_symlink()
        assert (other / "run.json").read_text() == "theirs"
        assert str(target) in told[0]
        with new_run(runs / "one", log=told.append) as folder:
            write_record(folder, record("svm"))
        assert len(told) == 1
        (runs / "one" / "run.json").unlink()
        (runs / "one").rmdir()


def test_a_file_in_the_place_of_a_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("mine")
    with pytest.raises(FerError, match="is a file"), new_run(tmp_path / "one") as folder:
        write_record(folder, record("svm"))
    assert (tmp_path / "one").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_links_among_runs(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for folder in (runs / "one", tmp_path / "two"):
        with new_run(folder) as draft:
            write_record(draft, record("svm"))
    (runs / "again").symlink_to(runs / "one")
    (runs / "other").symlink_to(tmp_path / "two")
    (runs / "nowhere").symlink_to(tmp_path / "three")
    (runs / ".draft").symlink_to(tmp_path / "two")
    (runs / "file").write_text("")
    told: list[str] = []
    found = list_runs(runs, log=told.append)
    assert [run.path.name for run in found] == ["again", "other"]
    assert len(told) == 2
    assert str(runs / "nowhere") in told[0]
    assert str(runs / "one") in told[1]
    (tmp_path / "linked").symlink_to(runs)
    assert len(list_runs(tmp_path / "linked", log=told.append)) == 2


def full_disk(folder: Path) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")  # a write names no file


def full_for_hdf5(folder: Path) -> None:
    raise OSError("Can't write data (errno = 28, error message = 'No space left on device')")


def full_for_a_picture(folder: Path) -> None:
    try:
        full_disk(folder)
    except OSError as error:
        raise FerError(f"{folder / 'curves.png'} cannot be written") from error


@pytest.mark.parametrize("write", [full_disk, full_for_hdf5, full_for_a_picture])
def test_a_full_disk_names_the_run_and_leaves_nothing(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    with pytest.raises(FerError) as caught, new_run(tmp_path / "one") as folder:
        write(folder)
    assert caught.value.message == f"{tmp_path / 'one'} cannot be written: No space left on device"
    assert "--runs-dir" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
