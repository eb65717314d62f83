"""Columns of Parquet files: which are the picture, the label and the usage, and their values."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.config import USAGES
from fer_features.data.csv_rows import PIXELS, RowError
from fer_features.data.labels import KNOWN, PARTS, rule_hint
from fer_features.data.unpack import file_errors
from fer_features.errors import FerError, install_hint
from fer_features.runtime.text import plain_text, shortened

SUFFIX = ".parquet"
IMAGE_NAMES = ("image", "pixels")
LABEL_NAMES = ("label", "labels", "emotion")
USAGE_NAMES = ("usage", "split")

BUFFER = 1 << 20
"""Bytes of a column that are read at once; without a buffer a row group's column would be."""

BAD = -3
"""Code of a label or usage that cannot be used."""

NUMBER = re.compile(r"-?[0-9]+(\.0*)?")
_COLUMNS = (
    "wanted are a column image of pictures (binary, or a struct with bytes) or pixels of "
    f"{PIXELS} grey levels, one of {', '.join(LABEL_NAMES)}, and perhaps one of "
    f"{', '.join(USAGE_NAMES)}; rename the columns, or remove those that are not meant"
)


@dataclass(frozen=True)
class Columns:
    """Columns of a file by name, the picture's type, and the class names of integer columns."""

    image: str
    kind: str
    label: str
    usage: str | None
    classes: dict[str, list[str]]


class Texts:
    """A column of few different texts: a number for each row, and the text of each number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._rows = array("i")

    def extend(self, values: Iterable[Any], classes: Sequence[str] = ()) -> None:
        """Add values; null becomes an empty text, a whole number the name in `classes` if any."""
        for value in values:
            text = "" if value is None else str(value)
            if classes and isinstance(value, int):
                text = classes[value] if 0 <= value < len(classes) else f"{text} without a name"
            self._rows.append(self._numbers.setdefault(text, len(self._numbers)))

    def __len__(self) -> int:
        return len(self._rows)

    def counts(self) -> dict[str, int]:
        """Number of rows of each text."""
        counts = np.bincount(self._rows, minlength=len(self._numbers)).tolist()
        return dict(zip(self._numbers, counts, strict=True))

    def codes(self, code: Callable[[str], int]) -> NDArray[np.int8]:
        """The code of each row's text."""
        codes: NDArray[np.int8] = np.array([code(text) for text in self._numbers], np.int8)
        return codes[self._rows]

    def at(self, row: int) -> str:
        """A row's text."""
        return list(self._numbers)[self._rows[row]]


def is_part(path: Path) -> bool:
    """Whether a folder's entry is a Parquet file, by its name."""
    return path.suffix.lower() == SUFFIX and path.name[0] != "." and path.is_file()


def is_parquet(path: Path) -> bool:
    """Whether a source is a Parquet file, by its name or content, or a folder that holds some."""
    if path.is_dir():
        with file_errors(path):
            return any(is_part(one) for one in path.iterdir())
    with file_errors(path), path.open("rb") as file:
        return path.suffix.lower() == SUFFIX or file.read(4) == b"PAR1"


@contextmanager
def open_parquet(path: Path) -> Iterator[Any]:
    """A ``pyarrow.parquet.ParquetFile`` that is read in small parts."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise FerError("Parquet files need pyarrow", hint=install_hint("parquet")) from error
    try:
        with ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
            yield file
    except (ArrowException, OSError) as error:
        reason = plain_text(shortened(str(error).splitlines()[0], 200))
        if "magic bytes" in reason or "Parquet file size" in reason:
            reason = "its end is not that of one"
        raise FerError(
            f"{path.name} is no Parquet file, or damaged: {reason}",
            hint="get the file again; the download may be incomplete",
        ) from error


def file_version(path: Path) -> tuple[int, int]:
    """Size and time of the last change, which tell whether a file has changed."""
    with file_errors(path):
        stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def part_of(path: Path) -> str:
    """The first word of a file's name if it names a part, else nothing."""
    word = re.split(r"[^a-z]", path.name.lower())[0]
    return word if word in PARTS else ""


def usage_code(text: str, *, named: bool) -> int:
    """A usage's code; without a column of them, -1 where the file's name has none."""
    return -1 if named and not text else PARTS.get(text.strip().lower(), BAD)


def label_error(column: str, text: str) -> RowError:
    """Why a row with this label cannot be used."""
    hint = "; ".join(filter(None, (KNOWN, rule_hint(text))))
    return RowError(f"{column} is {_shown(text)}, none of the labels", hint=hint)


def usage_error(column: str, text: str) -> RowError:
    """Why a row with this usage cannot be used."""
    hint = f"write {', '.join(USAGES)}, train, validation or test, or remove the column"
    return RowError(f"{column} is {_shown(text)}, which names no part", hint=hint)


def _shown(text: str) -> str:
    return repr(shortened(text, 20)) if text else "empty"


def find_columns(schema: Any, name: str) -> Columns:
    """The columns of a source.

    Raises:
        FerError: one is missing, ambiguous, or of a type that cannot be used.
    """
    kinds = {one.name: _kind(one.type) for one in schema}
    found: dict[str, str | None] = {}
    for role, names in (("image", IMAGE_NAMES), ("label", LABEL_NAMES), ("usage", USAGE_NAMES)):
        some = [one for one in schema.names if one.lower() in names]
        if role == "image" and not some:
            some = [one for one, kind in kinds.items() if kind in ("binary", "struct")]
        if len(some) > 1 or (not some and role != "usage"):
            number = "more than one column" if some else "no column"
            raise FerError(
                f"{name} has {number} for the {role}; its columns: {list_columns(schema)}",
                hint=_COLUMNS,
            )
        found[role] = some[0] if some else None
    image, label, usage = str(found["image"]), str(found["label"]), found["usage"]
    wrong = [one for one in (label, usage) if one and kinds[one] not in ("text", "number")]
    if kinds[image] in ("", "number") or (kinds[image] == "text" and image.lower() == "image"):
        wrong.append(image)
    if wrong:
        raise FerError(
            f"{name}: {plain_text(wrong[0])} is of no type that is read; its columns: "
            f"{list_columns(schema)}",
            hint=_COLUMNS,
        )
    classes = {one: _class_names(schema, one) for one in (label, usage) if one}
    return Columns(image, kinds[image], label, usage, classes)


def _kind(type_: Any) -> str:
    """What a column holds: binary, struct (of bytes), list (of numbers), text, number; or none."""
    from pyarrow import types

    if types.is_dictionary(type_):
        type_ = type_.value_type
    if types.is_struct(type_):
        names = [field.name for field in type_]
        pictures = "bytes" in names and _kind(type_.field("bytes").type) == "binary"
        return "struct" if pictures else ""
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        return "list" if _kind(type_.value_type) == "number" else ""
    if types.is_binary(type_) or types.is_large_binary(type_) or types.is_binary_view(type_):
        return "binary"
    if types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_):
        return "text"
    return "number" if types.is_integer(type_) or types.is_floating(type_) else ""


def _class_names(schema: Any, column: str) -> list[str]:
    """The names of a column's numbers in the metadata of ``datasets``; none if there are none."""
    try:
        metadata = json.loads((schema.metadata or {})[b"huggingface"])
        names = metadata["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return []
    return [str(one) for one in names] if isinstance(names, list) else []


def list_columns(schema: Any) -> str:
    """The columns and their types, for messages."""
    return plain_text(shortened(", ".join(f"{one.name} ({one.type})" for one in schema), 300))
