"""Metrics: the published confusion matrix, cases worked out by hand, and scikit-learn's numbers."""

import json
import math
import warnings

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fer_features import metrics
from fer_features.metrics.curves import expected_calibration_error, reliability, roc_of


def one_hot(codes, n_classes):
    return np.eye(n_classes)[codes]


@st.composite
def labelled_probabilities(draw):
    """Codes and probabilities of 2 to 4 classes; coarse weights make ties and zeros common."""
    n_classes = draw(st.integers(2, 4))
    n = draw(st.integers(1, 30))
    y = draw(hnp.arrays(np.int64, n, elements=st.integers(0, n_classes - 1)))
    weight = draw(hnp.arrays(np.int64, (n, n_classes), elements=st.integers(0, 4)))
    weight[:, 0] += weight.sum(axis=1) == 0
    return y, weight / weight.sum(axis=1, keepdims=True)


def test_published_confusion_gives_published_scores():
    tn, fp, fn, tp = 1384, 316, 383, 1317
    y = np.repeat([0, 0, 1, 1], [tn, fp, fn, tp])
    predicted = np.repeat([0, 1, 0, 1], [tn, fp, fn, tp])
    scores = metrics.score(
        y, one_hot(predicted, 2), classes=("not happy", "happy"), positive="happy"
    )
    assert scores.n == 3400
    assert scores.confusion == [[tn, fp], [fn, tp]]
    found = [scores.accuracy, scores.precision, scores.recall, scores.f1]
    assert [round(value, 4) for value in found] == [0.7944, 0.8065, 0.7747, 0.7903]


def test_positive_names_the_class_that_is_meant():
    y = np.array([0, 0, 0, 1])
    probability = one_hot([0, 0, 1, 1], 2)
    happy = metrics.score(y, probability, classes=("other", "happy"), positive="happy")
    other = metrics.score(y, probability, classes=("other", "happy"), positive="other")
    macro = metrics.score(y, probability, classes=("other", "happy"))
    assert (happy.precision, happy.recall, happy.f1) == (0.5, 1.0, 2 / 3)
    assert (other.precision, other.recall, other.f1) == (1.0, 2 / 3, 0.8)
    assert macro.precision == 0.75
    assert macro.recall == pytest.approx(5 / 6)
    assert macro.f1 == pytest.approx((2 / 3 + 0.8) / 2)
    assert macro.positive is None


def test_more_than_two_classes_are_macro_whatever_is_positive():
    y = np.array([0, 1, 2, 2])
    scores = metrics.score(y, one_hot([0, 1, 2, 1], 3), classes=("a", "b", "c"), positive="a")
    assert scores.positive is None
    assert scores.precision == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert scores.recall == pytest.approx((1 + 1 + 1 / 2) / 3)


def test_equal_probabilities_predict_the_lowest_code():
    scores = metrics.score(np.array([0, 1]), np.full((2, 2), 0.5), classes=("a", "b"))
    assert scores.confusion == [[1, 0], [1, 0]]


def test_roc_auc_counts_ties_one_half():
    y = np.array([0, 0, 1, 1])
    happy = np.array([0.1, 0.5, 0.5, 0.9])  # of four pairs three are right and one is a tie
    p = np.column_stack([1 - happy, happy])
    assert metrics.score(y, p, classes=("a", "b")).roc_auc == 3.5 / 4


def test_log_loss_is_the_mean_surprise_in_nats():
    probability = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert metrics.log_loss(np.array([0, 1]), probability) == pytest.approx(
        (math.log(2) - math.log(0.75)) / 2, abs=1e-15
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_of_a_certain_mistake_is_finite(dtype):
    probability = np.array([[0, 1]], dtype)
    expected = -math.log(np.finfo(dtype).eps)
    assert metrics.log_loss(np.array([0]), probability) == pytest.approx(expected)


def test_one_class_leaves_roc_auc_undefined_and_json_valid():
    scores = metrics.score(np.zeros(3, int), one_hot([0, 1, 0], 2), classes=("a", "b"))
    assert scores.roc_auc is None
    text = json.dumps(scores.to_dict(), allow_nan=False)
    assert json.loads(text) == {
        "n": 3,
        "classes": ["a", "b"],
        "positive": None,
        "accuracy": pytest.approx(2 / 3),
        "balanced_accuracy": pytest.approx(2 / 3),  # of the one class that occurs
        "precision": 0.5,
        "recall": pytest.approx(1 / 3),
        "f1": pytest.approx(0.4),
        "roc_auc": None,
        "average_precision": None,
        "log_loss": pytest.approx(-math.log(np.finfo(float).eps) / 3),
        "brier": pytest.approx(1 / 3),
        "ece": pytest.approx(1 / 3),
        "confusion": [[2, 1], [0, 0]],
    }


@settings(max_examples=50, deadline=None)
@given(labelled_probabilities())
def test_agrees_with_scikit_learn(case):
    y, p = case
    labels = list(range(p.shape[1]))
    predicted = p.argmax(axis=1)
    scores = metrics.score(y, p, classes=[str(k) for k in labels])
    macro = sklearn.metrics.precision_recall_fscore_support(
        y, predicted, average="macro", zero_division=0
    )[:3]
    with warnings.catch_warnings():  # scikit-learn's NaN, where a class is absent, comes so
        warnings.simplefilter("ignore", sklearn.exceptions.UndefinedMetricWarning)
        roc_auc = (
            sklearn.metrics.roc_auc_score(y, p[:, 1])
            if len(labels) == 2
            else np.mean([sklearn.metrics.roc_auc_score(y == k, p[:, k]) for k in labels])
        )
    np.testing.assert_array_equal(
        scores.confusion, sklearn.metrics.confusion_matrix(y, predicted, labels=labels)
    )
    np.testing.assert_allclose(
        [scores.accuracy, scores.precision, scores.recall, scores.f1, scores.roc_auc or np.nan],
        [sklearn.metrics.accuracy_score(y, predicted), *macro, roc_auc or np.nan],
        rtol=0,
        atol=1e-12,
    )
    assert scores.log_loss == pytest.approx(
        sklearn.metrics.log_loss(y, p, labels=labels), abs=1e-12
    )


@settings(max_examples=50, deadline=None)
@given(labelled_probabilities())
def test_other_scores_agree_with_scikit_learn(case):
    y, p = case
    k, predicted = p.shape[1], p.argmax(axis=1)
    scores = metrics.score(y, p, classes=[str(code) for code in range(k)])
    ranked = [1] if k == 2 else list(range(k))
    with warnings.catch_warnings():  # of classes that do not occur
        warnings.simplefilter("ignore")
        balanced = sklearn.metrics.balanced_accuracy_score(y, predicted)
        precision = np.mean(
            [sklearn.metrics.average_precision_score(y == code, p[:, code]) for code in ranked]
        )
    brier = (
        sklearn.metrics.brier_score_loss(y, p, labels=list(range(k)))
        if k > 2
        else sklearn.metrics.brier_score_loss(y, p[:, 1], pos_label=1)
    )
    assert scores.balanced_accuracy == pytest.approx(balanced, rel=0, abs=1e-12)
    assert scores.brier == pytest.approx(brier, rel=0, abs=1e-12)
    if set(ranked) <= set(y.tolist()):
        assert scores.average_precision == pytest.approx(precision, rel=0, abs=1e-12)
    else:
        assert scores.average_precision is None


def test_calibration_error_is_the_mean_gap_between_confidence_and_accuracy():
    # Two rows at 0.9, one of them right: the gap is 0.4. Two at 0.6, both right: 0.4 again. One at
    # 0.75, wrong: 0.75.
    happy = np.array([0.9, 0.9, 0.6, 0.6, 0.75])
    y = np.array([1, 0, 1, 1, 0])
    p = np.column_stack([1 - happy, happy])
    assert expected_calibration_error(y, p) == pytest.approx((4 * 0.4 + 0.75) / 5)
    steps = reliability(y, p)
    assert steps.weight.tolist() == [2, 1, 2]
    assert steps.confidence == pytest.approx([0.6, 0.75, 0.9])
    assert steps.accuracy.tolist() == [1, 0, 0.5]


def test_perfect_confidence_falls_into_the_last_step():
    assert expected_calibration_error(np.array([0, 1]), np.eye(2)) == 0.0


def test_average_precision_is_about_the_positive_class():
    y, happy = np.array([1, 0, 1]), np.array([0.9, 0.8, 0.1])
    p = np.column_stack([1 - happy, happy])
    for positive, expected in ((None, (1 + 2 / 3) / 2), ("other", 1 / 2)):
        scores = metrics.score(y, p, classes=("other", "happy"), positive=positive)
        assert scores.average_precision == pytest.approx(expected)


def test_the_roc_curve_runs_from_nothing_to_everything():
    positive = np.array([0.9, 0.5, 0.5])
    p = np.column_stack([1 - positive, positive])
    alarms, hits = roc_of(np.array([1, 0, 1]), p)
    assert alarms.tolist() == [0, 0, 1]
    assert hits.tolist() == [0, 0.5, 1]


@settings(max_examples=50, deadline=None)
@given(labelled_probabilities())
def test_scores_of_one_class_agree_with_scikit_learn(case):
    y, p = case
    names = [str(code) for code in range(p.shape[1])]
    for code, positive in enumerate(names if len(names) == 2 else []):
        expected = sklearn.metrics.precision_recall_fscore_support(
            y, p.argmax(axis=1), labels=[code], average="macro", zero_division=0
        )[:3]
        found = metrics.score(y, p, classes=names, positive=positive)
        np.testing.assert_allclose(
            [found.precision, found.recall, found.f1], expected, rtol=0, atol=1e-12
        )


GOOD = np.array([[0.5, 0.5], [0.2, 0.8]])


@pytest.mark.parametrize(
    ("y", "probability", "message"),
    [
        ([0, 1, 1], GOOD, r"codes .*\(2,\).*\(3,\)"),
        ([0, 2], GOOD, "codes .*0 to 1"),
        ([-1, 1], GOOD, "codes .*0 to 1"),
        ([0.0, 1.0], GOOD, "codes .*int.*float64"),
        ([[0], [1]], GOOD, r"codes .*\(2,\).*\(2, 1\)"),
        ([0, 1], np.array([0.5, 0.8]), r"probabilities .*\(2,\)"),
        ([0, 1], np.ones((2, 1)), r"probabilities .*\(2, 1\)"),
        ([0, 1], np.array([[0.5, 0.5], [math.nan, 0.8]]), "probabilities .*0 to 1"),
        ([0, 1], np.array([[0.5, 0.5], [0.5, 0.8]]), "probabilities .*sum"),
        ([0, 1], np.array([[0.5, 0.5], [-0.5, 1.5]]), "probabilities .*0 to 1"),
        (np.empty(0, int), np.empty((0, 2)), "rows"),
    ],
)
def test_what_does_not_fit_together_is_refused(y, probability, message):
    with pytest.raises(ValueError, match=message):
        metrics.score(np.asarray(y), probability, classes=("a", "b"))


@pytest.mark.parametrize(
    ("classes", "positive", "message"),
    [
        (("a", "b", "c"), None, r"\b3\b.*\b2\b"),
        (("a", "b"), "happy", "'happy'.* a, b"),
    ],
)
def test_class_names_that_do_not_fit_are_refused(classes, positive, message):
    with pytest.raises(ValueError, match=message):
        metrics.score(np.array([0, 1]), GOOD, classes=classes, positive=positive)
