"""Heads and calibrators as Keras operations: features in, probabilities out.

Everything is made of layers and operations that Keras reads back in safe mode; arrays that may be
large are weights of layers, as text would make the file several times as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.config import GRID
from fer_features.engines.graph import grid_graph
from fer_features.errors import FerError
from fer_features.heads import head_class
from fer_features.heads.calibration import EPSILON, Calibrator
from fer_features.heads.ensemble import EnsembleHead
from fer_features.heads.keras_head import KerasHead
from fer_features.heads.logreg import LogisticRegressionHead
from fer_features.heads.ridge import RidgeHead
from fer_features.heads.svm import SupportVectorHead
from fer_features.runtime.keras_runtime import import_keras


def head_graph(head: Any, features: Any) -> Any:
    """A fitted head's probabilities (N, K), as a Keras tensor.

    Args:
        head: the head.
        features: a Keras tensor, as the head takes them: float32 (N, C), or (N, h, w, C) of any
            float type.

    Raises:
        FerError: the head cannot be expressed.
    """
    features = import_keras().ops.cast(features, "float32")
    match head:
        case LogisticRegressionHead():
            scaled = _standardized(features, head.scaler_)
            return _regression(scaled, head.model_)
        case RidgeHead():
            scaled = _standardized(features, head.scaler_)
            return _regression(_linear(scaled, head.coef_, head.intercept_), head.calibrator_)
        case SupportVectorHead():
            return _regression(_svm_values(features, head), head.calibrator_)
        case EnsembleHead():
            return _ensemble(head, features)
        case KerasHead():
            return _network(features, head)
    raise FerError(f"the {head.name} head cannot be exported: there is no graph for it")


def calibrator_graph(calibrator: Calibrator, probability: Any) -> Any:
    """Calibrated probabilities (N, K) of a head's (N, K), as `Calibrator.apply` computes them."""
    keras = import_keras()
    ops, parameters = keras.ops, calibrator.parameters
    n_classes = probability.shape[-1]
    if calibrator.method == "platt":
        logs = ops.log(ops.maximum(probability, EPSILON))
        if n_classes == 2:
            logs = logs[:, 1:] - logs[:, :1]
        coef = np.asarray(parameters["coef"])
        return _probabilities(_linear(logs, coef.T, parameters["intercept"]))
    curves = zip(parameters["x"], parameters["y"], strict=True)
    columns = [
        _interpolated(probability[:, n_classes - 1 - k : n_classes - k], np.array(x), np.array(y))
        for k, (x, y) in enumerate(curves)
    ][::-1]
    if len(columns) == 1:
        return ops.concatenate([1 - columns[0], columns[0]], axis=-1)
    values = ops.concatenate(columns, axis=-1)
    total = ops.sum(values, axis=-1, keepdims=True)
    # A sum with `total` would be wrong where N is K: Keras takes it for a bias then.
    shares = values / ops.maximum(total, EPSILON)
    return ops.where(total > 0, shares, 1 / n_classes)  # where every curve is 0, all are alike


def _standardized(x: Any, scaler: Any) -> Any:
    mean, scale = (np.asarray(one, np.float32) for one in (scaler.mean_, scaler.scale_))
    return (x - mean) / scale


def _linear(x: Any, weights: Any, bias: Any | None = None) -> Any:
    """Return ``x @ weights + bias``, of weights (C, D) and a bias (D,)."""
    keras = import_keras()
    layer = keras.layers.Dense(np.shape(weights)[1], use_bias=bias is not None)
    layer.build(x.shape)
    layer.set_weights([np.asarray(one, np.float32) for one in (weights, bias) if one is not None])
    return layer(x)


def _regression(x: Any, model: Any) -> Any:
    """Probabilities of a fitted `sklearn.linear_model.LogisticRegression`."""
    return _probabilities(_linear(x, model.coef_.T, model.intercept_))


def _probabilities(z: Any) -> Any:
    """Softmax of log odds (N, K), or of (N, 1) against 0."""
    ops = import_keras().ops
    if z.shape[-1] > 1:
        return ops.softmax(z, axis=-1)
    return ops.concatenate([ops.sigmoid(-z), ops.sigmoid(z)], axis=-1)


def _svm_values(features: Any, head: SupportVectorHead) -> Any:
    """Decision values (N, D): the squared distances to all support vectors by one product."""
    ops = import_keras().ops
    x = _standardized(features, head.scaler_)
    vectors = np.asarray(head.support_vectors_, np.float64)
    products = _linear(x, vectors.T)
    squares = ops.sum(ops.square(x), axis=-1, keepdims=True)
    lengths = np.square(vectors).sum(axis=1).astype(np.float32)
    distances = ops.maximum(squares - 2.0 * products + lengths, 0.0)
    kernel = ops.exp(-float(head.gamma_) * distances)
    return _linear(kernel, head.weights_, head.intercept_)


def _network(features: Any, head: KerasHead) -> Any:
    """A Keras head's layers; those that only train are left out.

    They are in a model of their own, as other members of an ensemble have layers of the same names.
    The layer of standardisation keeps the moments where converters to other formats see inputs, so
    the operation stands in its place.
    """
    keras = import_keras()
    x = inputs = keras.Input(features.shape[1:])
    for layer in head.model_.layers:
        if head.moments_ is not None and isinstance(layer, keras.layers.Normalization):
            mean, variance = (np.asarray(one, np.float32) for one in head.moments_)
            x = (x - mean) / np.maximum(np.sqrt(variance), keras.config.epsilon())
        elif not isinstance(layer, keras.layers.Dropout):
            x = layer(x)
    found = keras.Model(inputs, x, name=f"{head.name}_network")(features)
    return found if len(head.classes_) > 2 else keras.ops.concatenate([1 - found, found], axis=-1)


def _ensemble(head: EnsembleHead, features: Any) -> Any:
    """The mean of the members' probabilities; members on vectors take means of maps."""
    ops = import_keras().ops
    found = []
    for name, member in head.members_.items():
        x = features
        if head.needs != head_class(name).needs:
            x = grid_graph(x, GRID if head.pooling == "grid3" else 1)
        found.append(head_graph(member, x))
    return ops.mean(ops.stack(found), axis=0)


def _interpolated(x: Any, knots: NDArray[np.float64], values: NDArray[np.float64]) -> Any:
    """Linear interpolation of x (N, 1), as `numpy.interp`: the sum of each piece's part of it."""
    ops = import_keras().ops
    widths = np.maximum(np.diff(knots), np.finfo(np.float32).tiny).astype(np.float32)
    part = ops.clip((x - knots[:-1].astype(np.float32)) / widths, 0.0, 1.0)
    steps = np.diff(values).astype(np.float32)
    return float(values[0]) + ops.sum(part * steps, axis=-1, keepdims=True)
