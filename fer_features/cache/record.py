"""What a cache says of itself, of its rows, and of the choices of rows made from it."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
R = TypeVar("R")

SUFFIX = ".h5"
JOURNAL_SUFFIX = ".h5.part"
DRAFT_SUFFIX = ".h5.new"
LOCK_SUFFIX = ".h5.lock"

IMAGE = "faces/image"
"""What a cache calls the images themselves, uint8 (N, H, W): twins are told by them, and a report
shows them, where the data that they came from is not at hand."""

SEEN = "faces/seen"
"""Whether the weights have learnt from an image, uint8, where they say what they have: (N, 2) from
weights that hold signatures, whose second column is 1 where a signature told it; else (N, 1)."""

OF_NO_NETWORK = (IMAGE, SEEN)
"""What a cache keeps beside the features of layers."""

OutputSpecs = Mapping[str, tuple[tuple[int, ...], str]]
"""Shape for one row and dtype of each feature, by its name: ``layer/pooled``, say."""

ROW_DTYPES = {"emotion": "i1", "usage": "i1", "sha256": "S64", "source_row": "<i8"}
"""The fields of `Rows` as they are stored."""


@dataclass(frozen=True)
class Header:
    """What a cache says of itself.

    Attributes:
        spec: all that changes a feature's value (`FeatureSpec.to_dict`).
        dataset: name and SHA-256 of the source.
        key: the hash of both.
    """

    spec: dict[str, Any]
    dataset: dict[str, Any]
    key: str


@dataclass(frozen=True)
class Rows:
    """Who the rows are; arrays of one length.

    Attributes:
        emotion: int8, a place in `EMOTIONS`.
        usage: int8, a place in `USAGES`, or -1.
        sha256: ``S64``, hex SHA-256 of the image's pixels.
        source_row: int64, the row's number in the source.
    """

    emotion: NDArray[np.int8]
    usage: NDArray[np.int8]
    sha256: NDArray[np.bytes_]
    source_row: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.source_row)

    def __getitem__(self, places: Any) -> Rows:
        return Rows(**{name: array[places] for name, array in vars(self).items()})

    @classmethod
    def concatenate(cls, parts: Sequence[Rows]) -> Rows:
        """Several parts as one; of no part, no rows."""
        return cls(
            **{
                name: np.concatenate(
                    [np.empty(0, dtype), *(getattr(part, name) for part in parts)], dtype=dtype
                )
                for name, dtype in ROW_DTYPES.items()
            }
        )


@dataclass(frozen=True)
class RowSelection:
    """Rows that were asked for, and which of their features.

    Attributes:
        info: how the rows were chosen: task, images of each class, seed (`DataChoice.to_dict`).
        features: names of the features, in the order asked for.
        rows: int64, numbers of the source's rows, ascending.
    """

    info: dict[str, Any]
    features: tuple[str, ...]
    rows: NDArray[np.int64]

    @property
    def id(self) -> str:
        """Eight hex digits that are the same for the same task on the same rows."""
        content = to_json(self.info["task"]).encode() + self.rows.astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()[:8]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the network's layers, in the order asked for."""
        return tuple(
            dict.fromkeys(name.split("/")[0] for name in self.features if name not in OF_NO_NETWORK)
        )

    def to_dict(self) -> dict[str, Any]:
        """The choice as plain JSON types, without its rows."""
        return {"id": self.id, "features": list(self.features), **self.info}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], rows: NDArray[np.int64]) -> RowSelection:
        """The inverse of `to_dict`."""
        info = {name: value for name, value in data.items() if name not in ("id", "features")}
        return cls(info=info, features=tuple(data["features"]), rows=rows)


class HoldsFile:
    """An object with an open file, which closes it at the end of a ``with`` block."""

    _file: Any

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def merge_selections(choices: Iterable[RowSelection]) -> tuple[RowSelection, ...]:
    """Each choice of rows once, in the order of their first mention, with all its features."""
    merged: dict[str, RowSelection] = {}
    for one in choices:
        known = merged.get(one.id)
        features = (*(known.features if known else ()), *one.features)
        merged[one.id] = RowSelection(
            info=known.info if known else one.info,
            features=tuple(dict.fromkeys(features)),
            rows=one.rows,
        )
    return tuple(merged.values())


def beside(path: Path, suffix: str) -> Path:
    """The file that belongs to the cache at `path` and ends in `suffix`."""
    return path.with_name(path.name.removesuffix(SUFFIX) + suffix)


def row_bytes(shape: tuple[int, ...], dtype: str) -> int:
    """Bytes that one row of a feature takes."""
    return math.prod(shape) * np.dtype(dtype).itemsize


def to_json(value: Any) -> str:
    """JSON that is the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def parallel(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`work` on each of `items`, on a few threads: for hashing, which lets go of Python's lock."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(work, items))
