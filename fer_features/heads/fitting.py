"""How stage 2 calls a head: what it takes is handed to it, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.errors import FerError


def takes(head: Any, name: str) -> bool:
    """Whether a head's `fit` has a parameter of that name."""
    return name in inspect.signature(head.fit).parameters


def fit_head(
    head: Any, X: NDArray[Any], y: NDArray[np.int64], *, validation: Any = None, **extra: Any
) -> None:
    """Fit a head, handing it of `extra` what it takes and what is not None."""
    given = {name: it for name, it in extra.items() if it is not None and takes(head, name)}
    head.fit(X, y, validation=validation, **given)


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
