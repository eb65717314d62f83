"""The commands of stage 2: flags to one config, one call, one result; no logic."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from fer_features.cli.options import (
    CacheDir,
    CacheFile,
    FerPlus,
    Json,
    PerClass,
    RunsDir,
    Seed,
    per_class_number,
)
from fer_features.config import CACHE_DIR, RUNS_DIR, SEED, FitConfig
from fer_features.heads import HEADS
from fer_features.runtime.console import emit_json, tell
from fer_features.runtime.interrupt import prompt_interrupt
from fer_features.runtime.progress import show_progress

RUNS_KEPT = "interrupted; the runs that were finished are kept"


def fit(
    cache: CacheFile = None,
    head: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"{', '.join(HEADS)}, or all; by default dense; can be given several times.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="grouped (no leak), reference (as published) or usage (FER2013's own); by default "
            "grouped, or usage with --drop twins where the weights have learnt from some images."
        ),
    ] = FitConfig.split,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER[+LAYER]",
            help="Cached layers to put side by side; by default the last.",
        ),
    ] = FitConfig.features,
    views: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="flip: average each image's features with its mirror image's; on FER2013's "
            "validation images that is worse for hog than without.",
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Another task than the cache's: binary, seven or a file.")
    ] = FitConfig.task,
    per_class: PerClass = None,
    ferplus: FerPlus = FitConfig.ferplus,
    labels: Annotated[
        str,
        typer.Option(
            help="original; ferplus: the voters' majority; soft: that, and their votes to train on."
        ),
    ] = FitConfig.labels,
    drop: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Rows to leave out, with commas between: constant, conflict, notface; twins (rows "
            "with a copy in a later part); learnt (validation and test rows of which any backbone "
            "in the folder of caches has learnt a copy).",
        ),
    ] = None,
    allow_seen: Annotated[
        bool,
        typer.Option("--allow-seen", help="Score images that the weights have learnt from, too."),
    ] = False,
    seed: Seed = SEED,
    seeds: Annotated[
        int,
        typer.Option(metavar="N", help="Repeat with N seeds, each with a split of its own."),
    ] = FitConfig.seeds,
    cv: Annotated[
        int, typer.Option(metavar="K", help="Cross-validate over K folds too.")
    ] = FitConfig.cv,
    sizes: Annotated[
        bool, typer.Option("--sizes", help="Also fit to parts of the training rows.")
    ] = FitConfig.sizes,
    calibrate: Annotated[
        str | None,
        typer.Option(help="platt or isotonic: calibrate the probabilities on validation."),
    ] = FitConfig.calibrate,
    operate: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="precision=0.9, say: choose the threshold on validation that gives it.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter of the heads, or of one (dense.epochs=20); can be given several "
            "times.",
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
    from fer_features.cache import latest_cache
    from fer_features.cli.render import epoch_progress, parse_params
    from fer_features.cli.render_runs import run_dict, show_run, show_seeds
    from fer_features.fit.calibration import parse_target
    from fer_features.fit.fit import fit_each

    params = parse_params(set_ or [])
    wish = parse_target(operate) if operate else None
    used = cache or latest_cache(cache_dir)
    config = FitConfig(
        cache=used,
        heads=tuple(head or FitConfig.heads),
        split=split,
        task=task,
        per_class=per_class_number(per_class),
        features=features,
        views=tuple(views or ()),
        labels=labels,
        ferplus=ferplus,
        drop=tuple(one.strip() for one in drop.split(",")) if drop else (),
        allow_seen=allow_seen,
        seed=seed,
        seeds=seeds,
        cv=cv,
        sizes=sizes,
        calibrate=calibrate,
        operate=wish,
        params=params,
        cache_dir=cache_dir,
        runs_dir=runs_dir,
        jobs=jobs,
    )
    runs = []
    on_epoch = functools.partial(epoch_progress, cache=used)
    with prompt_interrupt(RUNS_KEPT):
        for one in fit_each(config, on_epoch=on_epoch, log=tell, progress=show_progress):
            runs.append(one)
            if not json:
                show_run(one)
    if json:
        emit_json({"runs": [run_dict(one) for one in runs]})
    elif seeds > 1:
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
