"""Runs that somebody else has written: what their ``run.json`` says decides nothing but text."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_examples import HISTORY, SIZES, Writer
from typer.testing import CliRunner

from fer_features.cli import app
from fer_features.errors import FerError
from fer_features.runs.run import PREDICTIONS, RECORD, Run, list_runs, read_run

GOLDEN = Path(__file__).parents[1] / "golden" / "v2" / "runs"

UNPRINTABLE = [
    "a\nb",
    "\x1b[31mred",
    "a\x00",
    "\x9b2J",
    "\u202eevil",
    "a\u2028b",
    "\ud800",
    "x" * 5000,
]
"""Nothing that a run says may hold these."""

HOSTILE = ["../../evil", "/fer-evil", "<script>alert(1)</script>'\"></title>$x^{$[/red]:x:|`"]
"""Text that may be printed, and that a path, HTML, TeX or markup would take for more."""

SCORES = {"log_loss": 0.5, "brier": 0.2, "ece": 0.1}
EVERYTHING: dict[str, Any] = {
    "calibration": {"method": "platt", "before": {"validation": SCORES, "test": SCORES}},
    "operate": {"wish": "recall", "value": 0.9, "threshold": None, "unmet": "none gives it"},
    "cv": {"folds": 2, "mean": {"accuracy": 0.5, "f1": 0.5}, "std": {"accuracy": 0.1, "f1": 0.1}},
    "leak": {"test_twins": 1, "accuracy_on_twins": 1.0, "accuracy_on_others": 0.5},
    "history": HISTORY,
    "sizes": SIZES,
}


@pytest.fixture
def good(tmp_path: Path) -> Run:
    """A run that says all that a run can say."""
    return Writer(tmp_path / "in" / "runs", tmp_path / "none.h5").write("svm", **EVERYTHING)


def every(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """All values of a record and where they stand; of a list, the first three."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else list(enumerate(value))[:3]
        for key, one in pairs:
            yield (*at, key), one
            yield from every(one, (*at, key))


def texts(record: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Where the texts of a record stand."""
    return [place for place, value in every(record) if isinstance(value, str)]


def with_text(record: dict[str, Any], place: tuple[Any, ...], text: Any) -> dict[str, Any]:
    """The record with another value at one place."""
    changed, inner = copy_along(record, place)
    inner[place[-1]] = text
    return changed


def copy_along(record: dict[str, Any], place: tuple[Any, ...]) -> tuple[dict[str, Any], Any]:
    """A copy of the record in which what holds one place may be changed, and its holder."""
    changed = inner = record.copy()
    for key in place[:-1]:
        inner[key] = inner[key].copy()
        inner = inner[key]
    return changed, inner


def write(run: Run, record: dict[str, Any]) -> None:
    (run.path / RECORD).write_text(json.dumps(record), encoding="utf-8")


def raw(run: Run) -> dict[str, Any]:
    """The record of a run as it is on disk."""
    found: dict[str, Any] = json.loads((run.path / RECORD).read_text(encoding="utf-8"))
    return found


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_no_text_that_cannot_be_printed_gets_in(good: Run) -> None:
    record = raw(good)
    found = texts(record)
    assert len(found) > 30
    for place in found:
        for text in UNPRINTABLE:
            told: list[str] = []
            write(good, with_text(record, place, text))
            assert list_runs(good.path.parent, log=told.append) == [], (place, text)
            assert str(good.path) in told[0]
            assert told[0].isprintable()


MISSING = object()
VALUES = [
    MISSING,
    None,
    True,
    -1,
    7,
    1e300,
    float("nan"),
    10**400,
    "",
    "x",
    [],
    {},
    [[]],
    {"a": {}},
]


def without(record: dict[str, Any], place: tuple[Any, ...]) -> dict[str, Any]:
    """The record without one of its values."""
    changed, inner = copy_along(record, place)
    del inner[place[-1]]
    return changed


@pytest.mark.parametrize("name", ["everything", "logreg"])
def test_no_value_of_a_record_makes_a_comparison_or_a_report_fail(
    good: Run, tmp_path: Path, name: str
) -> None:
    """Each value of the record is changed in turn: the run is left out by its path, or shown."""
    if name != "everything":
        (golden,) = GOLDEN.glob(f"{name}-*")
        good = read_run(golden)
    record, runs = raw(good), tmp_path / "changed"
    places = [place for place, _ in every(record) if place[0] != "head" or len(place) < 4]
    values = VALUES if name == "everything" else VALUES[:6]
    changes = [(place, value) for place in places for value in values]
    assert len(changes) > 500
    for number, (place, value) in enumerate(changes):
        changed = without(record, place) if value is MISSING else with_text(record, place, value)
        folder = runs / f"{number}"
        folder.mkdir(parents=True)
        (folder / RECORD).write_text(json.dumps(changed), encoding="utf-8")
        (folder / PREDICTIONS).symlink_to(good.path / PREDICTIONS)
    told: list[str] = []
    found = list_runs(runs, log=told.append)
    assert len(found) > 100
    assert len(found) + len(told) == len(changes)
    paths = {run.path for run in found}
    left_out = {path for path in runs.iterdir() if path not in paths}
    assert left_out == {runs / name for name in re.findall(rf"{runs}/(\d+)/", "\n".join(told))}
    for first in range(0, len(found), 200):
        show(found[first : first + 200])


def show(runs: list[Run]) -> str:
    """A table, a verdict and a page of the runs, as text, without pictures and faces."""
    from fer_features.cli.compare import show_comparison
    from fer_features.report import gather, page
    from fer_features.runs.compare import compare

    comparison = compare(runs)
    show_comparison(comparison, all_heads=True, wide=True)
    comparison.to_csv()
    comparison.to_markdown()
    return page(gather(runs, log=lambda text: None))


class Elements(HTMLParser):
    """The names of a page's elements and of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


def test_no_text_adds_an_element_to_a_page(
    good: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs of which each has another text of its record replaced, on one page."""
    pages = []
    for text in ("plain", HOSTILE[-1]):
        folder = tmp_path / f"runs-{len(pages)}"
        for number, place in enumerate(texts(raw(good))):
            path = Path(shutil.copytree(good.path, folder / f"{number:03}"))
            write(Run(path, good.record), with_text(raw(good), place, text))
        runs = list_runs(folder, log=lambda text: None)
        assert len(runs) > 20
        pages.append(show(runs))
    assert pages[1].count("alert(1)") > 20
    usual, found = (Elements(page).found for page in pages)
    assert [name for name, _ in found].count("script") == 1
    assert {names for _, names in found} <= {names for _, names in usual}
    printed = capsys.readouterr().out
    assert "<script>alert(1)</script>" in printed
    assert printed.replace("\n", "").isprintable()


@pytest.mark.parametrize("text", HOSTILE)
def test_pictures_and_pages_stay_in_the_folder_asked_for(
    good: Run, tmp_path: Path, text: str
) -> None:
    """With every text of the record replaced at once."""
    record = raw(good)
    for place in texts(record):
        if place != ("created",):
            record = with_text(record, place, text)
    write(good, record)
    assert [run.record.task.name for run in list_runs(good.path.parent)] == [text]
    before = tree(tmp_path)
    where = ["--runs-dir", str(good.path.parent)]
    pictures, page = tmp_path / "in" / "pictures", tmp_path / "in" / "report.html"
    done = CliRunner().invoke(app, ["compare", *where, "--figures", str(pictures)])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["report", *where, "--out", str(page)])
    assert done.exit_code == 0, done.output
    made = tree(tmp_path) - before
    assert len(made) == 6  # bars, matrices, two kinds of curves; their folder; the page
    assert {path.parent for path in made} == {tmp_path / "in", pictures}
    assert not Path(f"{text}-accuracy.png").exists()


def test_pictures_are_drawn_only_when_asked_for(good: Run, tmp_path: Path) -> None:
    before = tree(tmp_path)
    done = CliRunner().invoke(app, ["compare", "--runs-dir", str(good.path.parent)])
    assert done.exit_code == 0
    assert tree(tmp_path) == before


NAN = '{"format_version": 2, "test": {"accuracy": NaN}}'


@pytest.mark.parametrize(
    "text",
    [NAN, "[" * 100_000, '{"format_version": ' + "9" * 5000 + "}", '{"format_version": 1e999}'],
    ids=["NaN", "deep", "long", "infinite"],
)
def test_odd_json_is_left_out(good: Run, text: str) -> None:
    bad = good.path.with_name("bad")
    bad.mkdir()
    (bad / RECORD).write_text(text)
    told: list[str] = []
    assert list_runs(good.path.parent, log=told.append) == [good]
    assert len(told) == 1
    assert str(bad / RECORD) in told[0]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "1" + "0" * 400])
def test_a_number_that_is_none_is_left_out(good: Run, number: str) -> None:
    record = with_text(raw(good), ("seconds", "fit"), "HERE")
    (good.path / RECORD).write_text(json.dumps(record).replace('"HERE"', number))
    with pytest.raises(FerError, match=r"seconds\.fit"):
        read_run(good.path)


def test_a_deep_record_is_left_out(good: Run) -> None:
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    write(good, with_text(raw(good), ("head", "params"), {"a": deep}))
    with pytest.raises(FerError, match=re.escape(str(good.path))):
        read_run(good.path)


@pytest.mark.parametrize("name", [RECORD, PREDICTIONS])
def test_pipes_folders_and_huge_files_are_not_read(
    good: Run, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> None:
        read_run(good.path).predictions()

    file = good.path / name
    largest = "run.LARGEST_RECORD" if name == RECORD else "predictions.LARGEST_PREDICTIONS"
    monkeypatch.setattr(f"fer_features.runs.{largest}", 10)
    with pytest.raises(FerError, match=re.escape(str(file))):
        read()
    monkeypatch.undo()
    read()
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(FerError, match=re.escape(str(file))):
        read()
    file.unlink()
    file.mkdir()
    with pytest.raises(FerError, match=re.escape(str(file))):
        read()


@pytest.mark.parametrize(
    "change",
    [
        {"test_label": np.array([0, 9] * 5)},
        {"test_label": np.arange(3)},
        {"test_probability": np.full((10, 2), np.nan)},
        {"test_probability": np.full((10, 7), 1 / 7)},
        {"test_probability": np.array(3.0)},
        {"test_row": np.array(list("abcdefghij"))},
    ],
    ids=["class", "short", "NaN", "classes", "number", "text"],
)
def test_predictions_that_do_not_fit_are_an_error(good: Run, change: dict[str, Any]) -> None:
    with np.load(good.path / PREDICTIONS) as file:
        arrays = dict(file)
    np.savez(good.path / PREDICTIONS, **{**arrays, **change})
    with pytest.raises(FerError, match=re.escape(str(good.path / PREDICTIONS))):
        good.predictions()
    show([good])
