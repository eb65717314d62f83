"""How good are probabilities: pure functions of what was true and what was said.

Labels are class codes 0 … K-1, probabilities are (N, K) with one column for each class. Every
number agrees with scikit-learn's function of the same name, weighted or not.
"""

from fer_features.metrics.decisions import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    precision_recall_f1,
)
from fer_features.metrics.probability import (
    Reliability,
    brier,
    expected_calibration_error,
    log_loss,
    reliability,
)
from fer_features.metrics.ranking import average_precision, roc_auc, roc_curve
from fer_features.metrics.scores import NUMBERS, Scores, score

__all__ = [
    "NUMBERS",
    "Reliability",
    "Scores",
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "confusion_matrix",
    "expected_calibration_error",
    "log_loss",
    "precision_recall_f1",
    "reliability",
    "roc_auc",
    "roc_curve",
    "score",
]
