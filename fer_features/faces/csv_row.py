"""One row of a ``fer2013.csv``: where its fields stand, and whether they can be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fer_features.errors import FerError
from fer_features.faces.record import EMOTIONS, USAGES

_EMOTION_CODES = {str(code).encode(): code for code in range(len(EMOTIONS))}
_USAGE_CODES = {usage.encode(): code for code, usage in enumerate(USAGES)}
_BLANK = np.uint8(ord(" "))
_AROUND = b' "\r\n'  # what may stand around a field: blanks, quotes, the line's end

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

    def check(self, line: bytes, *, pixels: int) -> tuple[int, int, int, int]:
        """Check a line as far as it goes without decoding its pixels.

        Args:
            line: the line, with or without its end.
            pixels: how many pixels there must be.

        Returns:
            The codes of emotion and usage (-1 where there is no such column), and where in the
            line the field of pixels starts and stops.

        Raises:
            ValueError: the row cannot be used; the message says why.
        """
        # `find` jumps over the 8 kB of pixels; `split` would look at each byte and copy it.
        cuts = [-1]
        while (cut := line.find(b",", cuts[-1] + 1)) >= 0:
            cuts.append(cut)
        if len(cuts) != self.columns:
            raise ValueError(f"{len(cuts)} fields instead of {self.columns}")
        cuts.append(len(line))
        start, stop = cuts[self.pixels] + 1, cuts[self.pixels + 1]

        label = line[cuts[self.emotion] + 1 : cuts[self.emotion + 1]].strip(_AROUND)
        emotion = _EMOTION_CODES.get(label)
        if emotion is None:
            raise ValueError(f"emotion is {_shown(label)}, not a whole number from 0 to 6")
        found = count_pixels(line[start:stop])
        if found != pixels:
            raise ValueError(f"{found} pixels instead of {pixels}")
        if self.usage is None:
            return emotion, -1, start, stop
        part = line[cuts[self.usage] + 1 : cuts[self.usage + 1]].strip(_AROUND)
        usage = _USAGE_CODES.get(part)
        if usage is None:
            raise ValueError(f"usage is {_shown(part)}, none of {', '.join(USAGES)}")
        return emotion, usage, start, stop


def bare(field: bytes) -> bytes:
    """A field without the blanks, quotes and line ends around it."""
    return field.strip(_AROUND)


def count_pixels(field: bytes) -> int:
    """How many numbers a field would hold if there is one blank between two of them."""
    text = bare(field)
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == _BLANK)) + 1 if text else 0


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
    columns = [column.strip(_AROUND.decode()) for column in text.split(",")]
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
