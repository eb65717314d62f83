"""Support vector machines with the RBF kernel: how they are fitted, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from fer_features.heads.accel import Estimators, estimators
from fer_features.heads.base import CHUNK
from fer_features.heads.choice import HeadError, Part

Solution = tuple[NDArray[np.float32], NDArray[np.float32]]
"""`Machine`'s weights and intercept."""


class Machine(NamedTuple):
    """A fitted SVM: its decision values are ``kernel(x, rows) @ weights + intercept``.

    Attributes:
        scaler: what made `rows` of the features.
        rows: float32 (N, C), the standardised training rows.
        gamma: the kernel is exp(-gamma × squared distance).
        weights: float32 (N, D), zero where a row is no support vector; D is 1 for two classes
            (above 0 is the second) and K for more (the highest wins).
        intercept: float32 (D,).
    """

    scaler: StandardScaler
    rows: NDArray[np.float32]
    gamma: float
    weights: NDArray[np.float32]
    intercept: NDArray[np.float32]

    def values(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Return the decision values (n, D) of features (n, C) that are not yet standardised."""
        return decision_values(
            self.scaler.transform(X), self.rows, self.weights, self.intercept, gamma=self.gamma
        )


def fit_machines(
    part: Part,
    *,
    Cs: Sequence[float],
    gammas: Sequence[float],
    max_kernel_gb: float,
    n_jobs: int,
) -> list[list[Machine]]:
    """Fit a machine for each gamma and C: for each of `gammas`, one for each of `Cs`.

    scikit-learn-intelex computes the kernel's rows by matrix products and keeps them for a fit.
    Without it libsvm would compute kernel values one pair at a time; the kernel matrix is then one
    float32 matrix product, which every C shares.

    Args:
        part: the rows to fit on.
        Cs: candidates for C.
        gammas: candidates for gamma, as multiples of scikit-learn's ``scale``.
        max_kernel_gb: most memory for kernel values.
        n_jobs: fits at once by plain scikit-learn.

    Raises:
        HeadError: plain scikit-learn would need more than `max_kernel_gb`.
    """
    kind = estimators()
    needed = 8 * len(part.codes) ** 2 / 1e9
    if not kind.accelerated and needed > max_kernel_gb:
        raise HeadError(
            f"the kernel matrix of {len(part.codes)} rows takes {needed:.1f} GB, "
            f"more than max_kernel_gb = {max_kernel_gb}",
            hint="fit to fewer rows, use the logreg head, or raise max_kernel_gb; "
            "scikit-learn-intelex, where there is one, needs no kernel matrix",
        )
    scaler = StandardScaler()
    rows = scaler.fit_transform(part.features())
    scale = 1 / (rows.shape[1] * (rows.var(dtype=np.float64) or 1.0))
    found = []
    for multiple in gammas:
        gamma = float(multiple * scale)
        if kind.accelerated:
            solutions = _solve_accelerated(
                kind, rows, part.codes, Cs=Cs, gamma=gamma, cache_gb=min(needed, max_kernel_gb)
            )
        else:
            solutions = _solve_on_kernel(rows, part.codes, Cs=Cs, gamma=gamma, n_jobs=n_jobs)
        found.append([Machine(scaler, rows, gamma, *solution) for solution in solutions])
    return found


def _solve_accelerated(
    kind: Estimators,
    rows: NDArray[np.float32],
    codes: NDArray[np.int64],
    *,
    Cs: Sequence[float],
    gamma: float,
    cache_gb: float,
) -> list[Solution]:
    """Solve for each C, in the order of `Cs`.

    C only bounds the dual coefficients: where none has reached its bound, the solution is that of
    every greater C too, and is not computed again.
    """
    solutions: dict[float, Solution] = {}
    last: Solution | None = None
    for C in sorted(set(Cs)):
        if last is None:
            svc = kind.svc(C=C, gamma=gamma, cache_size=max(200, 1000 * cache_gb)).fit(rows, codes)
            solutions[C] = to_weights(svc, codes)
            if np.abs(svc.dual_coef_).max() < C * (1 - 1e-5):
                last = solutions[C]
        else:
            solutions[C] = last
    return [solutions[C] for C in Cs]


def _solve_on_kernel(
    rows: NDArray[np.float32],
    codes: NDArray[np.int64],
    *,
    Cs: Sequence[float],
    gamma: float,
    n_jobs: int,
) -> list[Solution]:
    kernel = np.empty((len(rows), len(rows)))  # float64, or libsvm makes a copy that is
    for start in range(0, len(rows), CHUNK):
        kernel[start : start + CHUNK] = rbf(rows[start : start + CHUNK], rows, gamma=gamma)
    solved: list[Solution] = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(solve)(kernel, codes, C=C) for C in Cs
    )
    return solved


def solve(kernel: NDArray[np.float64], codes: NDArray[np.int64], *, C: float) -> Solution:
    """Solve one SVM on a kernel matrix (N, N) by libsvm."""
    svc = SVC(C=C, kernel="precomputed", decision_function_shape="ovo").fit(kernel, codes)
    return to_weights(svc, codes)


def to_weights(svc: Any, codes: NDArray[np.int64]) -> Solution:
    """Return a fitted `sklearn.svm.SVC`'s, or its like's, coefficients as `Machine` has them.

    Of K > 2 classes each has one decision value, the sum of its one-against-one values.
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


def decision_values(
    X: NDArray[np.float32],
    rows: NDArray[np.float32],
    weights: NDArray[np.float32],
    intercept: NDArray[np.float32],
    *,
    gamma: float,
) -> NDArray[np.float32]:
    """Return ``rbf(X, rows) @ weights + intercept``, float32 (len(X), D), a chunk at a time."""
    values = np.empty((len(X), weights.shape[1]), np.float32)
    for start in range(0, len(X), CHUNK):
        values[start : start + CHUNK] = rbf(X[start : start + CHUNK], rows, gamma=gamma) @ weights
    return values + intercept


def rbf(a: NDArray[np.float32], b: NDArray[np.float32], *, gamma: float) -> NDArray[np.float32]:
    """Return exp(-gamma × squared distance) of each row of `a` to each of `b`, float32.

    The squared distance is |a|² + |b|² - 2ab, one matrix product; on standardised features
    float32 leaves it right to about 1e-6 of itself.
    """
    kernel: NDArray[np.float32] = a @ b.T
    kernel *= -2
    kernel += np.einsum("ij,ij->i", a, a)[:, None]
    kernel += np.einsum("ij,ij->i", b, b)
    np.maximum(kernel, 0, out=kernel)  # rounding can leave a row at less than 0 from itself
    kernel *= -gamma
    return np.exp(kernel, out=kernel)
