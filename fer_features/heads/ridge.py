"""Ridge classification on pooled features, from one eigendecomposition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships none

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


class Decomposed(NamedTuple):
    """Training rows in the axes of their covariance: every penalty is then a division.

    Attributes:
        scaler: what centred and scaled the features.
        axes: float32 (C, R), the eigenvectors.
        rows: float32 (N, R), the training rows along them.
        strength: float64 (R,), the eigenvalues: the columns' sums of squares.
        targets: float32 (N, D), 1 and -1; D is 1 for two classes and K for more.
    """

    scaler: StandardScaler
    axes: NDArray[np.float32]
    rows: NDArray[np.float32]
    strength: NDArray[np.float64]
    targets: NDArray[np.float32]

    def along(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Return features (n, C) along the axes (n, R)."""
        rotated: NDArray[np.float32] = self.scaler.transform(X) @ self.axes
        return rotated

    def weights(self, alpha: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the solution for one penalty: along the axes (R, D), and the intercept (D,)."""
        mean = self.targets.mean(axis=0)
        right = self.rows.T @ (self.targets - mean)
        return (right / (self.strength + alpha)[:, None]).astype(np.float32), mean


class RidgeHead(SkopsHead):
    """Standardised features and least squares to ±1 with an L2 penalty, chosen on validation.

    One eigendecomposition of the features' covariance gives the solution for every penalty
    (Hoerl and Kennard 1970). On 10,200 rows of 1,536 features it takes about 2 s on two cores.

    Probabilities are Platt's (1999): a logistic regression of the class on decision values of
    training rows that the model was not fitted to. Those are had without fitting again: leaving
    row i out divides its residual by 1 - h, where h is its place on the hat matrix's diagonal
    (Allen 1974); rows of one group are left out together, by the block of the hat matrix that is
    theirs. Of K > 2 classes each is told from the others, and the regression is multinomial. The
    penalty is the one whose decision values, calibrated on the validation rows themselves, have the
    lowest log loss there; `chosen_["at_edge"]` warns where it is the lowest or highest of `alphas`.

    With no validation rows given, a stratified `validation_fraction` of the training rows is held
    out to choose on, and the model is then fitted, and calibrated, to all of them.

    Args:
        alphas: the candidates for the penalty, as multiples of the number of training rows: the
            weights' squares are added to the mean squared error times this; above 0.
        validation_fraction: share of the training rows held out where none are given.
        random_state: seed of the held-out choice.
    """

    name: ClassVar[str] = "ridge"
    title: ClassVar[str] = "Ridge classifier"
    needs: ClassVar[Literal["pooled", "map"]] = "pooled"

    scaler_: StandardScaler
    coef_: NDArray[np.float32]
    intercept_: NDArray[np.float32]
    calibrator_: LogisticRegression

    def __init__(
        self,
        *,
        alphas: Sequence[float] = (1e-3, 1e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0),
        validation_fraction: float = 0.2,
        random_state: int = 0,
    ) -> None:
        self.alphas = alphas
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Choose the penalty, fit, and calibrate.

        Args:
            X: float32 (N, C), finite.
            y: (N,), at least two distinct labels.
            validation: features and labels to choose on, with a row of every class; neither the
                model nor its probabilities are fitted to them.
            groups: (N,), equal for training rows that are left out together.

        Raises:
            HeadError: of what the arrays hold or of a parameter, no model can be made.
        """
        check_above_zero(alphas=self.alphas)
        training, held = self._parts(
            X,
            y,
            validation,
            fraction=self.validation_fraction,
            random_state=self.random_state,
            groups=groups,
        )
        check_every_class(held.codes, self.classes_)
        fitted = self._decomposed(training)
        rows = fitted.along(held.features())
        candidates = []
        for alpha in self.alphas:
            weights, intercept = fitted.weights(alpha * len(training.codes))
            values = rows @ weights + intercept
            probability = platt(values, held.codes).predict_proba(values)
            candidates.append({"alpha": float(alpha)} | validation_scores(held.codes, probability))
        self.chosen_, best = choose(
            candidates, varied=["alpha"], given=validation is not None, rows=len(held.codes)
        )
        self.chosen_["solver"] = f"numpy {np.__version__}"
        if validation is None:
            training = training.with_rows(held)
            fitted = self._decomposed(training)
        alpha = self.alphas[best] * len(training.codes)
        weights, self.intercept_ = fitted.weights(alpha)
        self.scaler_, self.coef_ = fitted.scaler, fitted.axes @ weights
        # Refuses a class that has a single row or group: it would not be in what is left.
        fold_pairs(training.codes, k=2, random_state=self.random_state, groups=training.groups)
        self.calibrator_ = platt(
            left_out_values(fitted, alpha=alpha, groups=training.groups), training.codes
        )
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return the classes' probabilities, float64 (N, K), for float32 (N, C) features."""
        check_is_fitted(self)
        scaled = self.scaler_.transform(self._checked(X, reset=False))
        probability: NDArray[np.floating[Any]] = self.calibrator_.predict_proba(
            scaled @ self.coef_ + self.intercept_
        )
        return probability

    def _decomposed(self, part: Part) -> Decomposed:
        scaler = StandardScaler()
        scaled = scaler.fit_transform(part.features())
        covariance = (scaled.T @ scaled).astype(np.float64)
        # On several threads OpenBLAS waits at each of many small steps, busily: more processor
        # time on quiet cores, and many times as long where other programs use some of them.
        with threadpool_limits(1, user_api="blas"):
            strength, axes = np.linalg.eigh(covariance)
        axes = axes.astype(np.float32)
        classes = np.arange(1 if len(self.classes_) == 2 else 0, len(self.classes_))
        targets = np.where(part.codes[:, None] == classes, np.float32(1), np.float32(-1))
        return Decomposed(scaler, axes, scaled @ axes, np.maximum(strength, 0), targets)


def left_out_values(
    fitted: Decomposed, *, alpha: float, groups: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return each training row's decision values (N, D) by a model that it was left out of.

    Args:
        fitted: the decomposed training rows.
        alpha: the penalty, not divided by the number of rows.
        groups: (N,), equal for rows left out together; None for each by itself.
    """
    weights, intercept = fitted.weights(alpha)
    residual = (fitted.targets - (fitted.rows @ weights + intercept)).astype(np.float64)
    scaled = fitted.rows / np.sqrt(fitted.strength + alpha).astype(np.float32)
    n = len(scaled)  # the intercept's share of the hat matrix is 1 / n everywhere
    hat = np.einsum("ij,ij->i", scaled, scaled, dtype=np.float64) + 1 / n
    left_out = residual / np.maximum(1 - hat, 1e-6)[:, None]
    if groups is not None:
        order = np.argsort(groups, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
            if len(rows) > 1:
                block = np.eye(len(rows)) - (scaled[rows] @ scaled[rows].T + 1 / n)
                left_out[rows] = np.linalg.lstsq(block, residual[rows], rcond=None)[0]
    values: NDArray[np.float64] = fitted.targets - left_out
    return values
