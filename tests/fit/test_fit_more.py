"""What a fit can be asked for beyond a score: seeds, sizes, calibration, thresholds, votes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_command import parsed
from test_dataset import write_votes

from fer_features.cache import Cache
from fer_features.config import FitConfig
from fer_features.data.splits import Split
from fer_features.errors import FerError
from fer_features.fit.dataset import Dataset
from fer_features.fit.fit import fit_each
from fer_features.heads import load_head
from fer_features.heads.calibration import Calibrator
from fer_features.runs.compare import compare
from fer_features.runs.repeats import leak_effects, over_seeds
from fer_features.runs.run import Run


@pytest.fixture
def config(tiny_cache: Path, tmp_path: Path) -> FitConfig:
    params = {"ridge.alphas": (1.0, 10.0)}
    return FitConfig(
        cache=tiny_cache, runs_dir=tmp_path / "runs", heads=("ridge",), params=params, jobs=1
    )


def one(config: FitConfig) -> Run:
    (run,) = fit_each(config)
    return run


def test_permuting_the_test_labels_changes_nothing_that_was_chosen(
    config: FitConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = replace(
        config, calibrate="platt", operate=("precision", 0.5), sizes=True, cv=3, heads=("logreg",)
    )
    wanted = replace(wanted, params={})
    plain = one(wanted)
    before = (plain.path / plain.record.files["model"]).read_bytes()
    model = load_head("logreg", plain.path / plain.record.files["model"])

    from fer_features.fit import fit as module

    original = module.split_dataset

    def permuted(*args: Any) -> tuple[Dataset, Split]:
        dataset, split = original(*args)
        label = dataset.y.copy()
        label[split.test] = np.random.default_rng(0).permutation(label[split.test])
        return replace(dataset, y=label), split

    monkeypatch.setattr(module, "split_dataset", permuted)
    other = one(replace(wanted, runs_dir=config.runs_dir / "permuted"))
    assert other.record.test.confusion != plain.record.test.confusion
    for name in ("validation", "cv", "sizes"):
        assert getattr(other.record, name) == getattr(plain.record, name), name
    assert other.record.head.chosen == plain.record.head.chosen
    assert other.record.operate.threshold == plain.record.operate.threshold
    assert other.record.calibration.calibrator == plain.record.calibration.calibrator
    again = load_head("logreg", other.path / other.record.files["model"])
    assert (again.model_.coef_ == model.model_.coef_).all()
    assert before


def test_the_test_rows_are_scored_once(config: FitConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from fer_features.heads.ridge import RidgeHead

    asked: list[int] = []
    plain = RidgeHead.predict_proba

    def counted(self: RidgeHead, X: np.ndarray) -> np.ndarray:
        asked.append(len(X))
        return plain(self, X)

    monkeypatch.setattr(RidgeHead, "predict_proba", counted)
    run = one(config)
    test, validation = run.record.split.test, run.record.split.validation
    assert sorted(asked) == sorted([validation, test])


def test_predictions_are_what_was_scored(config: FitConfig) -> None:
    run = one(replace(config, split="reference"))
    predicted = run.predictions()
    for name, part in vars(predicted).items():
        right = part.probability.argmax(axis=1) == part.label
        assert getattr(run.record, name).accuracy == pytest.approx(right.mean())
    leaked = run.record.split.leaked
    assert predicted.test.twin.sum() == leaked.exact + leaked.near == run.record.leak.test_twins
    low, high = run.record.intervals["accuracy"]
    assert low <= run.record.test.accuracy <= high


def test_the_command_of_a_later_seed_draws_the_rows_that_it_was_fitted_on(
    config: FitConfig,
) -> None:
    (_, second) = fit_each(replace(config, per_class=30, seed=4, seeds=2))
    assert second.record.seed == 5
    again = parsed(FitConfig, second.record.command)
    *_, repeated = fit_each(replace(again, runs_dir=config.runs_dir / "again"))
    assert repeated.record.id == second.record.id
    assert repeated.record.test == second.record.test


def test_several_seeds_split_anew_and_are_summed_up(config: FitConfig) -> None:
    runs = list(fit_each(replace(config, seeds=3)))
    assert [run.record.seed for run in runs] == [0, 1, 2]
    rows = [run.predictions().test.row.tolist() for run in runs]
    assert rows[0] != rows[1] != rows[2]
    assert "--seed 2" in runs[2].record.command
    assert "--seeds" not in runs[2].record.command
    (summary,) = over_seeds(runs)
    assert len(summary.runs) == 3


def test_the_split_that_leaks_shows_what_that_does(config: FitConfig) -> None:
    runs = [one(config), one(replace(config, split="reference"))]
    (found,) = leak_effects(runs)
    record = found.run.record
    assert found.with_copy.n == record.leak.test_twins > 0
    assert found.without_copy is not None
    correct = found.with_copy.correct + found.without_copy.correct
    assert correct / record.split.test == pytest.approx(record.test.accuracy)
    assert len(compare(runs).tables) == 2


def test_a_run_records_whether_its_images_are_fer2013(
    config: FitConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = one(config)
    assert plain.record.data.fer2013 is False
    monkeypatch.setattr("fer_features.fit.data_record.is_fer2013", lambda sha256: True)
    other = one(config)
    assert other.record.data.fer2013 is True
    assert other.path == plain.path


def test_calibration_and_threshold_are_fitted_on_validation(config: FitConfig) -> None:
    plain = one(config)
    run = one(replace(config, calibrate="isotonic", operate=("recall", 0.8)))
    assert run.path != plain.path
    calibrator = Calibrator.from_dict(run.record.calibration.calibrator)
    for name in ("validation", "test"):
        before = getattr(plain.predictions(), name).probability
        after = getattr(run.predictions(), name).probability
        assert after == pytest.approx(calibrator.apply(before), abs=1e-9)
    assert run.record.calibration.before.test.brier == plain.record.test.brier
    operate = run.record.operate
    assert operate.validation.recall >= 0.8
    part = run.predictions().test
    predicted = part.probability[:, 1] >= operate.threshold
    assert operate.test.recall == pytest.approx(
        (predicted & (part.label == 1)).sum() / (part.label == 1).sum()
    )


def test_an_unattainable_target_does_not_cost_the_fit(config: FitConfig) -> None:
    never = replace(config, operate=("precision", 0.999), params={"ridge.alphas": (1e9,)})
    operate = one(never).record.operate
    assert operate.threshold is None
    assert "precision of 0.999" in operate.unmet


def test_sizes_grow_to_all_training_rows(config: FitConfig) -> None:
    run = one(replace(config, sizes=True))
    rows = [each.rows for each in run.record.sizes]
    assert rows == sorted(rows)
    assert rows[-1] == run.record.split.train
    assert run.record.sizes[-1].validation_accuracy == run.record.validation.accuracy
    assert (run.path / run.record.files["sizes"]).read_bytes().startswith(b"\x89PNG")


def test_a_plain_fit_does_not_take_the_place_of_one_with_folds_or_sizes(config: FitConfig) -> None:
    runs = [one(config), one(replace(config, cv=2)), one(replace(config, sizes=True))]
    assert len({run.path for run in runs}) == 3


@pytest.mark.long
def test_a_keras_head_trains_on_shares_of_votes(config: FitConfig, tmp_path: Path) -> None:
    assert config.cache is not None
    with Cache(config.cache) as cache:
        rows = {row: {"happiness": 6, "sadness": 4} for row in cache.rows.source_row[:40].tolist()}
        file = write_votes(tmp_path / "votes.csv", cache, rows=rows)
    wanted = replace(config, heads=("mlp",), params={"epochs": 3}, ferplus=file)
    hard = one(replace(wanted, labels="ferplus"))
    soft = one(replace(wanted, labels="soft"))
    assert hard.record.data.digest == soft.record.data.digest
    assert hard.record.history["loss"] != soft.record.history["loss"]
    with pytest.raises(FerError, match="ridge"):
        one(replace(config, ferplus=file, labels="soft"))
    logged: list[str] = []
    names = fit_each(
        replace(wanted, heads=("all",), labels="soft", params={"mlp.epochs": 1, "dense.epochs": 1}),
        log=logged.append,
    )
    assert [run.record.head.name for run in names] == ["dense", "mlp"]
    assert any("ridge" in line for line in logged)


def test_a_parameter_may_be_for_one_head(config: FitConfig) -> None:
    params = {"ridge.alphas": (3.0,), "validation_fraction": 0.3}
    runs = list(fit_each(replace(config, heads=("ridge", "logreg"), params=params)))
    assert [run.record.head.params["validation_fraction"] for run in runs] == [0.3, 0.3]
    assert runs[0].record.head.params["alphas"] == [3.0]
    with pytest.raises(FerError, match="svm"):
        one(replace(config, params={"svm.Cs": (1.0,)}))


def test_all_heads_that_the_cache_has_features_for(config: FitConfig) -> None:
    logged: list[str] = []
    params = {"dense.epochs": 1, "mlp.epochs": 1}
    runs = list(fit_each(replace(config, heads=("all",), params=params), log=logged.append))
    assert [run.record.head.name for run in runs] == [
        "dense",
        "logreg",
        "svm",
        "mlp",
        "ridge",
        "ensemble",
    ]
    assert logged == []
    members = {run.record.head.name: run.predictions().test.probability for run in runs}
    chosen = runs[-1].record.head.chosen
    assert chosen["fitted_before"] == ["ridge", "svm"]
    mean = np.mean([members[name] for name in chosen["members"]], axis=0)
    assert members["ensemble"] == pytest.approx(mean, abs=1e-5)
    (table,) = compare(runs).tables
    verdict = table.verdict
    assert verdict is not None
    assert len(verdict.others) == 5


def test_the_command_of_an_ensemble_holds_the_parameters_of_its_members(
    config: FitConfig,
) -> None:
    params = {"ridge.alphas": (1.0, 10.0)}
    runs = list(fit_each(replace(config, heads=("ridge", "ensemble"), params=params)))
    words = runs[-1].record.command.split()
    assert words[words.index("--head") + 1] == "ridge,ensemble"
    assert any(word.startswith("ridge.alphas=") for word in runs[-1].record.command.split("'"))


def test_the_command_of_a_run_repeats_it(config: FitConfig) -> None:
    from typer.testing import CliRunner

    from fer_features.cli import app

    first = one(replace(config, split="reference", seed=3, calibrate="platt", drop=("constant",)))
    words = first.record.command.split()
    assert words[:2] == ["fer", "fit"]
    import shlex

    args = [*shlex.split(first.record.command)[1:], "--runs-dir", str(config.runs_dir / "again")]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.output
    (again,) = (config.runs_dir / "again").iterdir()
    assert again.name == first.path.name


def test_a_failed_fit_leaves_no_empty_folder(config: FitConfig) -> None:
    with pytest.raises(FerError):
        one(replace(config, features="third"))
    assert not config.runs_dir.exists()
