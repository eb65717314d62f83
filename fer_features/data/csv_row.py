"""One row of a ``fer2013.csv``: where its fields stand, and whether they can be used."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

import numpy as np

from fer_features.config import USAGES
from fer_features.data.csv_labels import IGNORED, Labels, RowError
from fer_features.data.record import IMAGE_SIZE
from fer_features.errors import FerError

_USAGE_CODES = {usage.lower().encode(): code for code, usage in enumerate(USAGES)}
_BLANK = np.uint8(ord(" "))
_QUOTED = re.compile(rb' *"[^"]*(?:""[^"]*)*"')
_AROUND = b' "\t\r\n'  # what may stand around a field: blanks, quotes, the line's end

_FIELDS = "every row needs one field for each column; quote a field that has a comma in it"
_SIZE = (
    f"every row needs the grey levels of {IMAGE_SIZE}×{IMAGE_SIZE} pixels: resize the images, or "
    "save them as pictures in class folders, which may have any size"
)
_PARTS = f"write {', '.join(USAGES)}, or remove the column Usage"
_WANTED = "give FER2013 with its labels: a CSV file that starts with emotion,pixels,Usage"


@dataclass(frozen=True)
class RowForm:
    """The columns of a file.

    Attributes:
        columns: how many there are.
        emotion: which of them is ``emotion``.
        pixels: which of them is ``pixels``.
        usage: which of them is ``Usage``; None if none is.
    """

    columns: int
    emotion: int
    pixels: int
    usage: int | None

    def check(self, line: bytes, *, pixels: int, labels: Labels) -> tuple[int, int, int, int]:
        """Check a line as far as it goes without decoding its pixels.

        Args:
            line: the line, with or without its end.
            pixels: how many pixels there must be.
            labels: what labels mean.

        Returns:
            The codes of emotion (or `IGNORED`) and usage (-1 where there is no such column), and
            where in the line the field of pixels starts and stops.

        Raises:
            RowError: the row cannot be used; the message says why.
        """
        cuts = _cuts(line)
        if len(cuts) != self.columns:
            raise RowError(f"{len(cuts)} fields instead of {self.columns}", remedy=_FIELDS)
        cuts.append(len(line))
        start, stop = cuts[self.pixels] + 1, cuts[self.pixels + 1]

        label = line[cuts[self.emotion] + 1 : cuts[self.emotion + 1]].strip(_AROUND)
        emotion = labels.code(label)
        if emotion == IGNORED:
            return IGNORED, -1, start, stop
        found = count_pixels(line[start:stop], pixels)
        if found != pixels:
            raise RowError(f"{found} pixels instead of {pixels}", remedy=_SIZE)
        if self.usage is None:
            return emotion, -1, start, stop
        part = line[cuts[self.usage] + 1 : cuts[self.usage + 1]].strip(_AROUND)
        usage = _USAGE_CODES.get(part.lower())
        if usage is None:
            raise RowError(f"usage is {_shown(part)}, none of {', '.join(USAGES)}", remedy=_PARTS)
        return emotion, usage, start, stop


def _cuts(line: bytes) -> list[int]:
    """-1, and where the commas between a line's fields stand."""
    # `find` jumps over the 8 kB of pixels; `split` would look at each byte and copy it.
    cuts, quotes = [-1], b'"' in line
    while True:
        start = cuts[-1] + 1
        quoted = _QUOTED.match(line, start) if quotes else None
        cut = line.find(b",", quoted.end() if quoted else start)
        if cut < 0:
            return cuts
        cuts.append(cut)


def bare(field: bytes) -> bytes:
    """A field without the blanks, quotes and line ends around it."""
    return field.strip(_AROUND)


def count_pixels(field: bytes, expected: int) -> int:
    """How many numbers a field holds.

    Where there is one blank less than `expected`, that is the answer, without a look at how far
    apart they are: two together and a number too few are found when the pixels are decoded.
    """
    text = bare(field)
    if np.count_nonzero(np.frombuffer(text, np.uint8) == _BLANK) + 1 == expected and text:
        return expected
    return sum(1 for number in text.split(b" ") if number)


def read_header(line: bytes, *, name: str) -> RowForm:
    """Find the columns in a file's first line.

    Args:
        line: the line, with or without its end.
        name: the file's name, for the error.

    Raises:
        FerError: the line is no header, or a column that is needed is not there.
    """
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise FerError(f"{name} is not a text file in UTF-8", hint=_WANTED)
    try:
        fields = next(csv.reader([text], skipinitialspace=True), [])
    except csv.Error:
        fields = text.split(",")
    columns = [column.strip(_AROUND.decode()) for column in fields]
    folded = [column.lower() for column in columns]
    for column, least in (("emotion", 1), ("pixels", 1), ("usage", 0)):
        if not least <= folded.count(column) <= 1:
            shown = ", ".join(columns)
            shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
            number = "more than one column" if folded.count(column) else "no column"
            raise FerError(f"{name} has {number} {column}; its first line: {shown}", hint=_WANTED)
    return RowForm(
        columns=len(columns),
        emotion=folded.index("emotion"),
        pixels=folded.index("pixels"),
        usage=folded.index("usage") if "usage" in folded else None,
    )


def _shown(field: bytes) -> str:
    return repr(field[:20].decode("utf-8", "backslashreplace"))
