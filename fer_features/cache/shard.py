"""Shards: contiguous parts of an extraction's rows, each extracted into a file of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_features.cache.folder import SHARD_NAME, SUFFIX, beside
from fer_features.cache.record import RowSelection
from fer_features.errors import FerError


@dataclass(frozen=True, order=True)
class Shard:
    """One shard of an extraction.

    Attributes:
        number: which one, from 1 on.
        count: of how many.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that ``3/16`` names.

        Raises:
            FerError: it names none.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        shard = cls(*map(int, found.groups())) if found else cls(0, 0)
        if not 1 <= shard.number <= shard.count:
            raise FerError(
                f"no such shard: {text}",
                hint="--shard K/N is the Kth of N shards, 1/N to N/N: --shard 3/16, say",
            )
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def bounds(self, rows: int) -> tuple[int, int]:
        """The first of `rows` rows that belongs to the shard, and the first after it."""
        return (self.number - 1) * rows // self.count, self.number * rows // self.count

    def path(self, whole: Path) -> Path:
        """The file of the shard of the cache at `whole`."""
        number = f"{self.number:0{len(str(self.count))}}"
        return beside(whole, f"-shard-{number}-of-{self.count}{SUFFIX}")

    def part(self, whole: RowSelection) -> RowSelection:
        """The shard's rows of a selection, with what identifies the whole.

        Raises:
            FerError: there are more shards than rows.
        """
        rows = len(whole.rows)
        if self.count > rows:
            raise FerError(
                f"--shard {self}: {self.count:,} shards of {rows:,} rows",
                hint="a shard has one row at least: take fewer shards",
            )
        first, last = self.bounds(rows)
        info = {**whole.info, "shard": str(self), "whole": {"id": whole.id, "rows": rows}}
        return RowSelection(info, whole.features, whole.rows[first:last])


def shard_of(selections: Sequence[RowSelection]) -> Shard | None:
    """The shard that a cache's selections are of; None if they are whole."""
    named = [one.info["shard"] for one in selections if "shard" in one.info]
    return Shard.parse(named[0]) if named else None


def part_only(path: Path, shard: Shard) -> FerError:
    """The error for a shard where a whole is needed."""
    every = path.with_name(SHARD_NAME.sub(r"-shard-*-of-\2.h5", path.name))
    return FerError(
        f"{path} is shard {shard}, a part of an extraction",
        hint=f"merge all {shard.count} shards first: fer cache merge {every}",
    )


def whole_of(parts: Sequence[RowSelection]) -> RowSelection:
    """The selection of which `parts`, in their order, are the shards."""
    info = {name: value for name, value in parts[0].info.items() if name not in ("shard", "whole")}
    return RowSelection(info, parts[0].features, np.concatenate([one.rows for one in parts]))
