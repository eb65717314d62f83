"""Text to pixels, against Python's own `int`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fer_features.data.csv_rows import BLOCK_ROWS, decode_pixels

NUMBER = st.integers(0, 255).flatmap(
    lambda value: st.sampled_from([f"{value}", f"{value:02d}", f"{value:03d}"])
)
ODD_BYTE = st.sampled_from([bytes([code]) for code in b'019 -+.,e\t\n"\0\x80\xff/:a'])


def decode(fields: list[bytes], pixels: int) -> tuple[list[list[int]], dict[int, str]]:
    out = np.zeros((len(fields), pixels), np.uint8)
    wrong = decode_pixels(fields, out)
    return out.tolist(), {place: str(error) for place, error in wrong.items()}


def by_int(field: bytes, pixels: int) -> list[int] | None:
    """The row as `int` reads it; None where the row must be refused."""
    numbers = [number for number in field.split(b" ") if number]
    if len(numbers) != pixels or not all(
        1 <= len(number) <= 3 and set(number) <= set(b"0123456789") for number in numbers
    ):
        return None
    values = [int(number) for number in numbers]
    return values if max(values) <= 255 else None


def test_reads_numbers_of_one_two_and_three_digits() -> None:
    assert decode([b"0 9 10", b"99 100 255", b"200 5 70"], 3) == (
        [[0, 9, 10], [99, 100, 255], [200, 5, 70]],
        {},
    )


def test_allows_leading_zeros_and_outer_blanks() -> None:
    assert decode([b"  007 08 1  ", b"1 2 3"], 3) == ([[7, 8, 1], [1, 2, 3]], {})


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (b"300 1 2", "pixel 0 is '300', not a whole number from 0 to 255"),
        (b"1 256 2", "pixel 1 is '256', not a whole number from 0 to 255"),
        (b"1 2 -1", "pixel 2 is '-1', not a whole number from 0 to 255"),
        (b"1 abc 3", "pixel 1 is 'abc', not a whole number from 0 to 255"),
        (b"1.5 2 3", "pixel 0 is '1.5', not a whole number from 0 to 255"),
        (b"1 0001 3", "pixel 1 is '0001', not a whole number from 0 to 255"),
        (b"1 \xb2 3", "pixel 1 is '\\\\xb2', not a whole number from 0 to 255"),
        (b"1  3", "2 pixels instead of 3"),
        (b"1\t2 2 3", "pixel 0 is '1\\t2', not a whole number from 0 to 255"),
        (b"1 2", "2 pixels instead of 3"),
        (b"1 2 3 4", "4 pixels instead of 3"),
        (b"", "0 pixels instead of 3"),
    ],
)
def test_says_what_is_wrong_and_decodes_the_other_rows(field: bytes, reason: str) -> None:
    values, wrong = decode([b"1 2 3", field, b"253 254 255"], 3)
    assert wrong == {1: reason}
    assert [values[0], values[2]] == [[1, 2, 3], [253, 254, 255]]


def test_allows_several_blanks_between_numbers() -> None:
    assert decode([b"1  2   3", b" 4 5  6 ", b"7 8 9"], 3) == (
        [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
        {},
    )


def test_a_missing_pixel_is_not_made_up_for_by_the_next_row() -> None:
    _, wrong = decode([b"1 2", b"3 4 5 6"], 3)
    assert wrong == {0: "2 pixels instead of 3", 1: "4 pixels instead of 3"}


def test_a_blank_before_the_first_pixel_is_no_pixel() -> None:
    assert decode([b" 2 3"], 3)[1] == {0: "2 pixels instead of 3"}


def test_places_count_through_all_blocks() -> None:
    fields = [b"%d" % row for row in range(2 * BLOCK_ROWS + 3)]
    fields[BLOCK_ROWS + 1] = b"x"
    values, wrong = decode(fields, 1)
    assert list(wrong) == [BLOCK_ROWS + 1]
    assert all(value == [row] for row, value in enumerate(values) if row not in wrong)


@settings(deadline=None)
@given(st.integers(1, 9).flatmap(lambda n: st.lists(st.lists(NUMBER, min_size=n, max_size=n))))
def test_agrees_with_int_on_clean_rows(rows: list[list[str]]) -> None:
    fields = [" ".join(row).encode() for row in rows]
    expected = [[int(number) for number in row] for row in rows]
    assert decode(fields, len(rows[0]) if rows else 1) == (expected, {})


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.lists(NUMBER, min_size=4, max_size=4), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 80), st.sampled_from("ird"), ODD_BYTE), max_size=4),
)
@example([["255", "1", "1", "1"]], [(2, "r", b"6")])
@example([["29", "1", "1", "1"]], [(2, "i", b"9")])
def test_agrees_with_int_on_damaged_rows(
    rows: list[list[str]], damages: list[tuple[int, str, bytes]]
) -> None:
    fields = [" ".join(row).encode() for row in rows]
    for number, (place, kind, byte) in enumerate(damages):
        row = number % len(fields)
        at = place % len(fields[row]) if fields[row] else 0
        keep = at + (kind != "i")
        fields[row] = fields[row][:at] + (b"" if kind == "d" else byte) + fields[row][keep:]
    values, wrong = decode(fields, 4)
    for row, field in enumerate(fields):
        expected = by_int(field, 4)
        assert (row in wrong) == (expected is None), field
        if expected is not None:
            assert values[row] == expected
