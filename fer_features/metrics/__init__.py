"""(labels, probabilities) → scores, intervals and tests, as pure functions.

Labels are class codes 0 … K-1, probabilities are (N, K) with one column for each class. Scores are
scikit-learn's wherever it has them.
"""

from fer_features.metrics.curves import Reliability, expected_calibration_error, reliability
from fer_features.metrics.scores import (
    NUMBERS,
    Scores,
    accuracy,
    average_precision,
    brier,
    log_loss,
    roc_auc,
    score,
)

__all__ = [
    "NUMBERS",
    "Reliability",
    "Scores",
    "accuracy",
    "average_precision",
    "brier",
    "expected_calibration_error",
    "log_loss",
    "reliability",
    "roc_auc",
    "score",
]
