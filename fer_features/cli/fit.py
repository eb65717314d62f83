"""``fer fit`` and ``fer compare``."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_features.cli.flags import Json, RunsDir
from fer_features.config import RUNS_DIR, FitConfig
from fer_features.runtime.console import emit_json, say, table, tell
from fer_features.runtime.interrupt import prompt_interrupt
from fer_features.runtime.progress import show_progress

if TYPE_CHECKING:
    from fer_features.runs.repeats import OverSeeds
    from fer_features.runs.run import Run

RUNS_KEPT = "interrupted; the finished runs are kept"
SECONDS_BETWEEN_LINES = 2


def fit(config: FitConfig, *, json: Json = False) -> None:
    """Stage 2: fit light heads on a cache, score them, and write a run for each."""
    from fer_features.cache import latest_cache
    from fer_features.fit.fit import fit as run

    path = config.cache or latest_cache(config.cache_dir)
    config = replace(config, cache=path)
    runs = []
    on_epoch = functools.partial(epoch_progress, cache=path)
    copies = show_progress
    with prompt_interrupt(RUNS_KEPT):
        for one in run(config, on_epoch=on_epoch, log=tell, progress=copies):
            runs.append(one)
            if not json:
                show_run(one)
    if json:
        emit_json({"runs": [run_dict(one) for one in runs]})
    elif config.seeds > 1:
        show_seeds(runs)


def compare(
    run: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of runs; by default all that are about the newest's images."),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    everything: Annotated[
        bool, typer.Option("--all", help="All runs, whatever images they are about.")
    ] = False,
    allow_seen: Annotated[
        bool,
        typer.Option(
            "--allow-seen",
            help="Also show runs that have scored images that their weights have learnt from.",
        ),
    ] = False,
    format_: Annotated[
        str, typer.Option("--format", help="table, markdown, csv or json.")
    ] = "table",
    figures: Annotated[
        Path | None, typer.Option(help="Where the pictures go; by default RUNS_DIR/compare.")
    ] = None,
    json: Json = False,
) -> None:
    """Put runs into one table, the best validation accuracy first, and draw them."""
    from fer_features.cli.render_runs import check_format, show_comparisons
    from fer_features.runs.compare import compare as tabulate
    from fer_features.runs.compare import newest_seeds, of_same_data, unseen_only
    from fer_features.runs.formats import figures_folder, write_figures
    from fer_features.runs.repeats import leak_effects, over_seeds
    from fer_features.runs.run import list_runs, read_run
    from fer_features.runs.verdicts import verdict_of

    format_ = "json" if json else format_
    check_format(format_)
    folder = figures or figures_folder(runs_dir)
    found = [read_run(path) for path in run] if run else list_runs(runs_dir, log=tell)
    found = found if allow_seen else unseen_only(found, log=tell)
    shown = found if run or everything else of_same_data(found)
    tables = tabulate(shown)
    whole = len(tables)
    if not (run or everything):
        tables = newest_seeds(tables)
    show_comparisons(
        tables,
        [verdict_of(table, log=tell) for table in tables],
        seeds=over_seeds(shown),
        leaks=leak_effects(run for table in tables for run in table.runs),
        format_=format_,
    )
    for path in write_figures(tables, folder):
        tell(f"drew {path}")
    if len(tables) < whole:
        tell(f"{whole - len(tables)} tables of other seeds are not shown: fer compare --all")
    if len(shown) < len(found):
        tell(f"{len(found) - len(shown)} runs on other images are not shown: fer compare --all")


def epoch_progress(head: str, *, cache: Path) -> Callable[[int, dict[str, float]], None]:
    """Tell that a head is being fitted, and of its epochs every few seconds, on stderr."""
    begun = last = time.perf_counter()
    tell(f"fitting {head} on {cache}")

    def told(epoch: int, logs: dict[str, float]) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last < 2:
            return
        last = now
        losses = ", ".join(f"{name} {value:.4f}" for name, value in logs.items())
        tell(f"  epoch {epoch}: {losses}; {epoch / (now - begun):.2f} epochs/s")

    return told


def run_dict(run: Run) -> dict[str, Any]:
    """A run as plain JSON types, without its learning curves."""
    record = run.record
    scores = ("id", "validation", "test", "intervals", "cv", "sizes", "calibration", "operate")
    kept = (*scores, "leak", "seconds", "split", "task", "data", "command")
    return {
        "path": str(run.path),
        "head": record["head"]["name"],
        "chosen": record["head"]["chosen"],
        **{name: record[name] for name in kept},
    }


def show_run(run: Run) -> None:
    """A run's scores in one line, and what else it found in a line each."""
    from fer_features.runs.formats import with_interval
    from fer_features.runs.labels import (
        UNKNOWN,
        base_features,
        learnt_from,
        provenance_unknown,
        seen_parts,
    )

    record = run.record
    validation, test = record["validation"], record["test"]
    interval = record["intervals"]["accuracy"]
    say(
        f"{record['head']['name']}: validation accuracy {validation['accuracy']:.4f}, "
        f"test accuracy {with_interval(test['accuracy'], interval)}, F1 {test['f1']:.4f}; "
        f"fitted in {record['seconds']['fit']:.1f} s; {run.path}"
    )
    say(f"  features of {base_features(record)}, learnt from {learnt_from(record)}")
    gone = ", ".join(f"{n:,} {name}" for name, n in record["data"]["dropped"].items())
    if gone:
        say(f"  rows left out: {gone}")
    for part, n in seen_parts(record).items():
        say(
            f"  SEEN IMAGES: the weights have learnt from {n:,} of the "
            f"{record['split'][part]:,} {part} images"
        )
    if provenance_unknown(record):
        say(
            f"  {UNKNOWN}: which images the weights have learnt from is not known, or copies of "
            "them cannot be recognised"
        )
    if record["cv"]:
        mean, std = record["cv"]["mean"], record["cv"]["std"]
        say(
            f"  {record['cv']['folds']} folds: accuracy {mean['accuracy']:.4f} "
            f"± {std['accuracy']:.4f}, F1 {mean['f1']:.4f} ± {std['f1']:.4f} (mean ± standard "
            "deviation)"
        )
    if record["calibration"]:
        before = record["calibration"]["before"]["test"]
        say(
            f"  calibrated ({record['calibration']['method']}): test log loss "
            f"{before['log_loss']:.4f} → {test['log_loss']:.4f}, ECE {before['ece']:.4f} → "
            f"{test['ece']:.4f}"
        )
    if record["sizes"]:
        steps = ", ".join(
            f"{one['rows']:,}: {one['validation_accuracy']:.4f}" for one in record["sizes"]
        )
        say(f"  validation accuracy by training images: {steps}")
    if record["operate"]:
        wish = record["operate"]
        if wish["threshold"] is None:
            say(f"  {wish['unmet']}")
            return
        say(
            f"  {wish['wish']} {wish['value']:g} on validation: threshold {wish['threshold']:.4f}; "
            f"test precision {wish['test']['precision']:.4f}, recall {wish['test']['recall']:.4f}"
        )


def show_seeds(runs: Sequence[Run]) -> None:
    """Mean and spread over the seeds of what has just been fitted."""
    from fer_features.runs.repeats import over_seeds

    show_over_seeds(over_seeds(runs))


def show_over_seeds(found: Sequence[OverSeeds]) -> None:
    """Print mean and standard deviation over the seeds of each fit."""
    for title in dict.fromkeys(one.title for one in found):
        rows = [
            [
                one.head,
                one.features,
                f"{len(one.runs)}",
                *(
                    _mean_and_std(one, part, score)
                    for part, score in (
                        ("validation", "accuracy"),
                        ("test", "accuracy"),
                        ("test", "f1"),
                    )
                ),
            ]
            for one in found
            if one.title == title
        ]
        table(
            ["head", "features", "seeds", "val acc", "test acc", "test F1"],
            rows,
            title=f"{title}: mean ± standard deviation over seeds",
            text_columns=["head", "features"],
        )
        say()


def _mean_and_std(one: OverSeeds, part: str, score: str) -> str:
    mean, std = one.mean(part, score), one.std(part, score)
    return "–" if mean is None or std is None else f"{mean:.4f} ± {std:.4f}"
