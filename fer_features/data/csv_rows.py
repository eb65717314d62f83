"""One row of a ``fer2013.csv``: its fields, and whether they can be used."""

from __future__ import annotations

import csv
from collections import Counter
from contextlib import suppress

from fer_features.config import EMOTIONS, USAGES
from fer_features.data.csv_pixels import count_pixels
from fer_features.data.faces import IMAGE_SIZE
from fer_features.data.labels import IGNORED, Labels, rule_hint
from fer_features.errors import FerError
from fer_features.runtime.text import plain_text, shortened

PIXELS = IMAGE_SIZE * IMAGE_SIZE
"""Pixels of a row."""

VALUES = (
    "pixels must be whole numbers from 0 to 255 with blanks between them; multiply fractions of 1 "
    "by 255, and round them"
)
"""What to do if the pixels of all rows cannot be decoded."""

_USAGE_CODES = {usage.lower().encode(): code for code, usage in enumerate(USAGES)}
_FIELDS = "every row needs one field for each column; quote a field that has a comma in it"
_LABELS = f"labels must be 0 to 6 for {', '.join(EMOTIONS)}, or these names"
_SIZE = (
    f"every row needs the grey levels of {IMAGE_SIZE}×{IMAGE_SIZE} pixels: resize the images, or "
    "save them as pictures in class folders, which may have any size"
)
_PARTS = f"write {', '.join(USAGES)}, or remove the column Usage"
WANTED = (
    "give FER2013 with its labels, a CSV file that starts with emotion,pixels,Usage; unpack it if "
    "it is neither .gz, .xz, .zip nor .tar"
)


class RowError(ValueError):
    """Why a row cannot be used.

    Args:
        reason: what is wrong with this row.
        remedy: what to do if all rows have this fault; the same for the same kind of fault.
        hint: what to do about this row besides skipping it; may be empty.
    """

    def __init__(self, reason: str, *, remedy: str, hint: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy
        self.hint = f"{hint or 'fix it'}; or leave bad rows out: --skip-bad"


class Table:
    """The columns of a CSV file, by its first line.

    Raises:
        FerError: the line is no header, or a required column is missing.
    """

    def __init__(self, header: bytes, labels: Labels, *, name: str) -> None:
        self._labels = labels
        self._codes: dict[bytes, int] = {}
        self._counts: Counter[bytes] = Counter()
        try:
            header.decode()
        except UnicodeDecodeError:
            header = b"\0"
        if b"\0" in header:
            raise FerError(f"{name} is not a text file in UTF-8", hint=WANTED)
        columns = _split(header.removeprefix(b"\xef\xbb\xbf"))
        lower = [column.lower() for column in columns]
        for column, least in ((b"emotion", 1), (b"pixels", 1), (b"usage", 0)):
            if not least <= lower.count(column) <= 1:
                shown = shortened(", ".join(one.decode() for one in columns), 60)
                number = "more than one column" if column in lower else "no column"
                raise FerError(
                    f"{name} has {number} {column.decode()}; its first line: {plain_text(shown)}",
                    hint=WANTED,
                )
        self._columns = len(columns)
        self._emotion, self._pixels = lower.index(b"emotion"), lower.index(b"pixels")
        self._usage = lower.index(b"usage") if b"usage" in lower else None

    def parse(self, line: bytes) -> tuple[int, int, bytes]:
        """The codes of emotion (or `IGNORED`) and usage (or -1), and the text of the pixels.

        Raises:
            RowError: the row cannot be used.
        """
        fields = _split(line)
        if len(fields) != self._columns:
            raise RowError(f"{len(fields)} fields instead of {self._columns}", remedy=_FIELDS)
        emotion, pixels = self._code(fields[self._emotion]), fields[self._pixels]
        if emotion == IGNORED:
            return IGNORED, -1, pixels
        found = count_pixels(pixels, PIXELS)
        if found != PIXELS:
            raise RowError(f"{found} pixels instead of {PIXELS}", remedy=_SIZE)
        if self._usage is None:
            return emotion, -1, pixels
        usage = _USAGE_CODES.get(fields[self._usage].lower())
        if usage is None:
            shown = _shown(fields[self._usage])
            raise RowError(f"usage is {shown}, none of {', '.join(USAGES)}", remedy=_PARTS)
        return emotion, usage, pixels

    def pixels(self, line: bytes) -> bytes:
        """The text of the pixels of a row that was parsed before; empty if it has changed."""
        fields = _split(line)
        return fields[self._pixels] if len(fields) == self._columns else b""

    def fault(self, line: bytes) -> str | None:
        """The remedy for a row's kind of fault; None for a good row."""
        try:
            self.parse(line)
        except RowError as error:
            return error.remedy
        return None

    def counts(self) -> dict[str, int]:
        """Number of rows of each label parsed."""
        return {label.decode("utf-8", "backslashreplace"): n for label, n in self._counts.items()}

    def _code(self, label: bytes) -> int:
        known = self._codes.get(label)
        if known is None:
            text = label.decode("utf-8", "backslashreplace")
            known = self._labels.code(text)
            if known is None:
                named = any(character.isalpha() for character in text)
                wanted = (
                    f"none of {', '.join(EMOTIONS)}" if named else "not a whole number from 0 to 6"
                )
                raise RowError(
                    f"emotion is {_shown(label)}, {wanted}", remedy=_LABELS, hint=rule_hint(text)
                )
            self._codes[label] = known
        self._counts[label] += 1
        return known


def _split(line: bytes) -> list[bytes]:
    """The fields of a line, without quotes and outer blanks."""
    if b'"' in line:
        with suppress(csv.Error):
            quoted = next(csv.reader([line.decode("latin-1")], skipinitialspace=True))
            return [field.encode("latin-1").strip() for field in quoted]
    # `find` is several times faster on 8 kB of pixels than `split`.
    fields, start = [], 0
    while (stop := line.find(b",", start)) >= 0:
        fields.append(line[start:stop].strip())
        start = stop + 1
    return [*fields, line[start:].strip()]


def _shown(field: bytes) -> str:
    return repr(field[:20].decode("utf-8", "backslashreplace"))
