"""Arguments of metrics, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def checked(
    y: ArrayLike, probability: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.floating[Any]]]:
    """Class codes int64 (N,) and probabilities (N, K), N at least 1 and K at least 2.

    Raises:
        ValueError: they are of another form, the codes are not 0 to K - 1, or the probabilities
            are not 0 to 1 or do not sum to 1 in each row.
    """
    codes, p = np.asarray(y), np.asarray(probability)
    if p.ndim != 2 or p.shape[1] < 2 or not np.issubdtype(p.dtype, np.floating):
        raise ValueError(f"probabilities must be float (N, K), K >= 2, not {p.dtype} {p.shape}")
    if codes.shape != p.shape[:1] or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(f"class codes must be int ({len(p)},), not {codes.dtype} {codes.shape}")
    if len(codes) == 0:
        raise ValueError("there are no rows to score")
    if codes.min() < 0 or codes.max() >= p.shape[1]:
        raise ValueError(f"class codes must be 0 to {p.shape[1] - 1}")
    # NaN and infinity fail these comparisons
    if not ((p >= 0) & (p <= 1)).all() or (abs(p.sum(axis=1, dtype=np.float64) - 1) > 1e-3).any():
        raise ValueError("probabilities must be 0 to 1 and sum to 1 in each row")
    return codes.astype(np.int64), p


def positive_code(classes: list[str], positive: str | None, *, n_classes: int) -> int | None:
    """The code of the positive class of two; None where macro averages are meant.

    Raises:
        ValueError: the names do not fit the classes.
    """
    if len(classes) != n_classes:
        raise ValueError(f"{len(classes)} class names for {n_classes} columns of probabilities")
    if positive is not None and positive not in classes:
        raise ValueError(f"positive class {positive!r} is not one of {', '.join(classes)}")
    return None if positive is None or n_classes > 2 else classes.index(positive)
