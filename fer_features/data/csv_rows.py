"""Rows of a ``fer2013.csv``: their fields, and their pixels decoded in blocks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fer_features.config import EMOTIONS, USAGES
from fer_features.data.faces import IMAGE_SIZE
from fer_features.data.labels import IGNORED, Labels, rule_hint
from fer_features.errors import FerError
from fer_features.runtime.text import plain_text, shortened

PIXELS = IMAGE_SIZE * IMAGE_SIZE
"""Pixels of a row."""

_VALUES = (
    "pixels must be whole numbers from 0 to 255 with blanks between them; multiply fractions of 1 "
    "by 255, and round them"
)
_USAGE_CODES = {usage.lower().encode(): code for code, usage in enumerate(USAGES)}
_FIELDS = "every row needs one field for each column; quote a field that has a comma in it"
_LABELS = f"labels must be 0 to 6 for {', '.join(EMOTIONS)}, or these names"
_SIZE = (
    f"every row needs the grey levels of {IMAGE_SIZE}×{IMAGE_SIZE} pixels: resize the images, or "
    "save them as pictures in class folders, which may have any size"
)
_QUOTED = re.compile(rb'\s*"([^"]*(?:""[^"]*)*)"\s*(?=,|$)')
_PARTS = f"write {', '.join(USAGES)}, or remove the column Usage"
WANTED = (
    "give FER2013 with its labels, a CSV file that starts with emotion,pixels,Usage; unpack it if "
    "it is neither .gz, .xz, .zip nor .tar"
)


class RowError(ValueError):
    """Why a row cannot be used.

    Args:
        reason: what is wrong with it.
        hint: how to fix it.
    """

    def __init__(self, reason: str, *, hint: str) -> None:
        super().__init__(reason)
        self.hint = hint


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
        header = header.removeprefix(b"\xef\xbb\xbf")
        columns = [header[start:stop].strip() for start, stop in _spans(header)]
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

    def parse(self, line: bytes) -> tuple[int, int, int, int]:
        """The codes of emotion (or `IGNORED`) and usage (or -1), and the pixels' start and stop.

        Raises:
            RowError: the row cannot be used.
        """
        spans = _spans(line)
        if len(spans) != self._columns:
            raise RowError(f"{len(spans)} fields instead of {self._columns}", hint=_FIELDS)
        start, stop = spans[self._pixels]
        emotion = self._code(line[slice(*spans[self._emotion])].strip())
        if emotion == IGNORED:
            return IGNORED, -1, start, stop
        found = _count_pixels(line[start:stop].strip())
        if found != PIXELS:
            raise RowError(f"{found} pixels instead of {PIXELS}", hint=_SIZE)
        if self._usage is None:
            return emotion, -1, start, stop
        part = line[slice(*spans[self._usage])].strip()
        usage = _USAGE_CODES.get(part.lower())
        if usage is None:
            raise RowError(f"usage is {_shown(part)}, none of {', '.join(USAGES)}", hint=_PARTS)
        return emotion, usage, start, stop

    def counts(self) -> dict[str, int]:
        """Number of rows of each label parsed."""
        return {label.decode("utf-8", "backslashreplace"): n for label, n in self._counts.items()}

    def _code(self, label: bytes) -> int:
        known = self._codes.get(label)
        if known is None:
            text = label.decode("utf-8", "backslashreplace")
            known = self._labels.code(text)
            if known is None:
                hint = "; ".join(filter(None, (_LABELS, rule_hint(text))))
                raise RowError(f"emotion is {_shown(label)}, none of the labels", hint=hint)
            self._codes[label] = known
        self._counts[label] += 1
        return known


def _spans(line: bytes) -> list[tuple[int, int]]:
    """Where each field of a line starts and stops, without its quotes."""
    spans, start, quotes = [], 0, b'"' in line
    while start <= len(line):
        quoted = _QUOTED.match(line, start) if quotes else None
        # on 8 kB of pixels, `find` is several times faster than `split`
        comma = line.find(b",", quoted.end() if quoted else start)
        stop = comma if comma >= 0 else len(line)
        spans.append(quoted.span(1) if quoted else (start, stop))
        start = stop + 1
    return spans


def _shown(field: bytes) -> str:
    return repr(field[:20].decode("utf-8", "backslashreplace"))


BLOCK_ROWS = 16
"""Rows decoded at once: 16 rows of 48×48 pixels are 140 kB of text, which fits a core's cache."""

_BLANKS = re.compile(rb" {2,}")
_ZERO, _BLANK = np.uint8(ord("0")), np.uint8(ord(" "))
_TWO, _TEN, _HUNDRED = np.uint8(2), np.uint8(10), np.uint8(100)


def _count_pixels(text: bytes) -> int:
    """How many numbers a text without outer blanks holds.

    One blank less than `PIXELS` is taken as that many numbers; `decode_pixels` finds two blanks
    together.
    """
    blanks = np.count_nonzero(np.frombuffer(text, np.uint8) == _BLANK)
    return PIXELS if blanks + 1 == PIXELS else len(text.split())


def decode_pixels(texts: Sequence[bytes], out: NDArray[np.uint8]) -> dict[int, RowError]:
    """Decode each of `texts` into its row of `out`.

    Args:
        texts: whole numbers from 0 to 255 in one to three digits, with blanks between them.
        out: uint8 (len(texts), P), C-contiguous, filled in place.

    Returns:
        The error of each text that cannot be decoded, by its index. Their rows of `out` are
        undefined.
    """
    wrong: dict[int, RowError] = {}
    for start in range(0, len(texts), BLOCK_ROWS):
        block = texts[start : start + BLOCK_ROWS]
        rows = out[start : start + len(block)]
        if _decode_block(block, rows):
            continue
        if _decode_block([_BLANKS.sub(b" ", text.strip(b" ")) for text in block], rows):
            continue
        for place, text in enumerate(block, start):
            try:
                out[place] = _decode_row(text, out.shape[1])
            except RowError as error:
                wrong[place] = error.with_traceback(None)  # its frames hold the row
    return wrong


def _decode_block(texts: Sequence[bytes], out: NDArray[np.uint8]) -> bool:
    """Decode numbers with single blanks between them; False if a text may be anything else."""
    # The three bytes before each number's end are its hundreds, tens and ones, if it has as many.
    text = np.frombuffer(b"   " + b" ".join(texts) + b" ", np.uint8)
    digit = text - _ZERO  # bytes below "0" wrap round to 208 and more
    is_digit = digit < _TEN
    is_end = text[3:] == _BLANK
    ends = np.flatnonzero(is_end)
    row_ends = np.cumsum([len(one) + 1 for one in texts]) - 1
    pairs = is_digit[:-1] & is_digit[1:]
    triples = pairs[:-1] & pairs[1:]
    if (
        np.count_nonzero(is_digit) + len(ends) != len(is_end)
        or len(ends) != out.size
        or (ends[out.shape[1] - 1 :: out.shape[1]] != row_ends).any()
        or is_end[0]
        or (is_end[:-1] & is_end[1:]).any()  # two blanks together
        or (triples[:-1] & triples[1:]).any()  # four digits
    ):
        return False
    digit *= is_digit.view(np.uint8)  # a bool operand would be copied
    hundreds = digit[:-3] * triples[:-1].view(np.uint8)
    rest = digit[1:-2] * _TEN
    rest += digit[2:-1]
    values = hundreds * _HUNDRED
    values += rest
    # Up to 299, a sum above 255 has wrapped round once and is below each of its terms.
    if hundreds.max() > _TWO or (values < rest).any():
        return False
    values.take(ends, out=out.reshape(-1), mode="clip")  # this mode fills `out` without a copy
    return True


def _decode_row(text: bytes, pixels: int) -> list[int]:
    """Decode one row, slowly; the `RowError` of a bad row names its first bad pixel."""
    numbers = [number for number in text.split(b" ") if number]
    if len(numbers) != pixels:
        raise RowError(f"{len(numbers)} pixels instead of {pixels}", hint=_SIZE)
    for place, number in enumerate(numbers):
        if not (number.isdigit() and len(number) <= 3 and int(number) <= 255):
            shown = number[:20].decode("ascii", "backslashreplace")
            reason = f"pixel {place} is {shown!r}, not a whole number from 0 to 255"
            raise RowError(reason, hint=_VALUES)
    return [int(number) for number in numbers]
