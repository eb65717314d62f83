"""Grids of means, and mirror images as rows of their own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_features.cache import Cache
from fer_features.config import FitConfig
from fer_features.errors import FerError
from fer_features.fit.dataset import load_dataset
from fer_features.fit.features import read_features
from fer_features.fit.fit import fit_each
from fer_features.fit.split import split_dataset
from fer_features.heads import load_head
from fer_features.metrics import log_loss

LOGREG = FitConfig(heads=("logreg",), views=("flip",), jobs=1)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One layer of the tiny backbone with all outputs, of the images and their mirror images."""
    from conftest import extract_tiny

    folder = tmp_path_factory.mktemp("cache")
    outputs = ("pooled", "grid3", "map")
    return extract_tiny(folder, per_class=30, layers=("second",), outputs=outputs, views=("flip",))


@pytest.fixture
def config(path: Path, tmp_path: Path) -> FitConfig:
    return replace(LOGREG, cache=path, runs_dir=tmp_path / "runs")


def arrays(path: Path, config: FitConfig, output: str):
    """Plain and mirrored features, labels, groups, and the split's parts."""
    with Cache(path) as cache:
        dataset, split = split_dataset(load_dataset(cache, config), config)
        views = [read_features(dataset, output, view=view) for view in ("", "flip")]
    return *views, dataset.y, dataset.groups.linked, split


def test_a_grid_is_what_heads_on_vectors_are_fitted_to(config: FitConfig, path: Path) -> None:
    (run,) = fit_each(replace(config, views=()))
    assert run.record.head.features == "grid3"
    assert "grid3" in run.record.features()
    (pooled,) = fit_each(replace(config, views=(), pooling="pooled"))
    assert pooled.record.head.features == "pooled"
    assert "--pooling pooled" in pooled.record.command
    assert pooled.record.id != run.record.id
    with Cache(path) as cache:
        shapes = cache.shapes()
    assert shapes["second/grid3"][1] == 9 * shapes["second/pooled"][1]


@pytest.mark.parametrize("head", ["logreg", "dense"])
def test_mirror_images_are_rows_and_their_probabilities_are_averaged(
    config: FitConfig, path: Path, head: str
) -> None:
    params = {"epochs": 2} if head == "dense" else {}
    rows = replace(config, heads=(head,), combine="rows", params=params)
    (run,) = fit_each(rows)
    model = load_head(head, run.path / run.record.files["model"])
    plain, mirrored, y, _, split = arrays(path, config, run.record.head.features)
    probability = np.mean(
        [model.predict_proba(one[split.test]) for one in (plain, mirrored)], axis=0
    )
    assert run.record.test.log_loss == pytest.approx(log_loss(y[split.test], probability), abs=1e-5)
    assert run.record.head.combine == "rows"
    assert "--combine rows" in run.record.command
    if head == "logreg":  # the same rows, given to the head by hand
        train, valid = split.train, split.validation
        again = type(model)(n_jobs=1).fit(
            np.concatenate([plain[train], mirrored[train]]),
            np.concatenate([y[train]] * 2),
            validation=(
                np.concatenate([plain[valid], mirrored[valid]]),
                np.concatenate([y[valid]] * 2),
            ),
        )
        assert again.predict_proba(plain) == pytest.approx(model.predict_proba(plain), abs=1e-4)


def test_an_image_and_its_mirror_image_are_never_separated(
    config: FitConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fer_features.heads.logreg import LogisticRegressionHead

    given = {}
    fit = LogisticRegressionHead.fit

    def listen(self, X, y, **options):
        given.update(options, n=len(X))
        return fit(self, X, y, **options)

    monkeypatch.setattr(LogisticRegressionHead, "fit", listen)
    list(fit_each(replace(config, combine="rows")))
    first, second = np.split(given["groups"], 2)
    assert (first == second).all()
    assert len(given["groups"]) == given["n"]


def test_the_better_way_on_validation_is_kept(config: FitConfig) -> None:
    found = {}
    for combine in ("features", "rows"):
        (run,) = fit_each(replace(config, combine=combine))
        found[combine] = run.record
    (best,) = fit_each(replace(config, combine="best"))
    losses = {name: one.validation.log_loss for name, one in found.items()}
    better = min(losses, key=losses.__getitem__)
    assert best.record.head.combine == better
    assert best.record.head.combined == pytest.approx(losses)
    assert best.record.test == found[better].test


def test_an_ensemble_averages_members_that_were_fitted_the_same_way(config: FitConfig) -> None:
    runs = list(fit_each(replace(config, heads=("ridge", "svm", "ensemble"), combine="best")))
    assert runs[-1].record.head.chosen["fitted_before"] == ["ridge", "svm"]
    assert set(runs[-1].record.head.combined or ()) == {"features", "rows"}


def test_combining_needs_a_view(config: FitConfig) -> None:
    with pytest.raises(FerError) as error:
        list(fit_each(replace(config, views=(), combine="rows")))
    assert "--views flip" in error.value.hint


@pytest.mark.parametrize(("name", "value"), [("combine", "mean"), ("pooling", "map")])
def test_unknown_values_are_named(config: FitConfig, name: str, value: str) -> None:
    with pytest.raises(FerError) as error:
        list(fit_each(replace(config, **{name: value})))
    assert value in error.value.message
