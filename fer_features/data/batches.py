"""From the rows asked for to `Faces` records: what the sources that read files share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fer_features.data.record import IMAGE_SIZE, FaceIndex, Faces, pixel_sha256
from fer_features.errors import FerError


def find_places(index: FaceIndex, rows: NDArray[np.int64], *, name: str) -> NDArray[np.int64]:
    """Where `rows` stand in `index`: int64 (M,).

    Raises:
        FerError: a row is not in the index, or the rows are not in ascending order.
    """
    wanted = np.asarray(rows, dtype=np.int64)
    if (np.diff(wanted) <= 0).any():
        raise FerError(f"{name}: the rows to read must be in ascending order, each of them once")
    places = np.searchsorted(index.row, wanted).astype(np.int64)
    missing = ~np.isin(wanted, index.row, assume_unique=True)
    if missing.any():
        raise FerError(f"{name} has no usable row {wanted[missing][0]}")
    return places


def in_batches(
    places: NDArray[np.int64], *, batch_size: int, name: str
) -> Iterator[NDArray[np.int64]]:
    """Cut `places` into pieces of at most `batch_size`.

    Raises:
        FerError: the batch size is below 1.
    """
    if batch_size < 1:
        raise FerError(f"{name}: the batch size must be 1 or more, not {batch_size}")
    return (places[start : start + batch_size] for start in range(0, len(places), batch_size))


def make_faces(index: FaceIndex, places: NDArray[np.int64], images: NDArray[np.uint8]) -> Faces:
    """The record of decoded `images`, uint8 of any shape that holds len(places) faces."""
    square = images.reshape(len(places), IMAGE_SIZE, IMAGE_SIZE)
    return Faces(
        images=square,
        emotion=index.emotion[places],
        usage=index.usage[places],
        row=index.row[places],
        sha256=pixel_sha256(square),
        family=index.family[places],
    )
