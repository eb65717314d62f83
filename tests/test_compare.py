import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_features.compare import (
    PUBLISHED,
    PUBLISHED_MARK,
    compare,
    of_same_data,
    to_csv,
    to_json,
    to_markdown,
    write_figures,
)
from fer_features.errors import FerError
from fer_features.metrics import score
from fer_features.runs import Run, list_runs, new_run, read_run, write_record
from fer_features.tasks import BINARY, SEVEN, Task


def record(
    head: str = "dense",
    *,
    validation: float = 0.8,
    test: float = 0.7,
    task: Task = BINARY,
    digest: str = "d1",
    weights: str = "imagenet",
    created: str = "2026-01-01",
    **split: Any,
) -> dict[str, Any]:
    scores = {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "roc_auc": None,
        "log_loss": 0.6,
        "classes": list(task.class_names),
        "confusion": np.eye(len(task.classes), dtype=int).tolist(),
    }
    return {
        "id": f"{head}-{digest}",
        "created": created,
        "cache": {"spec": {"backbone": "inception_resnet_v2", "weights": weights}},
        "data": {"name": "fer2013.csv", "rows": 17000, "digest": digest},
        "task": task.to_dict(),
        "split": {
            "name": "grouped",
            "seed": 0,
            "train": 6,
            "validation": 2,
            "test": 2,
            "leaked": 0,
            **split,
        },
        "head": {"name": head, "title": head, "chosen": {}},
        "validation": {"accuracy": validation, **scores},
        "test": {"accuracy": test, **scores},
        "seconds": {"fit": 12.34, "predict": 0.123},
    }


def run(*args: Any, **kwargs: Any) -> Run:
    return Run(Path("runs/x"), record(*args, **kwargs))


def test_the_published_numbers_are_what_the_suite_makes_of_the_published_matrix() -> None:
    (tn, fp), (fn, tp) = PUBLISHED["confusion"]
    y = np.repeat([0, 0, 1, 1], [tn, fp, fn, tp])
    said = np.repeat([0, 1, 0, 1], [tn, fp, fn, tp])
    scores = score(y, np.eye(2)[said], classes=BINARY.class_names, positive="happy")
    for name in ("accuracy", "precision", "recall", "f1"):
        assert round(getattr(scores, name), 4) == PUBLISHED[name]


def test_rows_are_sorted_by_validation_accuracy_and_the_published_one_stands_last() -> None:
    (table,) = compare(
        [
            run("svm", validation=0.7, test=0.9),
            run("dense", validation=0.9, test=0.6),
            run("logreg", validation=0.8, test=0.8),
        ]
    )
    rows = table.rows()
    assert [row["head"] for row in rows] == ["dense", "logreg", "svm", PUBLISHED_MARK]
    assert rows[-1]["head"] == PUBLISHED_MARK
    assert rows[-1]["validation accuracy"] == 0.7944
    assert rows[-1]["test accuracy"] is None


def test_the_published_row_stands_only_beside_its_own_task() -> None:
    (table,) = compare([run(task=SEVEN)])
    assert not table.published
    assert len(table.rows()) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"digest": "d2"},
        {"name": "reference"},
        {"seed": 1},
        {"task": SEVEN},
    ],
)
def test_runs_of_other_splits_or_data_get_a_table_of_their_own(other: dict[str, Any]) -> None:
    tables = compare([run(validation=0.9), run("svm", **other), run("logreg")])
    assert sorted(len(table.runs) for table in tables) == [1, 2]


def test_runs_of_other_features_of_the_same_rows_share_a_table() -> None:
    (table,) = compare([run(), run(weights="random:0")])
    assert [row["features"] for row in table.rows()[:2]] == [
        "inception_resnet_v2 imagenet",
        "inception_resnet_v2 random:0",
    ]


def test_random_weights_are_said_aloud() -> None:
    (table,) = compare([run(weights="random:0")])
    assert any("RANDOM WEIGHTS" in note for note in table.notes)
    (table,) = compare([run(weights="imagenet")])
    assert table.notes == ()


def test_a_leak_is_said_aloud() -> None:
    (table,) = compare([run(leaked=1)])
    assert "1 of 2 test images" in " ".join(table.notes)


def test_only_runs_about_the_newest_ones_images_are_taken() -> None:
    old, new, same = run(digest="d1"), run(digest="d2", created="2027"), run("svm", digest="d2")
    assert of_same_data([old, new, same]) == [new, same]
    assert of_same_data([]) == []


def test_no_runs_say_what_makes_some() -> None:
    with pytest.raises(FerError) as caught:
        compare([])
    assert "fer fit" in caught.value.hint


def test_every_format_holds_the_same_numbers() -> None:
    tables = compare([run("dense", validation=0.8125), run("svm", validation=0.5)])
    lines = list(csv.DictReader(io.StringIO(to_csv(tables))))
    assert [line["validation accuracy"] for line in lines] == ["0.8125", "0.5", "0.7944"]
    rows = json.loads(json.dumps(to_json(tables)))[0]["rows"]
    assert [row["validation accuracy"] for row in rows] == [0.8125, 0.5, 0.7944]
    markdown = to_markdown(tables)
    body = [line for line in markdown.splitlines() if line.startswith("| ") and "---" not in line]
    assert [line.split("|")[3].strip() for line in body] == [
        "validation accuracy",
        "0.8125",
        "0.5000",
        "0.7944",
    ]
    assert len({line.count("|") for line in markdown.splitlines() if line.startswith("|")}) == 1


def test_figures_are_png_files_one_pair_a_table(tmp_path: Path) -> None:
    tables = compare([run("dense"), run("svm"), run(name="reference"), run(task=SEVEN)])
    paths = write_figures(tables, tmp_path / "pictures")
    assert len(set(paths)) == 6
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert sorted(tmp_path.glob("pictures/*")) == sorted(paths)  # no drafts left


def test_a_run_survives_the_disk(tmp_path: Path) -> None:
    with new_run(tmp_path / "one") as folder:
        write_record(folder, record("svm"))
    found = read_run(tmp_path / "one")
    assert found.record == {"format_version": 1, **record("svm")}
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


def test_a_head_that_stands_twice_is_told_apart_by_its_run() -> None:
    assert compare([run("svm"), run("svm")])[0].same_head_twice
    assert not compare([run("svm"), run("svm", weights="random:0")])[0].same_head_twice
