import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_features.errors import FerError
from fer_features.heads.calibration import Calibrator, choose_threshold, fit_calibrator
from fer_features.metrics.curves import expected_calibration_error
from fer_features.runtime.flags import parse_threshold


def overconfident(n_classes: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities with logits three times too large, and the true codes."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(4000, n_classes))
    true = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    sharp = np.exp(3 * z) / np.exp(3 * z).sum(axis=1, keepdims=True)
    codes = (true.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    return sharp, codes


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_overconfident_probabilities_become_true_ones(method: str, n_classes: int) -> None:
    p, codes = overconfident(n_classes)
    fitted = fit_calibrator(method, p[:2000], codes[:2000])
    after = fitted.apply(p[2000:])
    assert after.sum(axis=1) == pytest.approx(1)
    before, now = (expected_calibration_error(codes[2000:], one) for one in (p[2000:], after))
    assert before > 0.1
    assert now < 0.05
    again = Calibrator.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert (again.apply(p) == fitted.apply(p)).all()


def test_platt_keeps_the_order_of_two_classes() -> None:
    p, codes = overconfident(2)
    after = fit_calibrator("platt", p, codes).apply(p)
    assert (np.argsort(after[:, 1], kind="stable") == np.argsort(p[:, 1], kind="stable")).all()


def test_isotonic_gives_the_shares_of_pooled_neighbours() -> None:
    happy = np.array([0.1, 0.2, 0.3, 0.4])
    codes = np.array([0, 1, 0, 1])  # 0.2 and 0.3 are in the wrong order, and pooled
    fitted = fit_calibrator("isotonic", np.column_stack([1 - happy, happy]), codes)
    middle = fitted.apply(np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.0, 1.0]]))
    assert middle[:, 1].tolist() == [0, 0.5, 0.5, 1, 1]


def test_a_row_that_no_curve_gives_anything_is_even() -> None:
    flat = Calibrator("isotonic", {"x": [[0, 1]] * 3, "y": [[0, 0]] * 3})
    assert flat.apply(np.eye(3)).tolist() == [[1 / 3] * 3] * 3


def precision_and_recall(true: NDArray[Any], predicted: NDArray[np.bool_]) -> tuple[float, float]:
    hits = (true.astype(bool) & predicted).sum()
    return hits / predicted.sum(), hits / true.sum()


HAPPY = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
TRUE = np.array([1, 1, 0, 1, 0])


def test_of_the_thresholds_that_do_the_one_with_most_of_the_other_is_taken() -> None:
    assert choose_threshold(TRUE, HAPPY, target="precision", value=0.7) == 0.6  # recall 1
    assert choose_threshold(TRUE, HAPPY, target="precision", value=0.9) == 0.8  # recall 2/3
    assert choose_threshold(TRUE, HAPPY, target="recall", value=0.6) == 0.8  # precision 1
    assert precision_and_recall(TRUE, HAPPY >= 0.6) == (0.75, 1)
    assert precision_and_recall(TRUE, HAPPY >= 0.8) == (1, 2 / 3)


def test_equal_probabilities_are_called_together() -> None:
    true, p = np.array([1, 0, 1]), np.array([0.5, 0.5, 0.2])
    assert choose_threshold(true, p, target="recall", value=0.5) == 0.2
    assert precision_and_recall(true, p >= 0.2) == (2 / 3, 1)


def test_an_unattainable_target_names_the_best_value() -> None:
    with pytest.raises(FerError) as caught:
        choose_threshold(np.array([0, 1]), np.array([0.9, 0.1]), target="precision", value=0.8)
    assert "0.5000" in caught.value.hint


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["precision", "recall"]), st.floats(0.1, 1))
def test_the_threshold_gives_what_it_says(seed: int, target: str, value: float) -> None:
    rng = np.random.default_rng(seed)
    p, true = np.round(rng.random(30), 1), rng.random(30) < 0.5
    try:
        found = choose_threshold(true, p, target=target, value=value)
    except FerError:
        return
    precision, recall = precision_and_recall(true, p >= found)
    assert {"precision": precision, "recall": recall}[target] >= value


@pytest.mark.parametrize(
    "text", ["precision", "precision=", "accuracy=0.9", "recall=1.5", "recall=0"]
)
def test_a_target_that_cannot_be_parsed_is_an_error(text: str) -> None:
    with pytest.raises(FerError, match=re.escape(text)):
        parse_threshold(text)
    assert parse_threshold("recall=0.95") == ("recall", 0.95)
