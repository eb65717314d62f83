"""Solvers of logistic regression and of SVMs: scikit-learn-intelex's, or scikit-learn's own.

scikit-learn-intelex, if installed, solves the same problems on x86-64 up to 13 times as fast. Its
estimators are imported under their own names: nothing is patched. Fitted values are copied into
NumPy arrays and scikit-learn objects, so that a model file can be read where scikit-learn-intelex
is not installed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships none

from fer_features.heads.checks import CHUNK, Array, HeadError

Solution = tuple[Array, Array]
"""`Machine`'s weights and intercept."""


@cache
def intelex() -> Any:
    """The ``sklearnex`` package with ``linear_model`` and ``svm``, or None if unavailable.

    If it is installed and cannot be imported, a warning says so: most likely the program had
    imported OpenVINO before, whose older TBB it cannot use;
    `fer_features.runtime.openvino_runtime.import_openvino` avoids that.
    """
    if not find_spec("sklearnex"):
        return None
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
        return None
    return sklearnex


def solver() -> str:
    """The package that fits logreg and svm here and its version, for `chosen_`."""
    name = "scikit-learn-intelex" if intelex() else "scikit-learn"
    return f"{name} {version(name)}"


def fit_logistic_regressions(
    scaled: Array, codes: Array, *, Cs: Sequence[float], max_iter: int, n_jobs: int
) -> list[LogisticRegression]:
    """Fit a model for each of `Cs`; scikit-learn fits `n_jobs` at once."""

    def fit(C: float) -> LogisticRegression:
        model = LogisticRegression(C=C, max_iter=max_iter)
        if not intelex():
            return model.fit(scaled, codes)
        quick = intelex().linear_model.LogisticRegression(C=C, max_iter=max_iter)
        quick.fit(scaled, codes)
        for name in ("classes_", "coef_", "intercept_", "n_iter_"):
            setattr(model, name, np.array(getattr(quick, name)))
        model.n_features_in_ = scaled.shape[1]
        return model

    # One BLAS thread: on vectors of this size L-BFGS with several is slower, two to three times
    # where oneDAL has threads of its own.
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        warnings.simplefilter("ignore", ConvergenceWarning)  # `chosen_` has it instead
        if intelex():
            return [fit(C) for C in Cs]
        return list(Parallel(n_jobs=n_jobs, prefer="threads")(delayed(fit)(C) for C in Cs))


class Machine(NamedTuple):
    """A fitted SVM: its decision values are ``kernel(x, rows) @ weights + intercept``.

    Attributes:
        scaler: standardises the features.
        rows: float32 (N, C), the standardised training rows.
        gamma: the kernel is exp(-gamma × squared distance).
        weights: float32 (N, D), zero where a row is no support vector; D is 1 for two classes
            (above 0 is the second) and K for more (the highest wins).
        intercept: float32 (D,).
    """

    scaler: StandardScaler
    rows: Array
    gamma: float
    weights: Array
    intercept: Array

    def values(self, X: Array) -> Array:
        """Decision values, float32 (n, D), of features (n, C) not yet standardised."""
        scaled = self.scaler.transform(X)
        values = np.empty((len(X), self.weights.shape[1]), np.float32)
        for start in range(0, len(X), CHUNK):
            kernel = rbf(scaled[start : start + CHUNK], self.rows, gamma=self.gamma)
            values[start : start + CHUNK] = kernel @ self.weights
        return values + self.intercept


def solve_svms(
    rows: Array,
    codes: Array,
    *,
    Cs: Sequence[float],
    gamma: float,
    max_kernel_gb: float,
    n_jobs: int,
) -> list[Solution]:
    """Fit an SVM for each of `Cs`.

    scikit-learn-intelex computes the kernel's rows by matrix products, and keeps as many as fit.
    libsvm would compute kernel values one pair at a time; it is given a kernel matrix instead,
    which float32 matrix products compute once for all `Cs`.

    Args:
        rows: float32 (N, C), the standardised training rows.
        codes: int64 (N,), their class codes.
        Cs: the costs.
        gamma: the kernel is exp(-gamma × squared distance).
        max_kernel_gb: most memory for kernel values.
        n_jobs: fits at once by scikit-learn.

    Raises:
        HeadError: scikit-learn would need more than `max_kernel_gb`.
    """
    kernel_gb = 8 * len(rows) ** 2 / 1e9
    if intelex():
        cache_mb = max(200, 1000 * min(kernel_gb, max_kernel_gb))
        return _solve_accelerated(rows, codes, Cs=Cs, gamma=gamma, cache_size=cache_mb)
    if kernel_gb > max_kernel_gb:
        raise HeadError(
            f"the kernel matrix of {len(rows)} rows takes {kernel_gb:.1f} GB, "
            f"more than max_kernel_gb = {max_kernel_gb}",
            hint="fit to fewer rows, use the logreg head, or raise max_kernel_gb; "
            "scikit-learn-intelex, where there is one, needs no kernel matrix",
        )
    kernel = np.empty((len(rows), len(rows)))  # float64, or libsvm copies it
    for start in range(0, len(rows), CHUNK):
        kernel[start : start + CHUNK] = rbf(rows[start : start + CHUNK], rows, gamma=gamma)
    svcs = [SVC(C=C, kernel="precomputed", decision_function_shape="ovo") for C in Cs]
    fitted = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(svc.fit)(kernel, codes) for svc in svcs
    )
    return [to_weights(svc, codes) for svc in fitted]


def _solve_accelerated(
    rows: Array, codes: Array, *, Cs: Sequence[float], **options: float
) -> list[Solution]:
    """Fit an SVM for each of `Cs`, in ascending order.

    C only bounds the dual coefficients: if none has reached the bound, the solution is also that
    of every greater C, and is not computed again.
    """
    solutions: dict[float, Solution] = {}
    bounded = True
    for C in sorted(set(Cs)):
        if bounded:
            svc = intelex().svm.SVC(C=C, **options).fit(rows, codes)
            solution = to_weights(svc, codes)
            bounded = not np.abs(svc.dual_coef_).max() < C * (1 - 1e-5)
        solutions[C] = solution
    return [solutions[C] for C in Cs]


def to_weights(svc: Any, codes: Array) -> Solution:
    """The weights and intercept, as in `Machine`, of a fitted `sklearn.svm.SVC` or its equivalent.

    Each of K > 2 classes has one decision value, the sum of its one-against-one values.
    """
    n_classes = len(svc.classes_)
    dual, support = np.asarray(svc.dual_coef_), np.asarray(svc.support_)
    if n_classes == 2:
        weights = np.zeros((len(codes), 1), np.float32)
        weights[support, 0] = dual[0]
        return weights, np.asarray(svc.intercept_, np.float32)
    weights = np.zeros((len(codes), n_classes), np.float32)
    intercept = np.zeros(n_classes, np.float32)
    of = codes[support]
    for pair, (i, j) in enumerate(combinations(range(n_classes), 2)):
        # A vector's weight is kept against each *other* class: against j, vectors of class
        # i < j have it in row j - 1, and those of j have theirs against i in row i.
        against = np.where(of == i, dual[j - 1], 0) + np.where(of == j, dual[i], 0)
        weights[support, i] += against
        weights[support, j] -= against
        intercept[i] += svc.intercept_[pair]
        intercept[j] -= svc.intercept_[pair]
    return weights, intercept


def rbf(a: Array, b: Array, *, gamma: float) -> Array:
    """The kernel exp(-gamma × squared distance) of each row of `a` with each of `b`, float32.

    The squared distance is |a|² + |b|² - 2ab, one matrix product; on standardised features
    float32 has a relative error of about 1e-6.
    """
    kernel: Array = a @ b.T
    kernel *= -2
    kernel += np.einsum("ij,ij->i", a, a)[:, None]
    kernel += np.einsum("ij,ij->i", b, b)
    np.maximum(kernel, 0, out=kernel)  # rounding can make a distance negative
    kernel *= -gamma
    return np.exp(kernel, out=kernel)
