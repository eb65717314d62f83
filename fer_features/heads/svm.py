"""RBF support vector machine on pooled features, from one kernel matrix."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted

from fer_features.heads import accel
from fer_features.heads.base import CHUNK, SkopsHead
from fer_features.heads.choice import (
    HeadError,
    Part,
    check_above_zero,
    choose,
    validation_scores,
)


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


class Trial(NamedTuple):
    """One candidate: its parameters and scores, and its machine."""

    scores: dict[str, Any]
    machine: Machine


CALIBRATION_FOLDS = 3
"""Folds of the training rows whose decision values the probabilities are fitted to."""


class SupportVectorHead(SkopsHead):
    """Standardised features and an RBF SVM, C and gamma chosen on validation.

    C is chosen at the middle one of `gammas`, and gamma at that C. On 10,200 rows of 1,536 features
    and two classes the seven candidates and the calibration take about 20 s on two cores with
    scikit-learn-intelex, and 6,800 predictions 1 s. Without it, libsvm is given a kernel matrix
    that is one float32 matrix product, which every C shares; that takes about three times as long.

    Probabilities are Platt's (1999): a logistic regression of the class on decision values, those
    of each of `CALIBRATION_FOLDS` folds of the training rows by a machine fitted to the others. Of
    K > 2 classes each has one decision value, the sum of its one-against-one values, and the
    regression is multinomial. C and gamma are those whose decision values, calibrated on the
    validation rows themselves, have the lowest log loss there; `chosen_["at_edge"]` warns
    where one is the lowest or highest of its candidates.

    With no validation rows given, a stratified `validation_fraction` of the training rows is held
    out to choose on, and the machine is then fitted, and calibrated, to all of them.

    Args:
        Cs: the candidates for C, the cost of a training row on the wrong side; above 0.
        gammas: the candidates for the kernel's gamma, as multiples of scikit-learn's ``scale``,
            1 / (number of features × their variance).
        max_kernel_gb: most memory that the kernel matrix may take, 8 bytes × training rows²; with
            scikit-learn-intelex, which keeps parts of it, most that it keeps.
        validation_fraction: share of the training rows held out where none are given.
        n_jobs: values of C fitted at once (joblib's meaning: -1 is one for each core).
        random_state: seed of the held-out choice.
    """

    name: ClassVar[str] = "svm"
    title: ClassVar[str] = "RBF support vector machine"
    needs: ClassVar[Literal["pooled", "map"]] = "pooled"

    scaler_: StandardScaler
    support_vectors_: NDArray[np.float32]
    weights_: NDArray[np.float32]
    intercept_: NDArray[np.float32]
    gamma_: float
    calibrator_: LogisticRegression

    def __init__(
        self,
        *,
        Cs: Sequence[float] = (0.3, 1.0, 3.0, 10.0, 30.0),
        gammas: Sequence[float] = (0.3, 1.0, 3.0),
        max_kernel_gb: float = 4.0,
        validation_fraction: float = 0.2,
        n_jobs: int = -1,
        random_state: int = 0,
    ) -> None:
        self.Cs = Cs
        self.gammas = gammas
        self.max_kernel_gb = max_kernel_gb
        self.validation_fraction = validation_fraction
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, validation: tuple[ArrayLike, ArrayLike] | None = None
    ) -> Self:
        """Choose C and gamma, fit, and calibrate.

        Args:
            X: float32 (N, C), finite.
            y: (N,), at least two distinct labels.
            validation: features and labels to choose on, with a row of every class; neither the
                machine nor its probabilities are fitted to them.

        Raises:
            HeadError: of what the arrays hold or of a parameter, no model can be made, or the
                kernel matrix would be larger than `max_kernel_gb`.
        """
        check_above_zero(Cs=self.Cs, gammas=self.gammas)
        training, held = self._parts(
            X, y, validation, fraction=self.validation_fraction, random_state=self.random_state
        )
        for code, label in enumerate(self.classes_):
            if code not in held.codes:
                raise HeadError(f"no validation row is of class {label}: nothing to choose on")
        trials = self._searched(training, held)
        self.chosen_, best = choose(
            [trial.scores for trial in trials],
            varied=["C", "gamma"],
            given=validation is not None,
            rows=len(held.codes),
        )
        self.chosen_["library"] = accel.library()
        machine, fitted = trials[best].machine, training
        if validation is None:
            fitted = training.with_rows(held)
            (machine,) = self._machines(
                fitted, Cs=[self.chosen_["C"]], multiple=self.chosen_["gamma"]
            )
        self.calibrator_ = self._calibrated(fitted)
        used = machine.weights.any(axis=1)
        self.scaler_, self.gamma_ = machine.scaler, machine.gamma
        self.support_vectors_, self.weights_ = machine.rows[used], machine.weights[used]
        self.intercept_ = machine.intercept
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return the classes' probabilities, float64 (N, K), for float32 (N, C) features."""
        check_is_fitted(self)
        values = decision_values(
            self.scaler_.transform(self._checked(X, reset=False)),
            self.support_vectors_,
            self.weights_,
            self.intercept_,
            gamma=self.gamma_,
        )
        probability: NDArray[np.floating[Any]] = self.calibrator_.predict_proba(values)
        return probability

    def _searched(self, training: Part, held: Part) -> list[Trial]:
        """Every C at the middle gamma, then the best of them at every other gamma."""
        middle = sorted(self.gammas)[len(self.gammas) // 2]
        trials = self._trials(training, held, middle, self.Cs)
        best = min(trials, key=lambda trial: trial.scores["log_loss"])
        for multiple in self.gammas:
            if multiple != middle:
                trials += self._trials(training, held, multiple, [best.scores["C"]])
        return trials

    def _trials(
        self, training: Part, held: Part, multiple: float, Cs: Sequence[float]
    ) -> list[Trial]:
        machines = self._machines(training, Cs=Cs, multiple=multiple)
        first = machines[0]  # all share scaler, rows and gamma, and so one pass over the kernel
        values = decision_values(
            first.scaler.transform(held.features()),
            first.rows,
            np.hstack([machine.weights for machine in machines]),
            np.hstack([machine.intercept for machine in machines]),
            gamma=first.gamma,
        )
        trials = []
        for C, machine, own in zip(
            Cs, machines, np.split(values, len(machines), axis=1), strict=True
        ):
            calibrator = LogisticRegression(max_iter=1000).fit(own, held.codes)
            scores = validation_scores(held.codes, calibrator.predict_proba(own))
            trials.append(Trial({"C": float(C), "gamma": float(multiple)} | scores, machine))
        return trials

    def _calibrated(self, part: Part) -> LogisticRegression:
        """Fit the probabilities to decision values of rows that their machine has not seen."""
        smallest = int(np.bincount(part.codes).min())
        if smallest < 2:
            raise HeadError(
                "a class has a single training row: no probability can be fitted to it",
                hint="take more rows of it",
            )
        folds = StratifiedKFold(
            min(CALIBRATION_FOLDS, smallest), shuffle=True, random_state=self.random_state
        )
        values, codes = [], []
        for rest, out in folds.split(part.rows, part.codes):
            (machine,) = self._machines(
                Part(part.X, part.rows[rest], part.codes[rest]),
                Cs=[self.chosen_["C"]],
                multiple=self.chosen_["gamma"],
            )
            held = machine.scaler.transform(part.X[part.rows[out]])
            values.append(
                decision_values(
                    held, machine.rows, machine.weights, machine.intercept, gamma=machine.gamma
                )
            )
            codes.append(part.codes[out])
        return LogisticRegression(max_iter=1000).fit(np.concatenate(values), np.concatenate(codes))

    def _machines(self, part: Part, *, Cs: Sequence[float], multiple: float) -> list[Machine]:
        scaler = StandardScaler()
        rows = scaler.fit_transform(part.features())
        gamma = float(multiple / (rows.shape[1] * (rows.var(dtype=np.float64) or 1.0)))
        if accel.accelerated():
            solved = [
                solve_rbf(rows, part.codes, C=C, gamma=gamma, cache_gb=self.max_kernel_gb)
                for C in Cs
            ]
        else:
            kernel = self._kernel(rows, gamma)
            solved = Parallel(n_jobs=self.n_jobs, prefer="threads")(
                delayed(solve)(kernel, part.codes, C=C) for C in Cs
            )
        return [Machine(scaler, rows, gamma, *solution) for solution in solved]

    def _kernel(self, rows: NDArray[np.float32], gamma: float) -> NDArray[np.float64]:
        needed = 8 * len(rows) ** 2 / 1e9
        if needed > self.max_kernel_gb:
            raise HeadError(
                f"the kernel matrix of {len(rows)} rows takes {needed:.1f} GB, "
                f"more than max_kernel_gb = {self.max_kernel_gb}",
                hint="fit to fewer rows, use the logreg head, or raise max_kernel_gb",
            )
        kernel = np.empty((len(rows), len(rows)))  # float64, or libsvm makes a copy that is
        for start in range(0, len(rows), CHUNK):
            kernel[start : start + CHUNK] = rbf(rows[start : start + CHUNK], rows, gamma=gamma)
        return kernel


def solve(
    kernel: NDArray[np.float64], codes: NDArray[np.int64], *, C: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Solve one SVM on a kernel matrix (N, N); return `Machine`'s weights and intercept."""
    svc = SVC(C=C, kernel="precomputed", decision_function_shape="ovo").fit(kernel, codes)
    return _weights(svc, codes)


def solve_rbf(
    rows: NDArray[np.float32], codes: NDArray[np.int64], *, C: float, gamma: float, cache_gb: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The same on standardised rows (N, C), by scikit-learn-intelex, from parts of the kernel."""
    whole_gb = 4 * len(rows) ** 2 / 1e9
    svc = accel.estimator("svm", "SVC")(
        C=C,
        gamma=gamma,
        decision_function_shape="ovo",
        cache_size=1000 * min(cache_gb, whole_gb + 0.1),
    )
    return _weights(svc.fit(rows, codes), codes)


def _weights(svc: Any, codes: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    n_classes = len(svc.classes_)
    if n_classes == 2:
        weights = np.zeros((len(codes), 1), np.float32)
        weights[svc.support_, 0] = svc.dual_coef_[0]
        return weights, np.asarray(svc.intercept_, np.float32)
    weights = np.zeros((len(codes), n_classes), np.float32)
    intercept = np.zeros(n_classes, np.float32)
    of = codes[svc.support_]
    for pair, (i, j) in enumerate(combinations(range(n_classes), 2)):
        # libsvm keeps a vector's weight against each *other* class: against j, those of class
        # i < j have it in row j - 1, and those of j have theirs against i in row i.
        against = np.where(of == i, svc.dual_coef_[j - 1], 0) + np.where(
            of == j, svc.dual_coef_[i], 0
        )
        weights[svc.support_, i] += against
        weights[svc.support_, j] -= against
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
