"""Logistic regression on pooled features: the linear probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fer_features.heads.base import Candidates, Tried
from fer_features.heads.checks import Array, check_above_zero
from fer_features.heads.choice import Part
from fer_features.heads.skops_head import SkopsHead
from fer_features.heads.solvers import fit_logistic_regressions, solver

Model = tuple[StandardScaler, LogisticRegression]


@dataclass(kw_only=True, eq=False, repr=False)
class LogisticRegressionHead(SkopsHead):
    """Standardised features and L2-penalised logistic regression, C chosen on validation.

    C is the one with the lowest log loss on the validation rows. `chosen_["at_edge"]` warns if
    that is the lowest or highest of `Cs`, so that a better one may lie beyond;
    `chosen_["converged"]` says whether the optimiser converged within `max_iter`.

    With no validation rows given, a stratified `validation_fraction` of the training rows is held
    out to choose C, and the model is then fitted to all of them.

    Fitted by scikit-learn-intelex if installed (`chosen_["solver"]`). On 10,200 rows of
    1,536 features and two classes the four default `Cs` then take 2 to 4 s of processor time; the
    lowest log loss was at 1e-3 or 1e-2 on each of the features tried.

    Args:
        Cs: the candidates for C, the inverse strength of the penalty; above 0.
        max_iter: most iterations of L-BFGS for one candidate.
        validation_fraction: share of the training rows held out where none are given.
        n_jobs: candidates that plain scikit-learn fits at once (joblib's meaning: -1 is one for
            each core); scikit-learn-intelex uses all cores for one after another.
        random_state: seed of the held-out choice.
    """

    name = "logreg"
    title = "Logistic regression"
    needs = "pooled"

    Cs: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1)
    max_iter: int = 2000
    n_jobs: int = -1

    def _check_parameters(self) -> None:
        check_above_zero(Cs=self.Cs, max_iter=self.max_iter)

    def _candidates(self) -> list[dict[str, Any]]:
        return [{"C": float(C)} for C in self.Cs]

    def _fit_candidates(self, candidates: Candidates, part: Part) -> list[Model]:
        scaler = StandardScaler()
        models = fit_logistic_regressions(
            scaler.fit_transform(part.features()),
            part.codes,
            Cs=[one["C"] for one in candidates],
            max_iter=self.max_iter,
            n_jobs=self.n_jobs,
        )
        return [(scaler, model) for model in models]

    def _try_candidates(self, training: Part, valid: Part) -> Tried:
        candidates, models = super()._try_candidates(training, valid)
        for candidate, (_, model) in zip(candidates, models, strict=True):
            candidate["converged"] = bool(model.n_iter_.max() < self.max_iter)
        return candidates, models

    def _choice_details(self, model: Model) -> dict[str, Any]:
        return {"solver": solver()}

    def _keep(self, model: Model, part: Part) -> None:
        self.scaler_, self.model_ = model
        self.n_iter_ = int(self.model_.n_iter_.max())

    def _predict_proba(self, X: Array) -> Array:
        """Return float32 (N, K)."""
        return np.asarray(self.model_.predict_proba(self.scaler_.transform(X)))
