import numpy as np
import pytest

from fer_features.metrics import score
from fer_features.metrics.curves import roc_of


def test_the_curve_of_two_classes_is_that_of_the_positive_one() -> None:
    label = np.array([0, 0, 1, 1])
    probability = np.array([0.1, 0.6, 0.4, 0.9])
    curve = roc_of(label, np.stack([1 - probability, probability], axis=1), positive=1)
    assert curve is not None
    np.testing.assert_allclose(curve[0], [0, 0, 0.5, 0.5, 1])
    np.testing.assert_allclose(curve[1], [0, 0.5, 0.5, 1, 1])


def test_the_mean_curve_has_the_mean_area(rng: np.random.Generator) -> None:
    label = rng.integers(0, 3, 500)
    probability = rng.dirichlet(np.ones(3), 500)
    curve = roc_of(label, probability)
    assert curve is not None
    area = (np.diff(curve[0]) * (curve[1][1:] + curve[1][:-1]) / 2).sum()
    assert area == pytest.approx(score(label, probability, classes="abc").roc_auc, abs=0.005)


def test_the_mean_of_perfect_curves_is_perfect() -> None:
    curve = roc_of(np.arange(6) % 3, np.eye(3)[np.arange(6) % 3])
    assert curve is not None
    assert curve[0][:2].tolist() == [0, 0]
    assert curve[1][0] == 0
    assert (curve[1][1:] == 1).all()


def test_a_class_that_does_not_occur_has_no_curve() -> None:
    assert roc_of(np.zeros(3, int), np.full((3, 2), 0.5)) is None
