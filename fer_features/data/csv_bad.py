"""The rows of a CSV file that cannot be used, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fer_features.data.csv_labels import Labels, RowError
from fer_features.data.csv_row import RowForm
from fer_features.data.pixel_text import BLOCK_ROWS, PixelDecoder
from fer_features.data.record import BadRow
from fer_features.errors import FerError

PIXEL_VALUES = (
    "pixels must be whole numbers from 0 to 255 with blanks between them; multiply fractions of 1 "
    "by 255, and round them"
)
"""What to do where the pixels of all rows cannot be decoded."""


class BadRows:
    """Gathers bad rows; decodes pixels, a block at a time, to find more of them.

    Args:
        pixels: how many a row must have.
    """

    def __init__(self, pixels: int) -> None:
        self.rows: list[BadRow] = []
        self._remedies: set[str] = set()
        self._waiting: dict[int, bytes] = {}
        self._pixels = pixels

    @property
    def remedy(self) -> str:
        """What to do, if all bad rows have the same kind of fault; else empty."""
        return next(iter(self._remedies)) if len(self._remedies) == 1 else ""

    def add(self, row: int, error: RowError) -> None:
        """Note a bad row."""
        self.rows.append(BadRow(row, str(error)))
        self._remedies.add(error.remedy)

    def check_pixels(self, row: int, field: bytes) -> None:
        """Decode a row's pixels, soon, and note it if they cannot be decoded."""
        self._waiting[row] = field
        if len(self._waiting) == BLOCK_ROWS:
            self.finish()

    def finish(self) -> None:
        """Decode what waits for it, and sort the rows."""
        images = np.empty((len(self._waiting), self._pixels), np.uint8)
        wrong = PixelDecoder(self._pixels).decode(list(self._waiting.values()), images)
        numbers = list(self._waiting)
        for place, reason in wrong.items():
            self.add(numbers[place], RowError(reason, remedy=PIXEL_VALUES))
        self._waiting.clear()
        self.rows.sort(key=lambda one: one.row)


def bad_row(path: Path, *, row: int, line: int, reason: str, hint: str = "") -> FerError:
    """The error for a bad row; by default it advises to skip such rows."""
    return FerError(
        f"{path.name}, row {row} (line {line}): {reason}",
        hint=hint or "fix it, or leave bad rows out: --skip-bad",
    )


def all_alike(lines: Iterable[bytes], form: RowForm, error: RowError, *, pixels: int) -> bool:
    """Whether each line has the same kind of fault as another row."""
    for line in lines:
        try:
            form.check(line, pixels=pixels, labels=Labels())
        except RowError as other:
            if other.remedy == error.remedy:
                continue
        return False
    return True
