"""What stage 2 takes from a head: probabilities, or an error that names it."""

from types import SimpleNamespace

import numpy as np
import pytest

from fer_features import FerError
from fer_features.heads.fitting import probabilities_of


def says(*rows):
    head = SimpleNamespace(name="mine", classes_=np.array([0, 1]))
    head.predict_proba = lambda X: np.array(rows)
    return head


def test_what_rounding_leaves_is_accepted_and_clipped():
    p = probabilities_of(says([1 + 2e-16, -2e-16], [0.5, 0.5 + 9e-7]), np.zeros((2, 3)))
    assert p.tolist() == [[1.0, 0.0], [0.5, 0.5 + 9e-7]]


@pytest.mark.parametrize(
    "row", [[0.5, 0.50001], [0.3, 0.3], [1.5, -0.5], [np.nan, 0.5], [0.2, 0.3, 0.5]]
)
def test_what_is_no_probability_is_an_error_that_names_the_head(row):
    with pytest.raises(FerError, match="the mine head"):
        probabilities_of(says(row), np.zeros((1, 3)))
