"""Scanning the layers of a cache: what is fitted, on which rows, and what is said of it."""

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from test_command import parsed

from fer_features.backbones import BACKBONES
from fer_features.cache import Cache
from fer_features.config import ExtractConfig, FitConfig
from fer_features.errors import FerError
from fer_features.extract.extract import extract
from fer_features.fit.dataset import load_dataset
from fer_features.fit.fit import fit_each
from fer_features.fit.scan import scan_layers
from fer_features.fit.split import split_dataset

FIRST, SECOND = ("first",), ("second",)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pooled outputs of ``first``; all of ``second``, with mirror images; others of fewer rows."""
    from conftest import TINY

    config = ExtractConfig(
        backbone="tiny",
        weights="random:0",
        engine="keras",
        precision="float32",
        cache_dir=tmp_path_factory.mktemp("cache"),
    )
    BACKBONES[TINY.name] = TINY
    try:
        few = replace(config, per_class=10, layers=FIRST, outputs=("map",))
        extract(few)
        every = replace(config, per_class=30)
        extract(replace(every, layers=FIRST, outputs=("pooled", "grid3")))
        both = replace(every, layers=SECOND, outputs=("pooled", "grid3", "map"), views=("flip",))
        return extract(both).cache
    finally:
        del BACKBONES[TINY.name]


@pytest.fixture
def config(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FitConfig:
    monkeypatch.chdir(tmp_path)
    return FitConfig(cache=path, heads=("ridge",), jobs=1)


def test_each_layer_and_pooling_is_fitted_and_the_best_is_first(
    config: FitConfig, tmp_path: Path
) -> None:
    titles: list[str] = []

    def on_epoch(title: str):
        titles.append(title)
        return lambda epoch, logs: None

    found = scan_layers(config, on_epoch=on_epoch)
    assert {(one.layer, one.output): one.values for one in found} == {
        ("first", "pooled"): 4,
        ("first", "grid3"): 4 * 9,
        ("second", "pooled"): 6,
        ("second", "grid3"): 6 * 9,
    }
    losses = [one.log_loss for one in found]
    assert losses == sorted(losses)
    assert titles[0] == "ridge on first/grid3 (1 of 4)"
    assert not any(tmp_path.iterdir())  # no run


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"heads": ("dense",), "params": {"epochs": 2}},
        {"split": "reference", "views": ("flip",), "combine": "best", "seed": 1},
        {"heads": ("ridge", "svm", "ensemble"), "pooling": "pooled"},
    ],
    ids=lambda options: " ".join(options) or "defaults",
)
def test_the_best_is_what_its_command_reaches(config: FitConfig, options: dict) -> None:
    best = scan_layers(replace(config, **options))[0]
    (run,) = fit_each(replace(parsed(FitConfig, best.command), jobs=1))
    assert run.record.head.name == best.head
    assert run.record.head.layers == [best.layer]
    assert run.record.head.features == best.output
    assert run.record.validation.accuracy == best.accuracy
    assert run.record.validation.log_loss == pytest.approx(best.log_loss)
    assert run.record.command == best.command


def test_the_test_rows_take_no_part(
    config: FitConfig, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features that no head accepts, in the test rows only, change nothing."""
    before = scan_layers(config)
    with Cache(path) as cache:
        dataset, split = split_dataset(load_dataset(cache, config), config)
        tests = dataset.rows[split.test]
    gather = Cache.gather

    def spoilt(self: Cache, column: str, places: NDArray[np.int64]):
        values = gather(self, column, places)
        if "/" in column:
            values[np.isin(places, tests)] = np.nan
        return values

    monkeypatch.setattr(Cache, "gather", spoilt)
    after = scan_layers(config)
    assert [replace(one, seconds=0.0) for one in after] == [
        replace(one, seconds=0.0) for one in before
    ]
    with pytest.raises(FerError):
        list(fit_each(config))


def test_what_lacks_rows_or_views_is_left_out_with_a_word(config: FitConfig) -> None:
    said: list[str] = []
    found = scan_layers(replace(config, heads=("dense",), params={"epochs": 1}), log=said.append)
    assert [(one.layer, one.output) for one in found] == [("second", "map")]
    assert [text for text in said if "does not hold first/map of all 60 rows" in text]

    flipped = replace(config, heads=("ridge", "logreg"), views=("flip",))
    said.clear()
    assert {one.layer for one in scan_layers(flipped, log=said.append)} == {"second"}
    named = [text for text in said if text.startswith("left out: ")]
    assert len(named) == len(set(named)) == 2  # once each, not once for each head


def test_the_pooling_that_is_asked_for_is_the_only_one(config: FitConfig) -> None:
    found = scan_layers(replace(config, pooling="grid3"))
    assert {one.output for one in found} == {"grid3"}
    assert all("--pooling grid3" in one.command for one in found)


def test_a_head_without_features_is_an_error(config: FitConfig, tiny_cache: Path) -> None:
    with Cache(tiny_cache) as cache:
        assert not any(name.endswith("grid3") for name in cache.features)
    with pytest.raises(FerError) as error:
        scan_layers(replace(config, cache=tiny_cache, pooling="grid3"))
    assert "none of its layers can be scanned with ridge" in error.value.message


@pytest.mark.parametrize(
    ("option", "flag"), [({"features": "first"}, "--features"), ({"seeds": 2}, "--seeds")]
)
def test_flags_that_contradict_a_scan_are_refused(
    config: FitConfig, option: dict, flag: str
) -> None:
    with pytest.raises(FerError) as error:
        scan_layers(replace(config, **option))
    assert flag in error.value.message


def test_what_only_a_fit_does_is_left_to_it(config: FitConfig) -> None:
    plain = scan_layers(config)
    asked = scan_layers(replace(config, cv=2, calibrate="platt"))
    assert [one.log_loss for one in asked] == [one.log_loss for one in plain]
    assert {"--cv", "--calibrate"} <= set(shlex.split(asked[0].command))
