"""How stage 2 calls a head: what it takes is handed to it, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.errors import FerError

TOLERANCE = 1e-6
"""How far from 1 the sum of a row's probabilities may be."""


def fit_head(
    head: Any,
    X: NDArray[Any],
    y: NDArray[np.int64],
    *,
    validation: Any = None,
    groups: Any = None,
    soft_targets: Any = None,
) -> None:
    """Call a head's `fit` with those arguments that its signature has."""
    extra = {
        "groups": groups,
        "targets": soft_targets,
        "on_epoch": head.__dict__.pop("on_epoch", None),
        "fitted": head.__dict__.pop("reused", None),
    }
    known = inspect.signature(head.fit).parameters
    given = {name: it for name, it in extra.items() if it is not None and name in known}
    head.fit(X, y, validation=validation, **given)


def probabilities_of(head: Any, X: NDArray[Any]) -> NDArray[Any]:
    """A fitted head's probabilities (N, K), 0 to 1, each row summing to 1, in the head's type.

    Raises:
        FerError: it is of another shape, or is no probabilities within `TOLERANCE`.
    """
    p = np.asarray(head.predict_proba(X))
    shape = (len(X), len(head.classes_))
    if p.shape != shape:
        raise FerError(f"the {head.name} head gives probabilities {p.shape}, not {shape}")
    sums = p.sum(axis=1, dtype=np.float64)
    within = (p >= -TOLERANCE) & (p <= 1 + TOLERANCE)  # False for NaN
    bad = ~(within.all(axis=1) & (abs(sums - 1) <= TOLERANCE))
    if bad.any():
        row = int(bad.argmax())
        raise FerError(
            f"the {head.name} head's probabilities are not 0 to 1 with sum 1, first in row {row}: "
            f"{p[row].tolist()}, sum {sums[row]:.9g}",
            hint="its predict_proba is at fault: divide each row by its sum, in float64",
        )
    clipped: NDArray[Any] = np.clip(p, 0, 1)
    return clipped


def params_of(name: str, params: Mapping[str, Any], *, heads: Sequence[str]) -> dict[str, Any]:
    """Parameters that are meant for one head: those without a head's name, and its own.

    Args:
        name: the head.
        params: values by ``parameter`` or ``head.parameter``.
        heads: names of all heads that are fitted.

    Raises:
        FerError: a parameter is for a head that is not fitted.
    """
    own = {}
    for key, value in params.items():
        head, dot, parameter = key.rpartition(".")
        if dot and head not in heads:
            raise FerError(
                f"--set {key}: no head {head} is fitted", hint=f"fitted are {', '.join(heads)}"
            )
        if not dot or head == name:
            own[parameter] = value
    return own
