"""The estimators that heads are fitted by: scikit-learn-intelex's where it can be had.

They compute what scikit-learn's own do, several times as fast, on x86-64. They are asked for by
their own names: nothing is patched, and a program's other scikit-learn estimators stay what they
are. Heads copy what was fitted into plain arrays and scikit-learn objects, so that a model file can
be read where scikit-learn-intelex is not installed.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, NamedTuple

import sklearn.linear_model
import sklearn.svm


class Estimators(NamedTuple):
    """The estimators' classes, and whose they are.

    Attributes:
        name: the package and its version, for `chosen_`.
        accelerated: whether they are scikit-learn-intelex's.
        logistic_regression: as `sklearn.linear_model.LogisticRegression`.
        svc: as `sklearn.svm.SVC`.
    """

    name: str
    accelerated: bool
    logistic_regression: Any
    svc: Any


def plain() -> Estimators:
    """Return scikit-learn's own."""
    return Estimators(
        f"scikit-learn {version('scikit-learn')}",
        False,
        sklearn.linear_model.LogisticRegression,
        sklearn.svm.SVC,
    )


@cache
def estimators() -> Estimators:
    """Return scikit-learn-intelex's estimators, or scikit-learn's own where it cannot be had.

    That it is not installed is no fault. If it is and cannot be imported, a warning says so: most
    likely the program had imported OpenVINO before, whose older TBB it cannot use;
    `fer_features.runtime.openvino_runtime.import_openvino` avoids that.
    """
    if not find_spec("sklearnex"):
        return plain()
    try:
        import sklearnex.linear_model
        import sklearnex.svm
    except ImportError as error:
        warnings.warn(
            "heads are fitted by plain scikit-learn, which takes longer: scikit-learn-intelex "
            f"cannot be imported; was OpenVINO imported first? ({error})",
            RuntimeWarning,
            stacklevel=2,
        )
        return plain()
    return Estimators(
        f"scikit-learn-intelex {version('scikit-learn-intelex')}",
        True,
        sklearnex.linear_model.LogisticRegression,
        sklearnex.svm.SVC,
    )
