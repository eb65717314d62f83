"""The commands of stage 2: flags to one config, one call, one result; no logic."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from fer_features.config import CACHE_DIR, RUNS_DIR, SEED, FitConfig
from fer_features.console import emit_json, tell
from fer_features.options import (
    CacheDir,
    CacheFile,
    Json,
    PerClass,
    RunsDir,
    Seed,
    per_class_number,
)


def fit(
    cache: CacheFile = None,
    head: Annotated[
        list[str] | None,
        typer.Option(
            help="dense (the default), logreg, svm or all; can be given several times.",
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="grouped (no leak), reference (as published) or usage.")
    ] = FitConfig.split,
    task: Annotated[
        str | None, typer.Option(help="Another task than the cache's: binary, seven or a file.")
    ] = None,
    per_class: PerClass = None,
    layer: Annotated[
        str | None, typer.Option(help="The cached layer; by default the last.")
    ] = None,
    seed: Seed = SEED,
    cv: Annotated[int, typer.Option(metavar="K", help="Cross-validate over K folds too.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter of every head named; can be given several times.",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(help="Parallel jobs; -1 for one each core.")
    ] = FitConfig.jobs,
    cache_dir: CacheDir = CACHE_DIR,
    runs_dir: RunsDir = RUNS_DIR,
    json: Json = False,
) -> None:
    """Stage 2: fit light heads on a cache, score them, and write a run for each."""
    from fer_features.fit import fit as run
    from fer_features.render import epoch_progress, parse_params, run_dict, show_run
    from fer_features.store import latest_cache

    params = parse_params(set_ or [])
    used = cache or latest_cache(cache_dir)
    config = FitConfig(
        cache=used,
        heads=tuple(head or FitConfig.heads),
        split=split,
        task=task,
        per_class=per_class_number(per_class),
        layer=layer,
        seed=seed,
        cv=cv,
        params=params,
        cache_dir=cache_dir,
        runs_dir=runs_dir,
        jobs=jobs,
    )
    runs = []
    for one in run(config, progress=functools.partial(epoch_progress, cache=used)):
        runs.append(one)
        if not json:
            show_run(one)
    if json:
        emit_json({"runs": [run_dict(one) for one in runs]})


def compare(
    run: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of runs; by default all that are about the newest's images."),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    everything: Annotated[
        bool, typer.Option("--all", help="All runs, whatever images they are about.")
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
    from fer_features.compare import compare as tabulate
    from fer_features.compare import of_same_data, write_figures
    from fer_features.render import show_comparisons
    from fer_features.runs import list_runs, read_run

    found = [read_run(path) for path in run] if run else list_runs(runs_dir)
    shown = found if run or everything else of_same_data(found)
    tables = tabulate(shown)
    show_comparisons(tables, "json" if json else format_)
    for path in write_figures(tables, figures or runs_dir / "compare"):
        tell(f"drew {path}")
    if len(shown) < len(found):
        tell(f"{len(found) - len(shown)} runs on other images are not shown: fer compare --all")
