"""``fer fit --save``, ``fer model save`` and ``fer model show``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import fer_features as fer
from fer_features.cli import app


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_from_a_fit_to_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fer.extract("sample", backbone="hog")
    fitted = run("fit", "--head", "logreg", "--save", "one", "--json")
    found = json.loads(fitted.stdout)
    assert found["model"] == "one.fer"
    path = found["runs"][0]["path"]
    saved = run("model", "save", path, "--out", "two.fer", "--uncertain-below", 0.7, "--json")
    assert json.loads(saved.stdout)["bytes"] == Path("two.fer").stat().st_size
    card = run("model", "show", "two.fer").stdout
    for text in ("not feelings", "Regulation (EU) 2024/1689", "below 0.7 is called uncertain"):
        assert text in card
    record = json.loads(run("model", "show", "one.fer", "--json").stdout)
    assert record["uncertain"]["below"] is None


@pytest.mark.parametrize("words", [["--head", "all"], ["--seeds", "2"], ["--scan-layers"]])
def test_a_fit_of_several_saves_no_model(words: list[str]) -> None:
    found = run("fit", "cache.h5", *words, "--save", "one.fer")
    assert found.exit_code == 2
    assert "--save writes one model" in found.stderr


def test_the_default_card_is_that_of_fernet() -> None:
    found = run("model", "show")
    assert found.stdout.startswith("# fernet\n")
    assert "0.6815" in found.stdout
    assert run("model", "show", "nothing").exit_code == 2
