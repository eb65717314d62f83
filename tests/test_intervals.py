import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_features import metrics
from fer_features.intervals import bootstrap, difference, draws, holm, mcnemar
from fer_features.verdicts import verdict


def case(
    n: int, n_classes: int, *, seed: int = 0, coarse: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Codes and probabilities that know something of them; with `coarse`, many are tied."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(n_classes, size=n)
    codes[:n_classes] = np.arange(n_classes)
    weight = rng.random((n, n_classes)) + 0.5 * np.eye(n_classes)[codes]
    weight = np.ceil(4 * weight) if coarse else weight
    return codes, weight / weight.sum(axis=1, keepdims=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 4), st.booleans())
def test_each_resample_is_scored_as_the_metrics_score_weights(
    seed: int, k: int, coarse: bool
) -> None:
    codes, p = case(40, k, seed=seed, coarse=coarse)
    names = [str(code) for code in range(k)]
    positive = "1" if k == 2 else None
    (low_high,) = [bootstrap(codes, p, classes=names, positive=positive, n=1, seed=seed)]
    (w,) = next(draws(codes, n=1, seed=seed))
    said = p.argmax(axis=1)
    precision, recall, f1 = metrics.precision_recall_f1(
        codes, said, n_classes=k, positive=1 if positive else None, weights=w
    )
    expected = {
        "accuracy": metrics.accuracy(codes, said, weights=w),
        "balanced_accuracy": metrics.balanced_accuracy(codes, said, n_classes=k, weights=w),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "roc_auc": metrics.roc_auc(codes, p, weights=w),
        "average_precision": metrics.average_precision(codes, p, weights=w),
        "log_loss": metrics.log_loss(codes, p, weights=w),
        "brier": metrics.brier(codes, p, weights=w),
        "ece": metrics.expected_calibration_error(codes, p, weights=w),
    }
    assert set(low_high) == set(metrics.NUMBERS)
    for name, value in expected.items():
        assert low_high[name] == pytest.approx((value, value), abs=1e-12), name


def test_each_class_keeps_its_number_of_rows() -> None:
    codes = np.array([0, 0, 0, 1, 2, 2])
    for block in draws(codes, n=300, seed=0):
        for code, count in enumerate([3, 1, 2]):
            assert (block[:, codes == code].sum(axis=1) == count).all()


def test_the_interval_of_accuracy_is_that_of_a_share() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(2000) < 0.8
    codes = np.tile([0, 1], 1000)
    p = np.eye(2)[np.where(right, codes, 1 - codes)]
    low, high = bootstrap(codes, p, classes=("a", "b"))["accuracy"]
    half = 1.96 * np.sqrt(0.8 * 0.2 / 2000)
    assert (low, high) == pytest.approx((right.mean() - half, right.mean() + half), abs=0.003)


def test_the_same_seed_gives_the_same_interval() -> None:
    codes, p = case(50, 2)
    first, again, other = (
        bootstrap(codes, p, classes=("a", "b"), n=200, seed=seed)["f1"] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_what_one_class_leaves_undefined_has_no_interval() -> None:
    found = bootstrap(np.zeros(4, int), np.eye(2)[[0, 0, 1, 0]], classes=("a", "b"), n=20)
    assert np.isnan(found["roc_auc"]).all()
    assert np.isfinite(found["accuracy"]).all()


def hits(*right: int) -> NDArray[np.float64]:
    """Probabilities that are right on class 1 where told so."""
    return np.eye(2)[list(right)]


def test_a_difference_is_paired() -> None:
    y = np.ones(200, int)
    strong = hits(*[1] * 150, *[0] * 50)
    weak = hits(*[1] * 140, *[0] * 60)  # right only where the other is
    found = difference(y, strong, weak)
    assert found.value == pytest.approx(0.05)
    assert 0 < found.low < found.value < found.high < 0.1
    same = difference(y, strong, strong)
    assert same == (0, 0, 0)


def test_mcnemar_is_a_coin_thrown_for_the_rows_they_differ_in() -> None:
    y = np.ones(10, int)
    a, b = np.array([1] * 8 + [0] * 2), np.array([0] * 4 + [1] * 6)
    found = mcnemar(y, a, b)
    assert (found.only_a, found.only_b) == (4, 2)
    assert found.p == pytest.approx(2 * (15 + 6 + 1) / 64)
    assert mcnemar(y, a, a).p == 1


def test_holm_multiplies_the_smallest_most() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_best_is_said_only_where_the_intervals_say_it() -> None:
    y = np.ones(200, int)
    strong, weak = hits(*[1] * 150, *[0] * 50), hits(*[1] * 120, *[0] * 80)
    close = hits(*[1] * 149, *[0] * 51)
    sure = verdict(["strong", "weak"], y, [strong, weak])
    assert sure.best
    assert sure.text().startswith("strong is best")
    unsure = verdict(["strong", "weak", "close"], y, [strong, weak, close])
    assert not unsure.best
    assert unsure.text() == (
        "strong is first on validation. On test it is ahead, by more than chance, of weak. "
        "It cannot be told apart from close."
    )
    wrong = verdict(["weak", "strong"], y, [weak, strong])
    assert "On test it is behind strong." in wrong.text()
    assert wrong.to_dict()["others"][0]["p"] < 0.001


def test_heads_on_the_same_features_are_told_together() -> None:
    y = np.ones(200, int)
    strong, weak = hits(*[1] * 150, *[0] * 50), hits(*[1] * 100, *[0] * 100)
    names = ["svm on hog", "svm on pixels", "mlp on pixels", "mlp on hog"]
    said = verdict(names, y, [strong, weak, weak, strong]).text()
    assert "of svm and mlp on pixels." in said
    assert "It cannot be told apart from mlp on hog." in said


def test_probabilities_of_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="not paired"):
        difference(np.ones(2, int), hits(1, 1), hits(1, 1, 1))
