"""(labels, probabilities) → scores, intervals and tests, as pure functions.

Labels are class codes 0 … K-1, probabilities are (N, K) with one column for each class. Scores are
scikit-learn's wherever it has them.
"""

from fer_features.metrics.scores import NUMBERS, Scores, accuracy, log_loss, score

__all__ = ["NUMBERS", "Scores", "accuracy", "log_loss", "score"]
