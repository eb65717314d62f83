import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fer_features.cache import Cache
from fer_features.config import FitConfig
from fer_features.data.splits import Split
from fer_features.data.tasks import BINARY
from fer_features.data.twin_table import TwinTable, table_of_rows
from fer_features.errors import FerError
from fer_features.fit.dataset import Dataset, load_dataset
from fer_features.fit.fit import fit_each
from fer_features.fit.split import split_dataset
from fer_features.heads import load_head
from fer_features.metrics import score
from fer_features.runs.run import Run, list_runs
from fer_features.runs.schema import Leaked

LOGREG = FitConfig(heads=("logreg",), jobs=1)


@pytest.fixture
def config(tiny_cache: Path, tmp_path: Path) -> FitConfig:
    return replace(LOGREG, cache=tiny_cache, runs_dir=tmp_path / "runs")


def split_of(cache: Cache, config: FitConfig) -> tuple[Dataset, Split]:
    return split_dataset(load_dataset(cache, config), config)


def one(config: FitConfig) -> Run:
    (run,) = fit_each(config)
    return run


@pytest.mark.parametrize("head", ["logreg", "svm", "dense"])
def test_a_run_says_what_its_saved_model_does(config: FitConfig, head: str) -> None:
    params = {"epochs": 3} if head == "dense" else {}
    run = one(replace(config, heads=(head,), params=params))
    record = run.record
    assert config.cache is not None
    model = load_head(head, run.path / record.files["model"])
    with Cache(config.cache) as cache:
        dataset, split = split_of(cache, config)
        for part in ("validation", "test"):
            places = getattr(split, part)
            rows = dataset.rows[places]
            X = cache.read("second", record.head.features, rows)
            again = score(
                dataset.y[places],
                model.predict_proba(X),
                classes=BINARY.class_names,
                positive="happy",
            )
            assert getattr(record, part).confusion == again.confusion
            assert getattr(record, part).log_loss == pytest.approx(again.log_loss, abs=1e-5)
            assert getattr(record, part).n == len(places)
    if head == "dense":
        curves = run.path / record.files["curves"]
        assert curves.read_bytes().startswith(b"\x89PNG")
        assert {len(values) for values in record.history.values()} == {3}
        assert set(record.history) >= {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_a_run_records_where_it_came_from(config: FitConfig) -> None:
    record = one(config).record
    assert msgspec.to_builtins(record.task) == BINARY.to_dict()
    assert record.split.name == "grouped"
    assert record.split.leaked == Leaked(exact=0, near=0, registered=0)
    assert record.cache.spec.weights == "random:0"
    assert record.data.name == "sample"
    assert record.head.chosen["C"] in record.head.params["Cs"]
    assert record.seconds.fit > 0
    assert record.history is None


def test_a_run_records_that_copies_were_searched_for_through_an_index(
    config: FitConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def indexed(*args: Any, **kwargs: Any) -> TwinTable:
        table = table_of_rows(*args, **kwargs)
        return replace(table, twins=replace(table.twins, indexed=True))

    assert not one(config).record.split.copies_indexed
    monkeypatch.setattr("fer_features.fit.dataset.table_of_rows", indexed)
    assert one(config).record.split.copies_indexed


def test_the_same_fit_replaces_its_run_and_another_does_not(config: FitConfig) -> None:
    first, again = one(config), one(config)
    other = one(replace(config, seed=1))
    assert first.path == again.path != other.path
    assert one(replace(config, jobs=2)).path == first.path  # it changes no number
    assert len(list_runs(config.runs_dir)) == 2
    for part in ("validation", "test"):
        assert getattr(first.record, part) == getattr(again.record, part)


def test_no_pickle_is_written(config: FitConfig) -> None:
    runs = fit_each(replace(config, heads=("logreg", "svm")))
    names = {path.suffix for run in runs for path in run.path.iterdir()}
    assert names == {".json", ".npz", ".skops"}


def test_cross_validation_gives_mean_and_spread(config: FitConfig) -> None:
    cv = one(replace(config, cv=3)).record.cv
    accuracy = cv.values["accuracy"]
    assert len(accuracy) == 3
    assert cv.mean["accuracy"] == pytest.approx(np.mean(accuracy))
    assert cv.std["accuracy"] == pytest.approx(np.std(accuracy, ddof=1))


def test_cross_validation_never_sees_a_test_row(
    config: FitConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fer_features.heads.logreg import LogisticRegressionHead

    seen: list[np.ndarray] = []
    plain = LogisticRegressionHead.fit

    def spied(self: Any, X: np.ndarray, y: np.ndarray, **others: Any) -> Any:
        seen.append(X)
        return plain(self, X, y, **others)

    monkeypatch.setattr(LogisticRegressionHead, "fit", spied)
    one(replace(config, cv=3))
    assert config.cache is not None
    with Cache(config.cache) as cache:
        dataset, split = split_of(cache, config)
        X = cache.read("second", "pooled", dataset.rows)
    held = {row.tobytes() for row in X[split.test]}
    assert len(seen) == 4  # three folds and the fit itself
    assert not any(row.tobytes() in held for part in seen for row in part)


def test_another_task_can_be_fitted_on_the_same_cache(config: FitConfig, tmp_path: Path) -> None:
    file = tmp_path / "pair.toml"
    file.write_text('[classes]\nangry = ["angry"]\nhappy = ["happy"]\n')
    record = one(replace(config, task=str(file), per_class=30)).record
    assert record.task.name == "pair"
    assert record.data.rows == 60
    assert record.test.classes == ["angry", "happy"]


def test_a_task_that_the_cache_lacks_is_an_error(config: FitConfig) -> None:
    with pytest.raises(FerError):
        one(replace(config, task="seven"))


def test_the_official_parts_can_be_used(config: FitConfig) -> None:
    split = one(replace(config, split="usage")).record.split
    assert split.seed is None
    assert split.train > split.validation


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"heads": ("forest",)}, "forest"),
        ({"params": {"colour": 1}}, "colour"),
        ({"split": "random"}, "random"),
        ({"features": "third"}, "no layer third"),
        ({"views": ("blur",)}, "blur"),
        ({"calibrate": "magic"}, "magic"),
        ({"seeds": 0}, "--seeds 0"),
        ({"cv": 1}, "--cv 1"),
        ({"jobs": 0}, "--jobs 0"),
        ({"jobs": 1_000_000}, "--jobs 1000000"),
        ({"seed": -1}, "--seed"),
        ({"seed": 2**32}, "--seed"),
        ({"seed": 2**32 - 2, "seeds": 3}, "--seed"),
        ({"params": {"random_state": 3}}, "random_state"),
        ({"cache": Path("nowhere.h5")}, "nowhere.h5"),
    ],
)
def test_a_mistake_is_named(config: FitConfig, change: dict[str, Any], named: str) -> None:
    with pytest.raises(FerError, match=named):
        one(replace(config, **change))
    assert not list_runs(config.runs_dir)


def test_a_run_is_json_that_anyone_can_read(config: FitConfig) -> None:
    run = one(replace(config, heads=("svm",)))
    text = (run.path / "run.json").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in run.json"))
