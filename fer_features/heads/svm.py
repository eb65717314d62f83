"""RBF support vector machine on pooled features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from fer_features.heads.base import Candidates, Tried
from fer_features.heads.checks import Array, HeadError, check_above_zero
from fer_features.heads.choice import Part, fold_pairs, platt
from fer_features.heads.skops_head import CalibratedHead
from fer_features.heads.solvers import Machine, solve_svms, solver

CALIBRATION_FOLDS = 3
"""Folds of the training rows in cross-validated calibration."""


@dataclass(kw_only=True, eq=False, repr=False)
class SupportVectorHead(CalibratedHead):
    """Standardised features and an RBF SVM, C and gamma chosen on validation.

    Fitted by scikit-learn-intelex if installed (`chosen_["solver"]`), else by libsvm on
    one kernel matrix for all `Cs`.

    Probabilities are Platt's (1999): a logistic regression of the class on decision values, those
    of each of `CALIBRATION_FOLDS` folds of the training rows by an SVM fitted to the others. Each
    of K > 2 classes has one decision value, the sum of its one-against-one values, and the
    regression is multinomial. C and gamma are those whose decision values, calibrated on the
    validation rows themselves, have the lowest log loss there; `chosen_["at_edge"]` warns
    if one is the lowest or highest of its candidates.

    With no validation rows given, a stratified `validation_fraction` of the training rows is held
    out to choose on, and the SVM is then fitted, and calibrated, to all of them.

    Args:
        Cs: the candidates for C, the cost of a training row on the wrong side; above 0.
        gammas: the candidates for the kernel's gamma, as multiples of scikit-learn's ``scale``,
            1 / (number of features × their variance).
        max_kernel_gb: most memory for kernel values. scikit-learn-intelex recomputes what does not
            fit; without it the kernel matrix, 8 bytes × training rows², must fit.
        max_rows: most training rows; the time of a fit grows with their square.
        validation_fraction: share of the training rows held out where none are given.
        n_jobs: values of C that plain scikit-learn fits at once (joblib's meaning: -1 is one for
            each core); scikit-learn-intelex uses all cores for one after another.
        random_state: seed of the held-out choice and of the folds.
    """

    name = "svm"
    title = "RBF support vector machine"
    needs = "pooled"

    Cs: Sequence[float] = (3.0, 10.0, 30.0)
    gammas: Sequence[float] = (0.3, 1.0, 3.0)
    max_kernel_gb: float = 4.0
    max_rows: int = 100_000
    n_jobs: int = -1

    def _check_parameters(self) -> None:
        check_above_zero(Cs=self.Cs, gammas=self.gammas)

    def _try_candidates(self, training: Part, valid: Part) -> Tried:
        rows = len(training.X)  # with those held out, to which the last fit is made too
        if rows > self.max_rows:
            raise HeadError(
                f"{rows:,} training rows, more than max_rows = {self.max_rows:,}: the time of "
                "the svm head grows with their square",
                hint="use the logreg or mlp head, fit to fewer rows, or raise max_rows "
                "(--set svm.max_rows=N)",
            )
        return super()._try_candidates(training, valid)

    def _candidates(self) -> list[dict[str, Any]]:
        return [{"C": float(C), "gamma": float(gamma)} for gamma in self.gammas for C in self.Cs]

    def _fit_candidates(self, candidates: Candidates, part: Part) -> list[Machine]:
        scaler = StandardScaler()
        rows = scaler.fit_transform(part.features())
        scale = 1 / (rows.shape[1] * (rows.var(dtype=np.float64) or 1.0))
        machines = []
        for multiple, alike in groupby(candidates, key=itemgetter("gamma")):
            Cs, gamma = [one["C"] for one in alike], float(multiple * scale)
            solutions = solve_svms(
                rows,
                part.codes,
                Cs=Cs,
                gamma=gamma,
                max_kernel_gb=self.max_kernel_gb,
                n_jobs=self.n_jobs,
            )
            machines += [Machine(scaler, rows, gamma, *solution) for solution in solutions]
        return machines

    def _candidate_values(self, models: Sequence[Machine], X: Array) -> list[Array]:
        """Each SVM's decision values; those of one gamma share the kernel."""
        values: list[Array] = []
        for _, alike in groupby(models, key=attrgetter("gamma")):
            machines = list(alike)
            weights = np.hstack([machine.weights for machine in machines])
            intercept = np.hstack([machine.intercept for machine in machines])
            joint = machines[0]._replace(weights=weights, intercept=intercept)
            values += np.split(joint.values(X), len(machines), axis=1)
        return values

    def _choice_details(self, model: Machine) -> dict[str, Any]:
        return {"solver": solver()}

    def _keep(self, model: Machine, part: Part) -> None:
        values, codes = [], []
        for rest, out in fold_pairs(
            part.codes, k=CALIBRATION_FOLDS, random_state=self.random_state, groups=part.groups
        ):
            (machine,) = self._fit_candidates([self.chosen_], part.take(rest))
            values.append(machine.values(part.take(out).features()))
            codes.append(part.codes[out])
        self.calibrator_ = platt(np.concatenate(values), np.concatenate(codes))
        used = model.weights.any(axis=1)
        self.scaler_, self.gamma_, self.intercept_ = model.scaler, model.gamma, model.intercept
        self.support_vectors_, self.weights_ = model.rows[used], model.weights[used]

    def _decision_values(self, X: Array) -> Array:
        fitted = self.support_vectors_, self.gamma_, self.weights_, self.intercept_
        return Machine(self.scaler_, *fitted).values(X)
