"""What metrics are given, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def checked_codes(
    y: ArrayLike, *, n: int | None = None, n_classes: int | None = None
) -> NDArray[np.int64]:
    """Class codes, int64 (N,), N at least 1.

    Raises:
        ValueError: they are of another form, not `n`, or not 0 to `n_classes` - 1.
    """
    codes = np.asarray(y)
    if codes.ndim != 1 or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(f"class codes must be int (N,), not {codes.dtype} {codes.shape}")
    if len(codes) == 0:
        raise ValueError("there are no rows to score")
    if n is not None and len(codes) != n:
        raise ValueError(f"{len(codes)} class codes where {n} rows are")
    if n_classes is not None and (codes.min() < 0 or codes.max() >= n_classes):
        raise ValueError(
            f"class codes {codes.min()} to {codes.max()} where 0 to {n_classes - 1} are meant"
        )
    return codes.astype(np.int64)


def checked_probability(probability: ArrayLike) -> NDArray[np.floating[Any]]:
    """Probabilities (N, K), K at least 2.

    Raises:
        ValueError: they are of another form, not 0 to 1, or do not sum to 1 in each row.
    """
    p = np.asarray(probability)
    if p.ndim != 2 or p.shape[1] < 2 or not np.issubdtype(p.dtype, np.floating):
        raise ValueError(f"probabilities must be float (N, K), K >= 2, not {p.dtype} {p.shape}")
    if not np.isfinite(p).all():
        raise ValueError("probabilities hold NaN or infinity")
    if (p < 0).any() or (p > 1).any() or (abs(p.sum(axis=1, dtype=np.float64) - 1) > 1e-3).any():
        raise ValueError("probabilities must be 0 to 1 and sum to 1 in each row")
    return p


def checked_weights(weights: ArrayLike | None, *, n: int) -> NDArray[np.float64]:
    """Weights of rows, float64 (N,); ones for None.

    Raises:
        ValueError: they are not `n`, negative, not finite, or all 0.
    """
    if weights is None:
        return np.ones(n)
    w = np.asarray(weights, np.float64)
    if w.shape != (n,):
        raise ValueError(f"weights {w.shape} where {n} rows are")
    if not np.isfinite(w).all() or (w < 0).any() or not w.any():
        raise ValueError("weights must be finite, not negative and not all 0")
    return w
