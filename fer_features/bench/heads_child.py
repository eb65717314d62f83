"""Stage 2 in the child: a head of this package, or scikit-learn's own over the same candidates."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.bench.contenders import peak_bytes
from fer_features.bench.heads_data import Parts, cached_features, synthetic_features
from fer_features.bench.protocol import LeftOut, Message
from fer_features.heads import make_head

Candidate = tuple[Any, Callable[[NDArray[np.float32]], NDArray[Any]]]
"""A fitted scikit-learn pipeline, and its probabilities or decision values (n, D) of features."""


class HeadContender:
    """One head: a round fits it, its choice on validation included, and predicts the test part.

    Args:
        job: ``head``, ``stock`` (by plain scikit-learn), ``cache`` (a path or None), ``rows``,
            ``features`` and ``seed``.

    Raises:
        LeftOut: scikit-learn has nothing like this head.
        FerError: the cache cannot be used.
    """

    def __init__(self, job: Message) -> None:
        self._name, self._stock = job["head"], job["stock"]
        if self._stock and self._name not in STOCK:
            raise LeftOut("scikit-learn has no such estimator")
        if job["cache"] is not None:
            self._parts = cached_features(Path(job["cache"]))
        else:
            self._parts = synthetic_features(
                rows=job["rows"], features=job["features"], seed=job["seed"]
            )
        self._seed = job["seed"]
        if not self._stock:
            from fer_features.heads.accel import estimators

            estimators()  # imported before the clock runs

    def describe(self) -> Message:
        """What it is, and what it is measured on."""
        return {
            "rows": [len(self._parts.y), len(self._parts.y_val), len(self._parts.y_test)],
            "features": self._parts.X.shape[1],
        }

    def run(self) -> Message:
        """Fit, choice included, and predict."""
        parts = self._parts
        begun = time.perf_counter()
        if self._stock:
            predict = fit_stock(self._name, parts)
            solver = f"scikit-learn {version('scikit-learn')}"
        else:
            head = make_head(self._name)
            if "random_state" in head.get_params():
                head.set_params(random_state=self._seed)
            predict = head.fit(parts.X, parts.y, validation=(parts.X_val, parts.y_val)).predict
            solver = head.chosen_.get("solver", "")
        fit_s = time.perf_counter() - begun
        begun = time.perf_counter()
        found = predict(parts.X_test)
        predict_s = time.perf_counter() - begun
        return {
            "solver": solver,
            "fit_s": fit_s,
            "predict_s": predict_s,
            "validation": float(np.mean(predict(parts.X_val) == parts.y_val)),
            "test": float(np.mean(found == parts.y_test)),
            "peak_bytes": peak_bytes(),
        }


def fit_stock(name: str, parts: Parts) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """Fit scikit-learn's own for each candidate of the head, and choose as the head does.

    Returns:
        The chosen pipeline's `predict`.
    """
    from fer_features.heads.choice import platt, validation_scores

    losses: list[tuple[float, Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model, answer in STOCK[name](parts):
            values = answer(parts.X_val)
            if name != "logreg":
                values = values.reshape(len(values), -1)
                values = platt(values, parts.y_val).predict_proba(values)
            losses.append((validation_scores(parts.y_val, values)["log_loss"], model))
    best: Callable[[NDArray[np.float32]], NDArray[Any]]
    best = min(losses, key=lambda one: one[0])[1].predict
    return best


def _logreg(parts: Parts) -> Iterator[Candidate]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parameters = make_head("logreg").get_params()
    for C in parameters["Cs"]:
        own = LogisticRegression(C=C, max_iter=parameters["max_iter"])
        model = make_pipeline(StandardScaler(), own).fit(parts.X, parts.y)
        yield model, model.predict_proba


def _svm(parts: Parts) -> Iterator[Candidate]:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    parameters = make_head("svm").get_params()
    scale = 1 / (parts.X.shape[1] * StandardScaler().fit_transform(parts.X).var(dtype=np.float64))
    for multiple in parameters["gammas"]:
        for C in parameters["Cs"]:
            own = SVC(C=C, gamma=multiple * scale, cache_size=1000)
            model = make_pipeline(StandardScaler(), own).fit(parts.X, parts.y)
            yield model, model.decision_function


def _ridge(parts: Parts) -> Iterator[Candidate]:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for alpha in make_head("ridge").get_params()["alphas"]:
        own = RidgeClassifier(alpha=alpha * len(parts.y))
        model = make_pipeline(StandardScaler(), own).fit(parts.X, parts.y)
        yield model, model.decision_function


STOCK: dict[str, Callable[[Parts], Iterator[Candidate]]] = {
    "logreg": _logreg,
    "svm": _svm,
    "ridge": _ridge,
}
"""By head's name: scikit-learn's own, fitted to one candidate after another."""
