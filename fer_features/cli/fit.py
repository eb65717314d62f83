"""``fer fit``."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_features.cli.flags import Json
from fer_features.config import FitConfig
from fer_features.errors import FerError
from fer_features.runtime.console import emit_json, print_line, print_message, table
from fer_features.runtime.interrupt import prompt_interrupt
from fer_features.runtime.progress import show_progress
from fer_features.runtime.text import counted

if TYPE_CHECKING:
    from fer_features.heads.base import EpochCallback
    from fer_features.runs.record import RunRecord
    from fer_features.runs.run import Run

RUNS_KEPT = "interrupted; the finished runs are kept"
SECONDS_BETWEEN_LINES = 2


def fit(
    config: FitConfig,
    *,
    scan_layers: Annotated[
        bool,
        typer.Option(
            "--scan-layers",
            help="Show which cached layer and pooling serve best on validation; no run is written.",
        ),
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the model of the one head that is fitted; a model that is there is "
            "replaced.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Stage 2: fit light heads on a cache, score them, and write a run for each."""
    from fer_features.cache import latest_cache
    from fer_features.cli.compare import show_seeds
    from fer_features.fit.fit import fit_each
    from fer_features.runs.repeats import over_seeds

    path = config.cache or latest_cache(config.cache_dir)
    config = replace(config, cache=path)
    if save:
        _check_save(save, config, scan_layers=scan_layers)
    if scan_layers:
        show_scan(config, json=json)
        return
    runs = []

    def on_epoch(head: str) -> EpochCallback:
        return epoch_progress(f"{head} on {path}")

    with prompt_interrupt(RUNS_KEPT):
        for one in fit_each(config, on_epoch=on_epoch, log=print_message, progress=show_progress):
            runs.append(one)
            if not json:
                show_run(one)
    saved = {"model": str(runs[0].model().save(save))} if save else {}
    if json:
        emit_json({"runs": [run_dict(one) for one in runs]} | saved)
    elif saved:
        print_line(f"  model: {saved['model']}")
    elif config.seeds > 1:
        show_seeds(over_seeds(runs))


def _check_save(save: Path, config: FitConfig, *, scan_layers: bool) -> None:
    """Raise a `FerError`, before the fit, if its model cannot be saved."""
    from fer_features.model.file import model_path

    if scan_layers or len(config.heads) > 1 or config.seeds > 1 or "all" in config.heads:
        raise FerError("--save writes one model", hint="name one --head, without --seeds")
    model_path(save)


def show_scan(config: FitConfig, *, json: bool) -> None:
    """Fit heads to each cached layer, and print their validation scores and the best's command."""
    from fer_features.fit.scan import scan_layers

    with prompt_interrupt("interrupted; a scan writes nothing"):
        found = scan_layers(
            config, on_epoch=epoch_progress, log=print_message, progress=show_progress
        )
    if json:
        emit_json({"scan": [asdict(one) for one in found]})
        return
    rows = [
        [
            one.layer,
            one.output,
            f"{one.values:,}",
            one.head,
            f"{one.accuracy:.4f}",
            f"{one.log_loss:.4f}",
            f"{one.seconds:.1f}",
        ]
        for one in found
    ]
    columns = ["layer", "output", "values", "head", "val acc", "log loss", "fit s"]
    table(columns, rows, text_columns=["layer", "output", "head"])
    print_line("lowest validation log loss first; fer compare: highest validation accuracy first")
    print_line(f"fit the best with: {found[0].command}")


def epoch_progress(title: str) -> EpochCallback:
    """Print on stderr what is being fitted; returns a callback that prints its epochs."""
    begun = last = time.perf_counter()
    print_message(f"fitting {title}")

    def on_epoch(epoch: int, logs: dict[str, float]) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last < SECONDS_BETWEEN_LINES:
            return
        last = now
        losses = ", ".join(f"{name} {value:.4f}" for name, value in logs.items())
        print_message(f"  epoch {epoch}: {losses}; {epoch / (now - begun):.2f} epochs/s")

    return on_epoch


def run_dict(run: Run) -> dict[str, Any]:
    """A run as plain JSON types, without its learning curves."""
    import msgspec

    record = msgspec.to_builtins(run.record)
    scores = ("id", "validation", "test", "intervals", "cv", "sizes", "calibration", "operate")
    kept = (*scores, "leak", "seconds", "split", "task", "data", "command")
    return {
        "path": str(run.path),
        "head": run.record.head.name,
        "chosen": record["head"]["chosen"],
        **{name: record[name] for name in kept},
    }


def show_run(run: Run) -> None:
    """A run's scores in one line, and its other results in a line each."""
    from fer_features.runs.record import UNKNOWN
    from fer_features.runs.table import with_interval

    record = run.record
    validation, test, interval = record.validation, record.test, record.intervals["accuracy"]
    accuracy = with_interval(test.accuracy, interval) if interval else f"{test.accuracy:.4f}"
    print_line(
        f"{record.head.name}: validation accuracy {validation.accuracy:.4f}, "
        f"test accuracy {accuracy}, F1 {test.f1:.4f}; "
        f"fitted in {record.seconds.fit:.1f} s; {run.path}"
    )
    head = record.head
    rows = ["rows"] if head.combine == "rows" else []
    used = " ".join(["+".join(head.layers), head.features, *head.views, *rows])
    print_line(f"  features of {record.base_features} ({used}), learnt from {record.learnt_from}")
    if head.combined:
        losses = ", ".join(f"{name} {loss:.4f}" for name, loss in head.combined.items())
        print_line(f"  --combine best took {head.combine}: validation log loss {losses}")
    gone = ", ".join(f"{n:,} {name}" for name, n in record.data.dropped.items())
    if gone:
        print_line(f"  rows left out: {gone}")
    for part, n in record.seen_parts.items():
        print_line(
            f"  SEEN IMAGES: the weights have learnt from {n:,} of the "
            f"{counted(getattr(record.split, part), f'{part} image')}"
        )
    if record.provenance_unknown:
        print_line(
            f"  {UNKNOWN}: which images the weights have learnt from is not known, or copies of "
            "them cannot be recognised"
        )
    _show_extras(record)


def _show_extras(record: RunRecord) -> None:
    """Print cross-validation, calibration, learning curve and threshold, where there are any."""
    if record.cv:
        mean, std = record.cv.mean, record.cv.std
        print_line(
            f"  {record.cv.folds} folds: accuracy {mean['accuracy']:.4f} "
            f"± {std['accuracy']:.4f}, F1 {mean['f1']:.4f} ± {std['f1']:.4f} (mean ± standard "
            "deviation)"
        )
    if record.calibration:
        before = record.calibration.before.test
        print_line(
            f"  calibrated ({record.calibration.method}): test log loss "
            f"{before.log_loss:.4f} → {record.test.log_loss:.4f}, ECE {before.ece:.4f} → "
            f"{record.test.ece:.4f}"
        )
    if record.sizes:
        steps = ", ".join(f"{one.rows:,}: {one.validation_accuracy:.4f}" for one in record.sizes)
        print_line(f"  validation accuracy by training images: {steps}")
    if operate := record.operate:
        if operate.test is None or operate.threshold is None:
            print_line(f"  {operate.unmet}")
            return
        print_line(
            f"  {operate.target} {operate.value:g} on validation: threshold "
            f"{operate.threshold:.4f}; test precision {operate.test.precision:.4f}, recall "
            f"{operate.test.recall:.4f}"
        )
