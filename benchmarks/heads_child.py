"""Stage 2 in the child: a head of this package, or scikit-learn's own over the same candidates."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships none

from benchmarks.contenders import peak_bytes
from benchmarks.heads_data import Parts, cached_features, synthetic_features
from benchmarks.protocol import LeftOut, Message
from fer_features.heads import make_head
from fer_features.heads.choice import platt, validation_scores
from fer_features.heads.svm import CALIBRATION_FOLDS

KERNEL_VALUE = 4
"""Bytes of a kernel value in libsvm's cache."""


class HeadContender:
    """One head: a round fits it, its choice on validation included, and predicts the test part.

    Args:
        job: ``head``, ``stock`` (None, or by plain scikit-learn with so many ``blas_threads`` and
            ``fits_at_once``), ``cache`` (a path or None), ``rows``, ``features`` and ``seed``.

    Raises:
        LeftOut: scikit-learn has nothing like this head.
        FerError: the cache cannot be used.
    """

    def __init__(self, job: Message) -> None:
        self._name, self._stock = job["head"], job["stock"]
        if self._stock is not None and self._name not in STOCK:
            raise LeftOut("scikit-learn has no such estimator")
        if job["cache"] is not None:
            self._parts = cached_features(Path(job["cache"]))
        else:
            self._parts = synthetic_features(
                rows=job["rows"], features=job["features"], seed=job["seed"]
            )
        self._seed = job["seed"]
        if self._stock is None:
            from fer_features.heads.solvers import intelex

            intelex()  # imported before the clock runs

    def describe(self) -> Message:
        """What it is, and what it is measured on."""
        return {
            "rows": [len(self._parts.y), len(self._parts.y_val), len(self._parts.y_test)],
            "features": self._parts.X.shape[1],
        }

    def run(self) -> Message:
        """Fit, choice included, and predict."""
        parts = self._parts
        begun, begun_cpu = time.perf_counter(), time.process_time()
        if self._stock is not None:
            predict = fit_stock(self._name, parts, **self._stock)
            solver = f"scikit-learn {version('scikit-learn')}"
        else:
            head = make_head(self._name)
            if "random_state" in head.get_params():
                head.set_params(random_state=self._seed)
            predict = head.fit(parts.X, parts.y, validation=(parts.X_val, parts.y_val)).predict
            solver = head.chosen_.get("solver", "")
        fit_s, fit_cpu_s = time.perf_counter() - begun, time.process_time() - begun_cpu
        begun = time.perf_counter()
        found = predict(parts.X_test)
        predict_s = time.perf_counter() - begun
        return {
            "solver": solver,
            "fit_s": fit_s,
            "fit_cpu_s": fit_cpu_s,
            "predict_s": predict_s,
            "validation": float(np.mean(predict(parts.X_val) == parts.y_val)),
            "test": float(np.mean(found == parts.y_test)),
            "peak_bytes": peak_bytes(),
        }


def fit_stock(
    name: str, parts: Parts, *, blas_threads: int = 1, fits_at_once: int = 1
) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """Fit scikit-learn's own for each candidate of the head, and choose as the head does.

    The features are standardised once for all candidates. Where the head calibrates its
    probabilities, so does this: by decision values of as many folds of the training rows.

    Args:
        name: one of `STOCK`.
        parts: the rows.
        blas_threads: threads of one matrix product.
        fits_at_once: candidates, or folds, that are fitted side by side.

    Returns:
        Class codes of features, by the chosen estimator and its calibration.
    """
    with warnings.catch_warnings(), threadpool_limits(blas_threads, user_api="blas"):
        warnings.simplefilter("ignore")
        scaler = StandardScaler()
        X, X_val = scaler.fit_transform(parts.X), scaler.transform(parts.X_val)
        models = Parallel(n_jobs=fits_at_once, prefer="threads")(
            delayed(one.fit)(X, parts.y) for one in STOCK[name](X, parts.y)
        )
        best = min(models, key=lambda one: _loss(one, X_val, parts.y_val))
        if hasattr(best, "predict_proba"):
            return lambda X: best.predict(scaler.transform(X))
        calibration = platt(_out_of_fold(best, parts, fits_at_once), parts.y)
    return lambda X: calibration.predict(_decisions(best, scaler.transform(X)))


def _loss(model: Any, X: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    """The log loss on validation rows that the head chooses by."""
    if hasattr(model, "predict_proba"):
        probability = model.predict_proba(X)
    else:
        values = _decisions(model, X)
        probability = platt(values, y).predict_proba(values)
    return float(validation_scores(y, probability)["log_loss"])


def _decisions(model: Any, X: NDArray[np.float32]) -> NDArray[Any]:
    """Decision values (n, D)."""
    values: NDArray[Any] = model.decision_function(X).reshape(len(X), -1)
    return values


def _out_of_fold(model: Any, parts: Parts, fits_at_once: int) -> NDArray[Any]:
    """Decision values (n, D) of the training rows, each by a fit to the other folds."""
    values: NDArray[Any] = cross_val_predict(
        make_pipeline(StandardScaler(), clone(model)),
        parts.X,
        parts.y,
        cv=CALIBRATION_FOLDS,
        method="decision_function",
        n_jobs=fits_at_once,
    )
    return values.reshape(len(values), -1)


def _logreg(X: NDArray[np.float32], y: NDArray[np.int64]) -> list[Any]:
    parameters = make_head("logreg").get_params()
    return [LogisticRegression(C=C, max_iter=parameters["max_iter"]) for C in parameters["Cs"]]


def _svm(X: NDArray[np.float32], y: NDArray[np.int64]) -> list[Any]:
    parameters = make_head("svm").get_params()
    scale = 1 / (X.shape[1] * X.var(dtype=np.float64))
    cache_mb = 200 + KERNEL_VALUE * len(y) ** 2 / 2**20  # no kernel value is computed twice
    return [
        SVC(C=C, gamma=multiple * scale, cache_size=cache_mb)
        for multiple in parameters["gammas"]
        for C in parameters["Cs"]
    ]


def _ridge(X: NDArray[np.float32], y: NDArray[np.int64]) -> list[Any]:
    return [RidgeClassifier(alpha=a * len(y)) for a in make_head("ridge").get_params()["alphas"]]


STOCK: dict[str, Callable[[NDArray[np.float32], NDArray[np.int64]], list[Any]]] = {
    "logreg": _logreg,
    "svm": _svm,
    "ridge": _ridge,
}
"""By head's name: scikit-learn's own for each of the head's candidates, not yet fitted.

Called with the standardised training features and their codes.
"""
