"""Comparison of runs: a pure function of their files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fer_features.errors import FerError
from fer_features.runs.repeats import LeakEffect, OverSeeds, family_key, leak_effects, over_seeds
from fer_features.runs.run import Run, read_run
from fer_features.runs.table import COLUMNS, ComparisonTable
from fer_features.runtime.progress import Log

if TYPE_CHECKING:
    import pandas as pd


_created = attrgetter("record.created")
_data_of = attrgetter("record.data.digest", "record.task")


@dataclass(frozen=True)
class Comparison:
    """Runs as tables within which they may be ranked, the newest run's table first.

    Attributes:
        tables: the tables.
        seeds: heads that were fitted with several seeds.
    """

    tables: tuple[ComparisonTable, ...]
    seeds: tuple[OverSeeds, ...]

    @property
    def leaks(self) -> list[LeakEffect]:
        """Runs of the tables whose split leaks, and what that does to their scores."""
        return leak_effects(run for table in self.tables for run in table.runs)

    def newest_seeds(self) -> Comparison:
        """Without tables that differ from a newer one by their seed alone."""
        kept: dict[bytes, ComparisonTable] = {}
        for table in self.tables:
            key = msgspec.json.encode(family_key(table.runs[0].record))
            kept.setdefault(key, table)
        return replace(self, tables=tuple(kept.values()))

    def to_dict(self) -> dict[str, Any]:
        """Tables, seeds and leaks as plain JSON types."""
        return {
            "tables": [one.to_dict() for one in self.tables],
            "seeds": [one.to_dict() for one in self.seeds],
            "leaks": [one.to_dict() for one in self.leaks],
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """All rows, with the ``table`` of each first and its ``marks`` (warnings) last."""
        for table in self.tables:
            marks = ["; ".join(run.record.marks) for run in table.runs]
            for row, mark in zip(table.rows(), [*marks, ""], strict=False):
                yield {"table": table.title, **row, "marks": mark}

    def to_csv(self) -> str:
        """All rows as CSV."""
        out = io.StringIO()
        names = ["table", *(one.key for one in COLUMNS), "marks"]
        writer = csv.DictWriter(out, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows())
        return out.getvalue()

    def to_markdown(self, *, all_heads: bool = True, wide: bool = False) -> str:
        """A Markdown section for each table; see `ComparisonTable.drawn_rows`."""
        return "\n".join(one.to_markdown(all_heads=all_heads, wide=wide) for one in self.tables)

    def to_frame(self) -> pd.DataFrame:
        """All rows as a pandas data frame.

        Raises:
            FerError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise FerError("a data frame needs pandas", hint="pip install pandas") from error
        return pd.DataFrame(list(self.rows()))


def compare(runs: Iterable[Run | Path | str]) -> Comparison:
    """Sort runs into tables within which they may be ranked, the newest run's table first.

    Runs of different images, labels, splits or seeds never share a table: a difference between
    them could have other causes than the heads.

    Args:
        runs: runs, or their folders.

    Raises:
        FerError: there is no run, or one cannot be read.
    """
    found = [one if isinstance(one, Run) else read_run(Path(one)) for one in runs]
    if not found:
        raise FerError("no runs to compare", hint="fer fit --head all makes some")
    groups: dict[bytes, list[Run]] = {}
    for run in sorted(found, key=_created, reverse=True):
        record = run.record
        key = [record.data.digest, record.task, record.split, record.seed]
        groups.setdefault(msgspec.json.encode(key), []).append(run)
    tables = (ComparisonTable(tuple(sorted(group, key=_place))) for group in groups.values())
    return Comparison(tuple(tables), tuple(over_seeds(found)))


def of_same_data(runs: Sequence[Run]) -> list[Run]:
    """Those of the runs that are about the same images and task as the newest."""
    newest = max(runs, key=_created, default=None)
    return [run for run in runs if newest and _data_of(run) == _data_of(newest)]


def unseen_only(runs: Sequence[Run], *, log: Log) -> list[Run]:
    """Those of the runs that are not scored on images that their weights have learnt from.

    Raises:
        FerError: there were runs, and none is left.
    """
    kept = [run for run in runs if not run.record.scored_seen]
    if runs and not kept:
        raise FerError(
            "every run is scored on images that its weights have learnt from",
            hint="--allow-seen shows them all the same",
        )
    if len(kept) < len(runs):
        log(
            "left out, for being scored on images that their weights have learnt from: "
            f"{len(runs) - len(kept)} of {len(runs)} runs; --allow-seen shows them"
        )
    return kept


def _place(run: Run) -> tuple[float, bool, str, str, str]:
    """Order of the runs: validation accuracy, and of equals an ensemble of one last, then names."""
    record = run.record
    names = (record.head.name, record.features(precision=True), record.id)
    return (-record.validation.accuracy, record.only_member is not None, *names)
