"""Logistic regression on pooled features: the linear probe."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships none

from fer_features.heads.accel import Estimators, estimators
from fer_features.heads.base import SkopsHead
from fer_features.heads.choice import Part, check_above_zero, choose, validation_scores


class LogisticRegressionHead(SkopsHead):
    """Standardised features and L2-penalised logistic regression, C chosen on validation.

    C is the one with the lowest log loss on the validation rows. `chosen_["at_edge"]` warns where
    that is the lowest or highest of `Cs`, so that a better one may lie beyond;
    `chosen_["converged"]` says whether the optimiser came to its end within `max_iter`.

    With no validation rows given, a stratified `validation_fraction` of the training rows is held
    out to choose C, and the model is then fitted to all of them.

    Fitted by scikit-learn-intelex where it is installed (`chosen_["solver"]`). On 10,200 rows of
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

    name: ClassVar[str] = "logreg"
    title: ClassVar[str] = "Logistic regression"
    needs: ClassVar[Literal["pooled", "map"]] = "pooled"

    scaler_: StandardScaler
    model_: LogisticRegression
    n_iter_: int

    def __init__(
        self,
        *,
        Cs: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1),
        max_iter: int = 2000,
        validation_fraction: float = 0.2,
        n_jobs: int = -1,
        random_state: int = 0,
    ) -> None:
        self.Cs = Cs
        self.max_iter = max_iter
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
        """Choose C and fit.

        Args:
            X: float32 (N, C), finite.
            y: (N,), at least two distinct labels.
            validation: features and labels to choose C on; they are not fitted to.
            groups: (N,), equal for rows that stay on one side where rows are held out.

        Raises:
            HeadError: of what the arrays hold or of a parameter, no model can be made.
        """
        check_above_zero(Cs=self.Cs, max_iter=self.max_iter)
        training, held = self._parts(
            X,
            y,
            validation,
            fraction=self.validation_fraction,
            random_state=self.random_state,
            groups=groups,
        )
        self.scaler_, models = self._fitted(self.Cs, training)
        scaled = self.scaler_.transform(held.features())
        candidates = [
            {"C": float(C)}
            | validation_scores(held.codes, model.predict_proba(scaled))
            | {"converged": bool(model.n_iter_.max() < self.max_iter)}
            for C, model in zip(self.Cs, models, strict=True)
        ]
        self.chosen_, best = choose(
            candidates, varied=["C"], given=validation is not None, rows=len(held.codes)
        )
        self.chosen_["solver"] = estimators().name
        self.model_ = models[best]
        if validation is None:
            self.scaler_, (self.model_,) = self._fitted([self.Cs[best]], training.with_rows(held))
        self.n_iter_ = int(self.model_.n_iter_.max())
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return the classes' probabilities, float32 (N, K), for float32 (N, C) features."""
        check_is_fitted(self)
        probability: NDArray[np.floating[Any]] = self.model_.predict_proba(
            self.scaler_.transform(self._checked(X, reset=False))
        )
        return probability

    def _fitted(
        self, Cs: Sequence[float], part: Part
    ) -> tuple[StandardScaler, list[LogisticRegression]]:
        scaler = StandardScaler()
        scaled = scaler.fit_transform(part.features())
        kind = estimators()
        # One BLAS thread: on vectors of this size L-BFGS with several is slower, two to three times
        # where oneDAL has threads of its own.
        with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
            warnings.simplefilter("ignore", ConvergenceWarning)  # `chosen_` says so instead
            if kind.accelerated:
                return scaler, [self._accelerated(kind, scaled, part.codes, C) for C in Cs]
            models = Parallel(n_jobs=self.n_jobs, prefer="threads")(
                delayed(LogisticRegression(C=C, max_iter=self.max_iter).fit)(scaled, part.codes)
                for C in Cs
            )
        return scaler, models

    def _accelerated(
        self, kind: Estimators, scaled: NDArray[Any], codes: NDArray[np.int64], C: float
    ) -> LogisticRegression:
        """Fit by scikit-learn-intelex, and copy the result into a scikit-learn object."""
        quick = kind.logistic_regression(C=C, max_iter=self.max_iter).fit(scaled, codes)
        model = LogisticRegression(C=C, max_iter=self.max_iter)
        for name in ("classes_", "coef_", "intercept_", "n_iter_"):
            setattr(model, name, np.array(getattr(quick, name)))
        model.n_features_in_ = scaled.shape[1]
        return model
