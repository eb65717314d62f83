"""64-bit keys of images, which identify those that weights have learnt from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def image_keys(sha256: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """The first 64 bits of hex SHA-256: ``S64`` (N,) to uint64 (N,)."""
    first = np.ascontiguousarray(sha256.astype("S64")).view("S1").reshape(-1, 64)[:, :16]
    raw = bytes.fromhex(first.tobytes().decode("ascii"))
    return np.frombuffer(raw, ">u8").astype(np.uint64)


def seen_by(seen: NDArray[np.uint64], sha256: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Which images are among those of the keys `seen`, pixel for pixel: bool (N,)."""
    return np.isin(image_keys(sha256), seen)
