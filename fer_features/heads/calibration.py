"""Probability calibration and the choice of a threshold, both on validation rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from fer_features.errors import FerError

CALIBRATIONS = ("platt", "isotonic")
EPSILON = 1e-12
"""The least probability of which a logarithm is taken."""


@dataclass(frozen=True)
class Calibrator:
    """A fitted calibration of a head's probabilities.

    Attributes:
        method: ``platt`` or ``isotonic``.
        parameters: plain numbers: for ``platt`` ``coef`` (D, K) and ``intercept`` (D,) of a
            logistic regression on log probabilities; for ``isotonic`` ``x`` and ``y``, the knots
            of each class's non-decreasing curve, the last class first.
    """

    method: str
    parameters: dict[str, Any]

    def apply(self, probability: NDArray[Any]) -> NDArray[np.float64]:
        """Calibrated probabilities float64 (N, K) of a head's (N, K); rows sum to 1."""
        if self.method == "platt":
            coef = np.asarray(self.parameters["coef"])
            z = _logs(probability) @ coef.T + np.asarray(self.parameters["intercept"])
            z = np.hstack([np.zeros_like(z), z]) if len(coef) == 1 else z
            return np.asarray(softmax(z, axis=1))
        curves = zip(self.parameters["x"], self.parameters["y"], strict=True)
        calibrated = np.stack(
            [np.interp(probability[:, -1 - k], x, y) for k, (x, y) in enumerate(curves)][::-1],
            axis=1,
        )
        if calibrated.shape[1] == 1:
            return np.hstack([1 - calibrated, calibrated])
        total = calibrated.sum(axis=1, keepdims=True)
        even = np.full_like(calibrated, 1 / calibrated.shape[1])  # where every curve is 0
        return np.asarray(np.divide(calibrated, total, out=even, where=total > 0))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, from which `from_dict` makes an equal calibrator."""
        return {"method": self.method, **self.parameters}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(data["method"], {k: v for k, v in data.items() if k != "method"})


def fit_calibrator(method: str, probability: NDArray[Any], codes: NDArray[np.int64]) -> Calibrator:
    """Fit a calibration to probabilities of rows that the head has not been fitted to.

    ``platt``: a logistic regression on log probabilities, of two classes on their log odds (Platt,
    1999), of more multinomial. ``isotonic``: isotonic regression of each class against the rest
    (Zadrozny and Elkan, 2002, https://doi.org/10.1145/775047.775151), normalised to sum 1; of two
    classes only the second's.

    Args:
        method: ``platt`` or ``isotonic``.
        probability: float (N, K).
        codes: int (N,), true class codes, each of 0 to K-1 occurring.
    """
    n_classes = probability.shape[1]
    if method == "platt":
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=1e3, max_iter=1000).fit(_logs(probability), codes)
        parameters = {"coef": model.coef_.tolist(), "intercept": model.intercept_.tolist()}
        return Calibrator(method, parameters)
    from sklearn.isotonic import IsotonicRegression

    x, y = [], []
    for k in range(1 if n_classes == 2 else n_classes):  # from the last class on
        curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        curve.fit(probability[:, -1 - k], codes == n_classes - 1 - k)
        x.append(curve.X_thresholds_.tolist())
        y.append(curve.y_thresholds_.tolist())
    return Calibrator(method, {"x": x, "y": y})


def _logs(probability: NDArray[Any]) -> NDArray[np.float64]:
    """Log odds (N, 1) of two classes, log probabilities (N, K) of more."""
    logs = np.log(np.clip(np.asarray(probability, np.float64), EPSILON, None))
    return logs[:, 1:] - logs[:, :1] if probability.shape[1] == 2 else logs


def choose_threshold(
    positive: NDArray[Any], probability: NDArray[Any], *, target: str, value: float
) -> float:
    """The threshold that reaches a precision at the highest recall, or the other way round.

    It is the least probability that is predicted positive.

    Args:
        positive: (N,), 1 or true where a row is positive.
        probability: float (N,), of being positive.
        target: ``precision`` or ``recall``.
        value: its least value, above 0 and at most 1.

    Raises:
        FerError: no threshold reaches it.
    """
    order = np.argsort(-probability, kind="stable")
    hits = np.cumsum(np.asarray(positive, bool)[order])
    ends = np.flatnonzero(np.diff(probability[order], append=-1) != 0)  # of equal probabilities
    precision, recall = hits[ends] / (ends + 1), hits[ends] / max(hits[-1], 1)
    reached, other = (precision, recall) if target == "precision" else (recall, precision)
    if not (reached >= value).any():
        raise FerError(
            f"no threshold gives a {target} of {value:g} on the validation rows",
            hint=f"the most that one gives is {reached.max():.4f}",
        )
    return float(probability[order][ends[np.where(reached >= value, other, -1).argmax()]])
