import errno
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_examples import merged, record, write_record

from fer_features.errors import FerError
from fer_features.runs.compare import compare
from fer_features.runs.predictions import Part, Predictions
from fer_features.runs.record import RunRecord, decode_record, encode_record
from fer_features.runs.run import Run, Save, list_runs, read_run, write_run

GOLDEN = Path(__file__).parents[1] / "golden" / "v2" / "runs"


def typed(head: str = "svm", **change: Any) -> RunRecord:
    return decode_record(merged(record(head), change))


def predictions(first: float = 0.9) -> Predictions:
    """Predictions of two rows, the first with that probability of the first class."""
    part = Part(
        row=np.array([3, 5]),
        label=np.array([0, 1]),
        probability=np.array([[first, 1 - first], [0.3, 0.7]]),
        twin=np.array([True, False]),
    )
    return Predictions(validation=part, test=part)


def text_file(text: str) -> Save:
    def save(path: Path) -> Path:
        file = path.with_name(f"{path.name}.skops")
        file.write_text(text)
        return file

    return save


def test_a_run_survives_the_disk(tmp_path: Path) -> None:
    written = write_run(tmp_path / "one", typed(), {"model": text_file("model")})
    found = read_run(tmp_path / "one")
    assert found == written == read_run(tmp_path / "one" / "run.json")
    assert list_runs(tmp_path) == [found]
    assert found.record.id == "one"
    assert found.record.test == typed().test
    assert (found.path / found.record.files["model"]).read_text() == "model"


def test_runs_of_the_first_release_are_read_compared_and_written_alike() -> None:
    runs = list_runs(GOLDEN)
    assert [run.record.head.name for run in runs] == ["logreg", "ridge"]
    for run in runs:
        on_disk = (run.path / "run.json").read_text()
        assert json.loads(encode_record(run.record)) == json.loads(on_disk)
        assert run.predictions().test.right.mean() == run.record.test.accuracy
    (table,) = compare([run.path for run in runs]).tables
    assert table.names == ["logreg", "ridge"]
    assert table.verdict is not None
    assert (
        "| logreg | pixels | 0.6250 | 0.4375 [.231, .668] | 0.4375 | 0.4706 | 0.5469 | 0.7332 "
        "| 0.2386 | 0.13 |\n"
        "| ridge | pixels | 0.6250 | 0.6875 [.444, .858] | 0.6875 | 0.6667 | 0.5938 | 0.7095 "
        "| 0.2224 | 4.2 |\n"
    ) in table.to_markdown()


def test_a_number_that_json_lacks_is_not_written(tmp_path: Path) -> None:
    old = write_run(tmp_path / "one", typed(), {})
    odd = typed()
    odd.head.params["a"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        write_run(tmp_path / "one", odd, {})
    assert read_run(tmp_path / "one") == old
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", range(12))
def test_a_refit_that_is_killed_leaves_the_old_run_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    path = tmp_path / "one"

    def write(created: str) -> Run:
        saves = {"model": text_file(created), "predictions": predictions().save}
        return write_run(path, typed(created=created), saves)

    write("first")
    write("second")
    (path / "notes.txt").write_text("mine")
    steps = 0

    def killed_at_step(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == step + 1:
                raise Killed
            return real(*args, **kwargs)

        return call

    for name in ("write_text", "replace", "rename", "unlink"):
        monkeypatch.setattr(Path, name, killed_at_step(getattr(Path, name)))
    try:
        write("third")
    except Killed:
        pass
    finally:
        monkeypatch.undo()
    assert steps == min(step + 1, 7)  # the model, the record; three moved; two removed
    (found,) = list_runs(tmp_path)
    assert found.record.created == ("second" if step < 5 else "third")
    assert (path / found.record.files["model"]).read_text() == found.record.created
    assert found.predictions().test.row.tolist() == [3, 5]
    assert (path / "notes.txt").read_text() == "mine"
    write("fourth")
    assert {file.name.partition("-")[0] for file in path.iterdir()} == {
        "model",
        "predictions",
        "run.json",
        "notes.txt",
    }
    assert len(list(path.iterdir())) == 4


def test_a_refit_removes_the_files_of_an_older_run_and_no_others(tmp_path: Path) -> None:
    old = {"model": "model.skops", "predictions": "notes.txt"}
    write_record(tmp_path / "one", record("svm") | {"files": old})
    for name in (*old.values(), "sizes.png"):
        (tmp_path / "one" / name).write_text("old")
    new = write_run(tmp_path / "one", typed(), {"model": text_file("new")})
    assert {file.name for file in (tmp_path / "one").iterdir()} == {
        "run.json",
        "notes.txt",
        "sizes.png",
        new.record.files["model"],
    }


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": "x"}'])
def test_a_broken_record_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(FerError, match=r"run\.json"):
        read_run(tmp_path)


def test_a_missing_or_newer_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FerError, match=re.escape(str(tmp_path))):
        read_run(tmp_path)
    (tmp_path / "run.json").write_text('{"format_version": 99}')
    with pytest.raises(FerError, match=r"run\.json.* 99\b"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"id": 7}, {"validation": {"accuracy": "x"}}, {"test": []}, {"seconds": None}, {"task": []}],
)
def test_a_damaged_record_is_an_error(tmp_path: Path, change: dict[str, Any]) -> None:
    write_record(tmp_path, merged(record(), change))
    with pytest.raises(FerError, match=r"run\.json"):
        read_run(tmp_path)


def test_a_folder_for_runs_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FerError, match=str(tmp_path / "file")):
        write_run(tmp_path / "file" / "one", typed(), {})


def test_a_run_of_an_earlier_format_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format_version": 1}')
    with pytest.raises(FerError, match=r"run\.json.* 1\b") as caught:
        read_run(tmp_path)
    assert "fit again" in caught.value.hint


def test_one_bad_run_does_not_hide_the_others(tmp_path: Path) -> None:
    write_record(tmp_path / "good", record())
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    told: list[str] = []
    assert [run.path.name for run in list_runs(tmp_path, log=told.append)] == ["good"]
    assert "bad" in told[0]
    with pytest.raises(FerError, match="bad"):
        list_runs(tmp_path)


def test_predictions_survive_the_disk(tmp_path: Path) -> None:
    part = predictions().test
    for name in ("predictions", "predictions-0a1b2c3d"):
        saved = predictions().save(tmp_path / name)
        files = {"files": {"predictions": saved.name}} if "-" in name else {}
        found = Run(tmp_path, typed(**files)).predictions()
        saved.unlink()
        for field, array in vars(part).items():
            assert (getattr(found.test, field) == array).all()
            assert (getattr(found.validation, field) == array).all()


def test_predictions_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    file = tmp_path / "predictions.npz"
    with pytest.raises(FerError, match=str(file)):
        Run(tmp_path, typed()).predictions()
    file.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(FerError, match=str(file)):
        Run(tmp_path, typed()).predictions()


def test_a_link_in_the_place_of_a_run_is_replaced_and_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "run.json").write_text("theirs")
    runs = tmp_path / "runs"
    runs.mkdir()
    for target in (other, tmp_path / "nothing"):
        (runs / "one").symlink_to(target)
        told: list[str] = []
        write_run(runs / "one", typed(), {}, log=told.append)
        assert not (runs / "one").is_symlink()
        assert (other / "run.json").read_text() == "theirs"
        assert str(target) in told[0]
        write_run(runs / "one", typed(), {}, log=told.append)
        assert len(told) == 1
        (runs / "one" / "run.json").unlink()
        (runs / "one").rmdir()


def test_a_file_in_the_place_of_a_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("mine")
    with pytest.raises(FerError, match=str(tmp_path / "one")):
        write_run(tmp_path / "one", typed(), {})
    assert (tmp_path / "one").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_links_among_runs(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for folder in (runs / "one", tmp_path / "two"):
        write_record(folder, record("svm"))
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


def full_disk(path: Path) -> Path:
    raise OSError(errno.ENOSPC, "No space left on device")  # a write names no file


def full_for_hdf5(path: Path) -> Path:
    raise OSError("Can't write data (errno = 28, error message = 'No space left on device')")


def full_for_a_picture(path: Path) -> Path:
    try:
        full_disk(path)
    except OSError as error:
        raise FerError(f"{path}.png cannot be written") from error
    return path


@pytest.mark.parametrize("save", [full_disk, full_for_hdf5, full_for_a_picture])
def test_a_full_disk_names_the_run_and_leaves_nothing(tmp_path: Path, save: Save) -> None:
    with pytest.raises(FerError) as caught:
        write_run(tmp_path / "one", typed(), {"model": save})
    assert caught.value.message == f"{tmp_path / 'one'} cannot be written: No space left on device"
    assert "--runs-dir" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
