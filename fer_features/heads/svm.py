"""RBF support vector machine on pooled features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from fer_features.heads.accel import estimators
from fer_features.heads.base import SkopsHead
from fer_features.heads.choice import (
    Part,
    check_above_zero,
    check_every_class,
    choose,
    fold_pairs,
    platt,
    validation_scores,
)
from fer_features.heads.machines import Machine, decision_values, fit_machines


class Trial(NamedTuple):
    """One candidate: its parameters and scores, and its machine."""

    scores: dict[str, Any]
    machine: Machine


CALIBRATION_FOLDS = 3
"""Folds of the training rows whose decision values the probabilities are fitted to."""


class SupportVectorHead(SkopsHead):
    """Standardised features and an RBF SVM, C and gamma chosen on validation.

    Fitted by scikit-learn-intelex where it is installed (`chosen_["solver"]`), else by libsvm on
    one kernel matrix for all `Cs`.

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
        max_kernel_gb: most memory for kernel values. scikit-learn-intelex computes again what does
            not fit; without it the kernel matrix, 8 bytes × training rows², has to.
        validation_fraction: share of the training rows held out where none are given.
        n_jobs: values of C that plain scikit-learn fits at once (joblib's meaning: -1 is one for
            each core); scikit-learn-intelex uses all cores for one after another.
        random_state: seed of the held-out choice and of the folds.
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
        Cs: Sequence[float] = (3.0, 10.0, 30.0),
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
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Choose C and gamma, fit, and calibrate.

        Args:
            X: float32 (N, C), finite.
            y: (N,), at least two distinct labels.
            validation: features and labels to choose on, with a row of every class; neither the
                machine nor its probabilities are fitted to them.
            groups: (N,), equal for training rows that stay on one side wherever rows are held out
                or divided into folds: twins, and mirrored copies. A machine has seen its twin's
                answer, and probabilities fitted to such values would be too sure.

        Raises:
            HeadError: of what the arrays hold or of a parameter, no model can be made, or the
                kernel matrix would be larger than `max_kernel_gb`.
        """
        check_above_zero(Cs=self.Cs, gammas=self.gammas)
        training, held = self._parts(
            X,
            y,
            validation,
            fraction=self.validation_fraction,
            random_state=self.random_state,
            groups=groups,
        )
        check_every_class(held.codes, self.classes_)
        trials = self._trials(training, held)
        self.chosen_, best = choose(
            [trial.scores for trial in trials],
            varied=["C", "gamma"],
            given=validation is not None,
            rows=len(held.codes),
        )
        self.chosen_["solver"] = estimators().name
        machine, fitted = trials[best].machine, training
        if validation is None:
            fitted = training.with_rows(held)
            machine = self._chosen_machine(fitted)
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

    def _trials(self, training: Part, held: Part) -> list[Trial]:
        """Fit and score every candidate; of a gamma, one pass over the kernel serves every C."""
        X_held = held.features()
        trials = []
        for multiple, machines in zip(
            self.gammas, self._machines(training, self.Cs, self.gammas), strict=True
        ):
            weights = np.hstack([machine.weights for machine in machines])
            intercept = np.hstack([machine.intercept for machine in machines])
            values = machines[0]._replace(weights=weights, intercept=intercept).values(X_held)
            for C, machine, own in zip(
                self.Cs, machines, np.split(values, len(machines), axis=1), strict=True
            ):
                scores = validation_scores(held.codes, platt(own, held.codes).predict_proba(own))
                trials.append(Trial({"C": float(C), "gamma": float(multiple)} | scores, machine))
        return trials

    def _calibrated(self, part: Part) -> LogisticRegression:
        """Fit the probabilities to decision values of rows that their machine has not seen."""
        folds = fold_pairs(
            part.codes, k=CALIBRATION_FOLDS, random_state=self.random_state, groups=part.groups
        )
        values = [
            self._chosen_machine(part.take(rest)).values(part.take(out).features())
            for rest, out in folds
        ]
        codes = [part.codes[out] for _, out in folds]
        return platt(np.concatenate(values), np.concatenate(codes))

    def _chosen_machine(self, part: Part) -> Machine:
        ((machine,),) = self._machines(part, [self.chosen_["C"]], [self.chosen_["gamma"]])
        return machine

    def _machines(
        self, part: Part, Cs: Sequence[float], gammas: Sequence[float]
    ) -> list[list[Machine]]:
        return fit_machines(
            part, Cs=Cs, gammas=gammas, max_kernel_gb=self.max_kernel_gb, n_jobs=self.n_jobs
        )
