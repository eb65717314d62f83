"""Decimal text to pixels: ``b"70 80 82 …"`` to uint8, vectorised over blocks of rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 16
"""Rows decoded at once: 16 rows of 48×48 pixels are 140 kB of text, which fits a core's cache."""

_BLANKS = re.compile(rb" {2,}")
_ZERO, _BLANK = np.uint8(ord("0")), np.uint8(ord(" "))
_TWO, _TEN, _HUNDRED = np.uint8(2), np.uint8(10), np.uint8(100)


def count_pixels(text: bytes, expected: int) -> int:
    """How many numbers a text without outer blanks holds.

    One blank less than `expected` is taken as that many numbers; `decode_pixels` finds two blanks
    together.
    """
    blanks = np.count_nonzero(np.frombuffer(text, np.uint8) == _BLANK)
    return expected if blanks + 1 == expected else len(text.split())


def decode_pixels(texts: Sequence[bytes], out: NDArray[np.uint8]) -> dict[int, str]:
    """Decode each of `texts` into its row of `out`.

    Args:
        texts: whole numbers from 0 to 255 in one to three digits, with blanks between them.
        out: uint8 (len(texts), P), C-contiguous, filled in place.

    Returns:
        The reason for each text that cannot be decoded, by its index. Their rows of `out` are
        undefined.
    """
    wrong: dict[int, str] = {}
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
            except ValueError as error:
                wrong[place] = str(error)
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
    digit *= is_digit
    hundreds = digit[:-3] * triples[:-1]
    rest = digit[1:-2] * _TEN + digit[2:-1]
    values = hundreds * _HUNDRED + rest
    # Up to 299, a sum above 255 has wrapped round once and is below each of its terms.
    if hundreds.max() > _TWO or (values < rest).any():
        return False
    values.take(ends, out=out.reshape(-1), mode="clip")  # this mode fills `out` without a copy
    return True


def _decode_row(text: bytes, pixels: int) -> list[int]:
    """Decode one row, slowly; the `ValueError` of a bad row names its first bad pixel."""
    numbers = [number for number in text.split(b" ") if number]
    if len(numbers) != pixels:
        raise ValueError(f"{len(numbers)} pixels instead of {pixels}")
    for place, number in enumerate(numbers):
        if not (number.isdigit() and len(number) <= 3 and int(number) <= 255):
            shown = number[:20].decode("ascii", "backslashreplace")
            raise ValueError(f"pixel {place} is {shown!r}, not a whole number from 0 to 255")
    return [int(number) for number in numbers]
