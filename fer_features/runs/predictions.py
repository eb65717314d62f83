"""Predictions of a run's validation and test rows: ``predictions.npz``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile
from zlib import error as zlib_error

import numpy as np
from numpy.typing import NDArray

from fer_features.metrics.curves import reliability, roc_of

LARGEST_PREDICTIONS = 1 << 30
"""Bytes of a run's predictions, unpacked: ten million rows of seven classes."""

ENOUGH = 10
"""Least number of images in a tenth of confidence of a reliability curve."""

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""x and y, ascending in x."""

UNREADABLE = (OSError, KeyError, ValueError, AttributeError, MemoryError, zlib_error, BadZipFile)
"""What NumPy raises for a file that is no archive of arrays, or a damaged one."""


@dataclass(frozen=True)
class Part:
    """Predictions of one part.

    Attributes:
        row: int64 (n,), numbers of the source's rows.
        label: int64 (n,), the true class codes.
        probability: float64 (n, K).
        twin: bool (n,), which rows have an exact or near twin in an earlier part.
    """

    row: NDArray[np.int64]
    label: NDArray[np.int64]
    probability: NDArray[np.float64]
    twin: NDArray[np.bool_]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Bool (n,): the rows whose most probable class is the true one."""
        found: NDArray[np.bool_] = self.probability.argmax(axis=1) == self.label
        return found

    def roc(self, positive: int | None) -> Curve | None:
        """False and true positive rates, as `metrics.curves.roc_of`; None where undefined."""
        return roc_of(self.label, self.probability, positive=positive)

    def reliability(self) -> Curve:
        """Mean confidence and accuracy by tenths of confidence with `ENOUGH` images."""
        found = reliability(self.label, self.probability, bins=10, least=ENOUGH)
        return found.confidence, found.accuracy

    def fits(self, n_classes: int) -> bool:
        """Whether the arrays are of one length, of these types, and about so many classes."""
        arrays = vars(self).values()
        kinds = [(one.dtype.kind, one.ndim) for one in arrays]
        return (
            kinds == [("i", 1), ("i", 1), ("f", 2), ("b", 1)]
            and len({len(one) for one in arrays}) == 1
            and self.probability.shape[1] == n_classes
            and bool(((self.probability >= 0) & (self.probability <= 1)).all())
            and bool(((self.label >= 0) & (self.label < n_classes)).all())
        )


@dataclass(frozen=True)
class Predictions:
    """Predictions of the rows that a head was chosen and scored on."""

    validation: Part
    test: Part

    def save(self, path: Path) -> Path:
        """Write them to `path`, with ``.npz`` behind it."""
        arrays = {
            f"{part}_{name}": array
            for part, one in vars(self).items()
            for name, array in vars(one).items()
        }
        np.savez_compressed(path, **arrays)
        return path.with_name(f"{path.name}.npz")


def read_predictions(path: Path) -> Predictions:
    """Read what `Predictions.save` wrote; raises the errors of `UNREADABLE`."""
    check_size(path, LARGEST_PREDICTIONS)
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        if sum(one.file_size for one in file.zip.infolist()) > LARGEST_PREDICTIONS:
            raise ValueError("too large")
        validation, test = (
            Part(**{name: file[f"{part}_{name}"] for name in Part.__dataclass_fields__})
            for part in ("validation", "test")
        )
    return Predictions(validation, test)


def check_size(path: Path, largest: int) -> None:
    """Refuse pipes and devices, which would be read for ever, and files that are too large.

    Raises:
        OSError: there is none.
        ValueError: it is no file, or larger than any of its kind.
    """
    size = path.stat().st_size
    if not path.is_file() or size > largest:
        raise ValueError(f"it is no file of at most {largest:,} bytes")
