"""Intervals of scores: by hand, against scipy, and by how often they cover the truth."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest

from fer_features import metrics
from fer_features.metrics.influence import auc_influence, f1_influence, precision_influence
from fer_features.metrics.intervals import (
    WITH_INTERVAL,
    logit_interval,
    macro_interval,
    mean_interval,
    score_intervals,
    share_interval,
)


def load_benchmark(name: str) -> Any:
    """A script of ``benchmarks/`` as a module."""
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def case(n: int, n_classes: int, *, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Codes and probabilities that know something of them, many of them tied."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(n_classes, size=n)
    codes[:n_classes] = np.arange(n_classes)
    weight = np.ceil(4 * (rng.random((n, n_classes)) + 0.5 * np.eye(n_classes)[codes]))
    return codes, weight / weight.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (68, 73), (3162, 3400)])
def test_shares_have_wilsons_interval(hits: int, n: int) -> None:
    known = binomtest(hits, n).proportion_ci(method="wilson")
    assert share_interval(hits, n) == pytest.approx((known.low, known.high))


def test_accuracy_precision_and_recall_are_shares_and_f1_is_of_one() -> None:
    codes = np.repeat([0, 0, 1, 1], [40, 10, 5, 45])
    said = np.repeat([0, 1, 0, 1], [40, 10, 5, 45])
    found = score_intervals(codes, np.eye(2)[said], classes=("a", "b"), positive="b")
    assert found["accuracy"] == share_interval(85, 100)
    assert found["precision"] == share_interval(45, 55)
    assert found["recall"] == share_interval(45, 50)
    low, high = share_interval(45, 60)  # hits among rows that are b or called b
    assert found["f1"] == (2 * low / (1 + low), 2 * high / (1 + high))


def test_every_score_but_ece_has_an_interval_around_it() -> None:
    for n_classes, positive in ((2, "1"), (2, None), (3, None)):
        codes, p = case(200, n_classes)
        names = [str(code) for code in range(n_classes)]
        scores = metrics.score(codes, p, classes=names, positive=positive)
        found = score_intervals(codes, p, classes=names, positive=positive)
        assert set(found) == set(WITH_INTERVAL) == set(metrics.NUMBERS) - {"ece"}
        for name, (low, high) in found.items():
            assert low < getattr(scores, name) < high, name


def test_no_interval_of_a_perfect_score_has_zero_width() -> None:
    codes = np.tile([0, 1], 20)
    p = np.where(codes[:, None] == [0, 1], 0.9, 0.1) + np.linspace(0, 0.05, 40)[:, None] * [-1, 1]
    found = score_intervals(codes, p, classes=("a", "b"), positive="b")
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc"):
        low, high = found[name]
        assert 0.7 < low < 0.95, name
        assert high == 1, name
    assert found["average_precision"] == found["roc_auc"] == share_interval(20, 20)


def test_what_one_class_leaves_undefined_has_no_interval() -> None:
    found = score_intervals(np.zeros(4, int), np.eye(2)[[0, 0, 1, 0]], classes=("a", "b"))
    assert np.isnan(found["roc_auc"]).all()
    assert np.isnan(found["average_precision"]).all()
    assert np.isfinite(found["accuracy"]).all()


def test_values_that_are_all_the_same_do_not_say_how_they_vary() -> None:
    assert np.isnan(mean_interval(np.full(10, 0.1))).all()
    assert np.isnan(mean_interval(np.array([0.1, 0.2]))).all()


def test_the_interval_of_many_rows_is_that_of_a_mean_without_skewness() -> None:
    values = np.random.default_rng(0).gamma(2, size=100_000)
    half = 1.96 * values.std() / np.sqrt(len(values))
    low, high = mean_interval(values)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=3e-4)
    assert high - values.mean() > values.mean() - low  # a long tail may hold more
    assert mean_interval(np.array([0, 0, 0, 0.9, 1.0]), most=1)[1] == 1


def test_a_class_that_is_never_called_might_have_any_precision() -> None:
    low, high = macro_interval(np.array([90, 0]), np.array([100, 0]))
    assert low > 0.4
    assert high == pytest.approx(0.45 + 0.5, abs=0.01)


def test_a_score_without_variance_is_as_sure_as_a_share_of_the_rarest_class() -> None:
    assert logit_interval(1.0, np.zeros(9), rows=4) == share_interval(4, 4)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_influence_is_the_change_of_a_score_with_a_rows_weight(seed: int) -> None:
    codes, p = case(15, 3, seed=seed)
    one, predicted, step = codes == 1, p.argmax(axis=1), 1e-6
    meant = np.union1d(codes, predicted)
    for (value, influence), score in (
        (
            auc_influence(one, p[:, 1]),
            lambda w: sklearn.metrics.roc_auc_score(one, p[:, 1], sample_weight=w),
        ),
        (
            precision_influence(one, p[:, 1]),
            lambda w: sklearn.metrics.average_precision_score(one, p[:, 1], sample_weight=w),
        ),
        (
            f1_influence(codes, predicted, meant=meant),
            lambda w: sklearn.metrics.f1_score(
                codes, predicted, average="macro", zero_division=0, sample_weight=w
            ),
        ),
    ):
        rows = np.eye(15) * step
        change = [(score(1 + row) - score(1 - row)) / (2 * step) for row in rows]
        assert value == pytest.approx(score(np.ones(15)))
        assert influence == pytest.approx(np.array(change), abs=1e-6)


COVERAGE = load_benchmark("coverage")
REPETITIONS = 400
PROPORTIONS = ("accuracy", "precision", "recall")


def least_coverage(name: str, n: int) -> float:
    """What is asked of an interval, less three standard errors of the repetitions."""
    asked = 0.94 if n > 100 or name in PROPORTIONS else 0.92
    return float(asked - 3 * np.sqrt(asked * (1 - asked) / REPETITIONS))


@pytest.mark.parametrize(
    ("model", "n"),
    [
        ("two classes, 0.80", 73),
        ("two classes, 0.93, overconfident", 73),
        ("two classes, 0.93, overconfident", 500),
    ],
)
def test_the_truth_is_covered_as_often_as_it_should_be(
    model: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of what ``benchmarks/coverage.py`` does."""
    monkeypatch.setattr(COVERAGE, "TRUTH_ROWS", 200_000)
    n_classes, draw = COVERAGE.MODELS[model]
    found = COVERAGE.coverage(draw, n_classes, n=n, repetitions=REPETITIONS)
    for name, (covered, known) in found.items():
        assert known == REPETITIONS
        assert covered >= least_coverage(name, n), name
