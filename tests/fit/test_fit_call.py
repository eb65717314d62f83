"""The Python interface: ``fer_features.fit(cache, head=..., **options)``."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fer_features.cache import Cache
from fer_features.errors import FerError
from fer_features.fit.fit import fit
from fer_features.runs.run import Run

OPTIONS: dict[str, Any] = {"jobs": 1, "split": "grouped", "seed": 1}


def test_one_head_gives_one_run(tiny_cache: Path, tmp_path: Path) -> None:
    run = fit(tiny_cache, head="ridge", runs_dir=str(tmp_path), **OPTIONS)
    assert isinstance(run, Run)
    with Cache(tiny_cache) as cache:
        again = fit(cache, head=["ridge"], runs_dir=tmp_path, **OPTIONS)
    assert [one.path for one in again] == [run.path]
    repeated = fit(str(tiny_cache), head="ridge", seeds=2, runs_dir=tmp_path, **OPTIONS)
    assert [one.path == run.path for one in repeated] == [True, False]


@pytest.mark.parametrize(
    ("options", "name"),
    [({"colour": 1}, "colour"), ({"seed": "0"}, "seed"), ({"drop": 3}, "drop")],
)
def test_an_option_that_cannot_be_used_is_named(
    tiny_cache: Path, tmp_path: Path, options: dict[str, Any], name: str
) -> None:
    with pytest.raises(FerError, match=name):
        fit(tiny_cache, head="ridge", runs_dir=tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_the_package_is_the_function_whatever_was_imported(tmp_path: Path) -> None:
    importlib.import_module("fer_features.fit.fit")
    package = importlib.import_module("fer_features.fit")
    assert isinstance(package, ModuleType)
    called: Any = package
    with pytest.raises(FerError, match="nowhere"):
        called(tmp_path / "nowhere.h5", head="ridge", runs_dir=tmp_path / "runs")
