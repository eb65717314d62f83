"""Runs that somebody else has written: what their ``run.json`` says decides nothing but text."""

from __future__ import annotations

import copy
import json
import os
import re
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
    changed = copy.deepcopy(record)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = text
    return changed


def write(run: Run, record: dict[str, Any]) -> None:
    (run.path / RECORD).write_text(json.dumps(record), encoding="utf-8")


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_no_text_that_cannot_be_printed_gets_in(good: Run) -> None:
    found = texts(good.record)
    assert len(found) > 30
    for place in found:
        for text in UNPRINTABLE:
            told: list[str] = []
            write(good, with_text(good.record, place, text))
            assert list_runs(good.path.parent, log=told.append) == [], (place, text)
            assert str(good.path) in told[0]
            assert told[0].isprintable()


@pytest.mark.parametrize("value", [None, 7, 1e300, True, [], {}, [[]], {"a": {}}, "", "x"])
def test_a_value_of_another_type_is_no_traceback(good: Run, value: Any) -> None:
    """Each value of the record in turn: the run is left out, or it is shown."""
    shown = 0
    for place, _ in every(good.record):
        write(good, with_text(good.record, place, value))
        found = list_runs(good.path.parent, log=lambda text: None)
        if found and found[0].record != good.record:
            shown += 1
            show(found)
    assert value not in (7, "") or shown  # the loop does reach what shows runs


def show(runs: list[Run]) -> str:
    """A table, a verdict and a page of the runs, as text, without pictures and faces."""
    from fer_features.runs.formats import to_csv, to_markdown

    from fer_features.cli.render_runs import show_comparisons
    from fer_features.report import gather, page
    from fer_features.runs.compare import compare
    from fer_features.runs.repeats import leak_effects, over_seeds
    from fer_features.runs.verdicts import verdict_of

    tables = compare(runs)
    verdicts = [verdict_of(one, log=lambda text: None) for one in tables]
    show_comparisons(tables, verdicts, seeds=over_seeds(runs), leaks=leak_effects(runs))
    to_csv(tables)
    to_markdown(tables, verdicts)
    return page(gather(runs, log=lambda text: None))


class Elements(HTMLParser):
    """The names of a page's elements and of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


def test_no_text_adds_an_element_to_a_page(good: Run, capsys: pytest.CaptureFixture[str]) -> None:
    usual = Elements(show([good])).found
    write(good, with_text(good.record, ("cache", "spec", "weights"), "other.h5"))
    usual = usual + Elements(show(list_runs(good.path.parent))).found  # provenance unknown
    shown = 0
    for place in texts(good.record):
        write(good, with_text(good.record, place, HOSTILE[-1]))
        for run in list_runs(good.path.parent, log=lambda text: None):
            shown += 1
            found = Elements(show([run])).found
            scripts = [one for one in found if one[0] == "script"]
            assert len(scripts) == 1, place
            assert {names for _, names in found} <= {names for _, names in usual}, place
    assert shown > 20
    printed = capsys.readouterr().out
    assert "<script>alert(1)</script>" in printed
    assert printed.replace("\n", "").isprintable()


@pytest.mark.parametrize("text", HOSTILE)
def test_pictures_and_pages_stay_in_the_folder_asked_for(
    good: Run, tmp_path: Path, text: str
) -> None:
    """With every text of the record replaced at once."""
    record = good.record
    for place in texts(good.record):
        if place != ("created",):
            record = with_text(record, place, text)
    write(good, record)
    assert [run.record["task"]["name"] for run in list_runs(good.path.parent)] == [text]
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


def test_the_default_folder_of_pictures_leads_nowhere_else(good: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (good.path.parent / "compare").symlink_to(tmp_path / "elsewhere")
    done = CliRunner().invoke(app, ["compare", "--runs-dir", str(good.path.parent)])
    assert done.exit_code == 2
    assert not any((tmp_path / "elsewhere").iterdir())


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
    record = with_text(good.record, ("seconds", "fit"), "HERE")
    (good.path / RECORD).write_text(json.dumps(record).replace('"HERE"', number))
    with pytest.raises(FerError, match=r"seconds\.fit"):
        read_run(good.path)


def test_a_deep_record_is_left_out(good: Run) -> None:
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    write(good, with_text(good.record, ("head", "params"), {"a": deep}))
    with pytest.raises(FerError, match="nested too deeply"):
        read_run(good.path)


@pytest.mark.parametrize("name", [RECORD, PREDICTIONS])
def test_pipes_folders_and_huge_files_are_not_read(
    good: Run, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> None:
        read_run(good.path).predictions()

    file = good.path / name
    largest = "LARGEST_RECORD" if name == RECORD else "LARGEST_PREDICTIONS"
    monkeypatch.setattr(f"fer_features.runs.run.{largest}", 10)
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
    with pytest.raises(FerError, match="predictions are damaged"):
        good.predictions()
    show([good])
