"""A comparison on terminals of any width and encoding."""

import io
import re
import sys

import pytest
from run_examples import run

from fer_features.cli.compare import show_comparison
from fer_features.runs.compare import Comparison, compare
from fer_features.runtime.console import print_line

LEAK = {"test_twins": 1, "accuracy_on_twins": 1.0, "accuracy_on_others": 0.5}


@pytest.fixture
def comparison() -> Comparison:
    seeds = [run("logreg", seed=seed, created=f"202{seed}", rows=9) for seed in (0, 1)]
    return compare([*seeds, run("ensemble", rows=9, leak=LEAK), run("a|b", rows=9, weights="x.h5")])


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_comparison_prints_in_any_encoding(
    comparison: Comparison, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    show_comparison(comparison, all_heads=True, wide=True)
    sys.stdout.flush()
    text = raw.getvalue().decode(encoding)
    plain = encoding == "ascii"
    assert ("+-" if plain else "±") in text
    assert ("---" in text) == (encoding != "utf-8")
    assert "logreg" in text


def test_a_line_is_in_the_file_as_soon_as_it_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw))
    print_line("one run")
    assert raw.getvalue() == b"one run\n"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_head_is_named_at_any_width(
    comparison: Comparison,
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", f"{width}")
    show_comparison(comparison, all_heads=True, wide=True)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    for head in ("logreg", "ensemble", "a|b"):
        assert any(line.strip().startswith(head) for line in lines)
    assert any("0.8000" in line for line in lines)
    assert max(map(len, lines)) <= max(width, 90)  # a title is never broken


def test_the_wide_table_has_more_columns(
    comparison: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    show_comparison(comparison, all_heads=False, wide=False)
    usual = capsys.readouterr().out
    show_comparison(comparison, all_heads=False, wide=True)
    wide = capsys.readouterr().out
    for heading in ("val acc", "test acc [95 %]", "balanced", "F1", "AUC", "log loss", "ECE"):
        assert heading in usual
        assert heading in wide
    for heading in ("Brier", "pred s", "test n"):
        assert heading not in usual
        assert heading in wide


def test_how_many_runs_are_hidden_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    comparison = compare([run(f"head{n}", validation=n / 20, rows=9) for n in range(12)])
    show_comparison(comparison, all_heads=False, wide=False)
    out = capsys.readouterr().out
    assert "4 more runs: fer compare --all-heads" in out
    assert "head3" not in out
    show_comparison(comparison, all_heads=True, wide=False)
    out = capsys.readouterr().out
    assert "--all-heads" not in out
    assert "head0" in out


def test_the_text_under_a_table_is_as_wide_as_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_comparison(compare([run("a", rows=9, weights="x.h5")]), all_heads=True, wide=False)
    lines = capsys.readouterr().out.splitlines()
    (rule,) = {len(line) for line in lines if line.startswith(" ──")}
    first = next(place for place, line in enumerate(lines) if line.startswith("  !"))
    note = lines[first : lines.index("", first)]
    assert len(note) == 2
    assert rule - 15 < len(note[0]) <= rule
