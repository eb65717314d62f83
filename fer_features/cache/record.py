"""The records of a cache: its header, row metadata, and selections of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.cache.format import to_json

Columns = Mapping[str, tuple[tuple[int, ...], str]]
"""Shape of one row and dtype of each column, by its name: ``image``, ``layer/pooled`` and so on."""

ROW_DTYPES = {"emotion": "i1", "usage": "i1", "sha256": "S64", "source_row": "<i8"}
"""The fields of `Rows` and their stored types."""


@dataclass(frozen=True)
class Header:
    """What a cache holds the features of.

    Attributes:
        spec: all that changes a feature's value (fields of `FeatureSpec`).
        dataset: name and SHA-256 of the source.
        key: the hash of both (`cache_key`).
    """

    spec: dict[str, Any]
    dataset: dict[str, Any]
    key: str


@dataclass(frozen=True)
class Rows:
    """Row metadata; arrays of one length.

    Attributes:
        emotion: int8, an index into `EMOTIONS`.
        usage: int8, an index into `USAGES`, or -1.
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
        """Several parts as one, of the stored types."""
        return cls(
            **{
                name: np.concatenate(
                    [np.empty(0, t), *(getattr(one, name) for one in parts)], dtype=t
                )
                for name, t in ROW_DTYPES.items()
            }
        )


@dataclass(frozen=True)
class RowSelection:
    """Rows that were requested, and the features requested for them.

    Attributes:
        info: how the rows were selected: task, images per class, seed, and so on (JSON types).
        features: names of the features, in the order requested.
        rows: int64, row numbers in the source, ascending.
    """

    info: dict[str, Any]
    features: tuple[str, ...]
    rows: NDArray[np.int64]

    @property
    def id(self) -> str:
        """Eight hex digits that identify a task on these rows."""
        content = to_json(self.info["task"]).encode() + self.rows.astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()[:8]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in the order requested."""
        return tuple(dict.fromkeys(name.split("/")[0] for name in self.features))

    def to_dict(self) -> dict[str, Any]:
        """The selection as JSON types, without its rows."""
        return {"id": self.id, "features": list(self.features), **self.info}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], rows: NDArray[np.int64]) -> RowSelection:
        """The inverse of `to_dict`."""
        info = {name: value for name, value in data.items() if name not in ("id", "features")}
        return cls(info=info, features=tuple(data["features"]), rows=rows)


def merge_selections(selections: Iterable[RowSelection]) -> tuple[RowSelection, ...]:
    """Each selection once, in the order of its first appearance, with all its features."""
    merged: dict[str, RowSelection] = {}
    for one in selections:
        first = merged.setdefault(one.id, one)
        features = tuple(dict.fromkeys((*first.features, *one.features)))
        merged[one.id] = RowSelection(first.info, features, one.rows)
    return tuple(merged.values())
