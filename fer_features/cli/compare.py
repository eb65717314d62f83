"""``fer compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_features.cli.flags import Json, RunFolders, RunsDir
from fer_features.config import RUNS_DIR
from fer_features.errors import FerError
from fer_features.runtime.console import emit_json, print_line, print_message, print_wrapped, table
from fer_features.runtime.text import counted

if TYPE_CHECKING:
    from fer_features.runs.compare import Comparison
    from fer_features.runs.repeats import LeakEffect, OverSeeds
    from fer_features.runs.table import ComparisonTable

FORMATS = ("table", "markdown", "csv", "json")


def compare(
    run: RunFolders = None,
    runs_dir: RunsDir = RUNS_DIR,
    everything: Annotated[
        bool, typer.Option("--all", help="All runs, whatever images they are about.")
    ] = False,
    all_heads: Annotated[
        bool,
        typer.Option("--all-heads", help="All heads, not only the best for each set of features."),
    ] = False,
    wide: Annotated[
        bool, typer.Option("--wide", help="All columns; CSV and JSON always have them.")
    ] = False,
    allow_seen: Annotated[
        bool,
        typer.Option(
            "--allow-seen",
            help="Also show runs that are scored on images that their weights have learnt from.",
        ),
    ] = False,
    format_: Annotated[
        str, typer.Option("--format", help="table, markdown, csv or json.")
    ] = "table",
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also draw pictures into this folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare runs in one table, the best validation accuracy first."""
    from fer_features.runs.compare import compare as compare_runs
    from fer_features.runs.compare import of_same_data, unseen_only
    from fer_features.runs.figures import write_figures
    from fer_features.runs.run import read_runs

    format_ = "json" if json else format_
    if format_ not in FORMATS:
        raise FerError(f"no such format: {format_}", hint=f"known are {', '.join(FORMATS)}")
    found = read_runs(run or (), runs_dir, log=print_message)
    found = found if allow_seen else unseen_only(found, log=print_message)
    shown = found if run or everything else of_same_data(found)
    every = compare_runs(shown)
    comparison = every if run or everything else every.newest_seeds()
    _show(comparison, format_, all_heads=all_heads or bool(run), wide=wide)
    for path in write_figures(comparison.tables, figures) if figures else []:
        print_message(f"drew {path}")
    if hidden := len(every.tables) - len(comparison.tables):
        print_message(f"not shown: {counted(hidden, 'table')} of other seeds; fer compare --all")
    if hidden := len(found) - len(shown):
        print_message(f"not shown: {counted(hidden, 'run')} on other images; fer compare --all")


def _show(comparison: Comparison, format_: str, *, all_heads: bool, wide: bool) -> None:
    for one in comparison.tables:
        if len(one.runs) > 1 and one.verdict is None:
            print_message(f"no verdict: {one.judged}")
    match format_:
        case "json":
            emit_json(comparison.to_dict())
        case "csv":
            print_line(comparison.to_csv().rstrip("\n"))
        case "markdown":
            print_line(comparison.to_markdown(all_heads=all_heads, wide=wide).rstrip("\n"))
        case _:
            show_comparison(comparison, all_heads=all_heads, wide=wide)


def show_comparison(comparison: Comparison, *, all_heads: bool, wide: bool) -> None:
    """Tables with verdicts and notes, then means over seeds and the effect of leaks."""
    for one in comparison.tables:
        _show_table(one, all_heads=all_heads, wide=wide)
    show_seeds(comparison.seeds)
    _show_leaks(comparison.leaks)


def _show_table(comparison: ComparisonTable, *, all_heads: bool, wide: bool) -> None:
    from fer_features.runs.table import shown_columns

    columns, rows = shown_columns(wide=wide), comparison.drawn_rows(all_heads=all_heads)
    width = table(
        [one.heading for one in columns],
        [[one.cell(row) for one in columns] for row in rows],
        title=comparison.title,
        text_columns=[one.heading for one in columns if one.text],
        last_apart=comparison.published,
    )
    if hidden := len(comparison.rows()) - len(rows):
        print_line(f"  {counted(hidden, 'more run')}: fer compare --all-heads")
    if verdict := comparison.verdict:
        print_wrapped(f"= {verdict.text(short=not all_heads)}", width)
    for text in comparison.sources:
        print_wrapped(f"· {text}", width)
    for text in comparison.notes_on(rows):
        print_wrapped(f"! {text}", width)
    print_line()


def show_seeds(found: Sequence[OverSeeds]) -> None:
    """Mean and spread over seeds, a table for each split."""
    shown = (("validation", "accuracy"), ("test", "accuracy"), ("test", "f1"))
    for title in dict.fromkeys(one.title for one in found):
        rows = [
            [one.head, one.features, f"{len(one.runs)}", *(one.cell(*score) for score in shown)]
            for one in found
            if one.title == title
        ]
        table(
            ["head", "features", "seeds", "val acc", "test acc", "test F1"],
            rows,
            title=f"{title}: mean ± standard deviation over seeds",
            text_columns=["head", "features"],
        )
        print_line()


def _show_leaks(leaks: Sequence[LeakEffect]) -> None:
    from fer_features.runs.table import with_interval

    if not leaks:
        return
    rows = []
    for one in leaks:
        record = one.run.record
        parts = [
            f"{with_interval(part.accuracy, part.interval)} of {part.n:,}" if part else "–"
            for part in (one.with_copy, one.without_copy)
        ]
        points = f"{100 * one.effect:+.2f}" if one.effect is not None else "–"
        split = f"{record.split.name} {record.seed}"
        accuracy = f"{record.test.accuracy:.4f}"
        rows.append([record.head.name, record.features(), split, accuracy, points, *parts])
    width = table(
        ["head", "features", "split, seed", "test acc", "points", "with a copy", "without"],
        rows,
        title="Splits that leak: accuracy on test images with a copy in training or validation",
        text_columns=["head", "features", "split, seed"],
    )
    print_wrapped(
        "points is what the images with a copy add: test acc less the accuracy without them. In "
        "brackets 95 % intervals; all of one run, on its own test images.",
        width,
    )
    print_line()
