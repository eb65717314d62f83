"""Decimal text to pixels: ``b"70 80 82 …"`` to uint8, exactly, and fast without compiled code.

A block of rows is decoded together by whole-array steps on bytes. At the blank that ends a number,
the three bytes before it are its hundreds, tens and ones, so the value is a weighted sum of three
shifted copies of the block. A block is small enough for these arrays to stay in a core's cache.
Whatever the whole-array steps do not take for certain is decoded again row by row with Python's
own `int`, which also finds the words for what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 16
"""Rows decoded at once: 16 rows of 48×48 pixels are 140 kB of text."""

_BLANKS = re.compile(rb" {2,}")
_LEAD = b"   "  # so that three bytes stand before the end of the first number, too
_ZERO, _BLANK = np.uint8(ord("0")), np.uint8(ord(" "))
_TWO, _TEN, _HUNDRED = np.uint8(2), np.uint8(10), np.uint8(100)


class PixelDecoder:
    """Decodes rows of pixels. Holds the scratch memory of one block: one decoder to a thread.

    Args:
        pixels: how many pixels a row must have.
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels
        self._scratch = np.empty((6, 0), np.uint8)

    def decode(self, fields: Sequence[bytes], out: NDArray[np.uint8]) -> dict[int, str]:
        """Decode each of `fields` into its row of `out`.

        Args:
            fields: numbers from 0 to 255 in one to three decimal digits, with blanks between
                two of them, and also before the first and after the last.
            out: uint8 (len(fields), pixels), C-contiguous, filled in place.

        Returns:
            What is wrong with each field that could not be decoded, by its place in `fields`; empty
            when all is well. The rows of `out` at these places are left undefined.
        """
        wrong: dict[int, str] = {}
        for start in range(0, len(fields), BLOCK_ROWS):
            block = fields[start : start + BLOCK_ROWS]
            into = out[start : start + len(block)]
            if self._decode_block(block, into):
                continue
            if self._decode_block([_BLANKS.sub(b" ", field.strip(b" ")) for field in block], into):
                continue
            for place, field in enumerate(block, start):
                try:
                    out[place] = self._decode_row(field)
                except ValueError as error:
                    wrong[place] = str(error)
        return wrong

    def _decode_block(self, fields: Sequence[bytes], out: NDArray[np.uint8]) -> bool:
        """Decode clean rows; False, and `out` undefined, if one of them may not be clean."""
        found = self._find_numbers(np.frombuffer(_LEAD + b" ".join(fields) + b" ", np.uint8))
        if found is None:
            return False
        values, ends = found
        row_ends = np.cumsum([len(field) + 1 for field in fields]) - 1
        if len(ends) != out.size or (ends[self.pixels - 1 :: self.pixels] != row_ends).any():
            return False
        # "clip" changes no value here; it is the mode in which numpy fills `out` without a copy.
        values.take(ends, out=out.reshape(-1), mode="clip")
        return True

    def _find_numbers(
        self, text: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
        """Find all numbers of a text that starts with `_LEAD` and ends with a blank.

        Args:
            text: uint8 (3 + n,).

        Returns:
            uint8 (n,), the value of the number that ends before each byte, and int64 (M,), before
            which bytes one does; None unless the text is all numbers from 0 to 255 with single
            blanks between them.
        """
        n = len(text) - len(_LEAD)
        if self._scratch.shape[1] < len(text):
            self._scratch = np.empty((6, len(text) * 5 // 4), np.uint8)
        digit, is_digit, is_blank, triple, high, low = self._scratch[:, : len(text)]
        digit_mask = is_digit.view(np.bool_)

        np.subtract(text, _ZERO, out=digit)  # bytes below "0" wrap round to 208 and more
        np.less(digit, _TEN, out=digit_mask)
        is_end = np.equal(text[3:], _BLANK, out=is_blank[:n].view(np.bool_))
        ends = np.flatnonzero(is_end)
        if np.count_nonzero(digit_mask) + len(ends) != n:
            return None
        np.multiply(digit, is_digit, out=digit)

        # Where three digits in a row start: with none longer, that is the place of each hundreds.
        np.bitwise_and(is_digit[: n + 1], is_digit[1 : n + 2], out=triple[: n + 1])
        np.bitwise_and(triple[: n + 1], is_digit[2:], out=triple[: n + 1])
        too_long = np.bitwise_and(triple[:n], triple[1 : n + 1], out=low[:n]).any()
        two_blanks = np.bitwise_and(is_blank[1:n], is_blank[: n - 1], out=low[: n - 1]).any()
        hundreds = np.multiply(digit[:n], triple[:n], out=high[:n])
        if too_long or two_blanks or is_end[0] or hundreds.max() > _TWO:
            return None

        np.multiply(digit[1 : n + 1], _TEN, out=low[:n])
        np.add(low[:n], digit[2 : n + 2], out=low[:n])
        np.multiply(hundreds, _HUNDRED, out=high[:n])
        values = np.add(high[:n], low[:n], out=high[:n])
        # With at most 299, a sum past 255 has wrapped round once and is below each of its terms.
        wrapped = np.less(values, low[:n], out=low[:n].view(np.bool_))
        return None if wrapped.any() else (values, ends)

    def _decode_row(self, field: bytes) -> list[int]:
        """Decode one row, slowly; a `ValueError` says what is wrong with it."""
        numbers = [number for number in field.split(b" ") if number]
        if len(numbers) != self.pixels:
            raise ValueError(f"{len(numbers)} pixels instead of {self.pixels}")
        for place, number in enumerate(numbers):
            if not (number.isdigit() and len(number) <= 3 and int(number) <= 255):
                shown = number[:20].decode("ascii", "backslashreplace")
                raise ValueError(f"pixel {place} is {shown!r}, not a whole number from 0 to 255")
        return [int(number) for number in numbers]
