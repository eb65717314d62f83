"""The command ``fer report``: flags to one call, one result; no logic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_features.cli.flags import Json, RunsDir
from fer_features.config import RUNS_DIR
from fer_features.runtime.console import emit_json, say, tell


def report(
    run: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of runs; by default all that are about the newest's images."),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("report.html"),
    json: Json = False,
) -> None:
    """Show runs as one HTML file: tables, curves, faces, mistakes, and where all of it comes from.

    The file needs nothing but a browser, and asks nothing of any other place.
    """
    from fer_features.report import gather, write_report
    from fer_features.runs.compare import of_same_data
    from fer_features.runs.run import list_runs, read_run

    found = [read_run(path) for path in run] if run else list_runs(runs_dir, log=tell)
    shown = found if run else of_same_data(found)
    gathered = gather(shown, every_seed=bool(run), log=tell)
    written = write_report(gathered, out)
    if len(shown) < len(found):
        tell(f"{len(found) - len(shown)} runs on other images are not shown: name them to see them")
    if json:
        emit_json(
            {
                "report": str(written.path),
                "bytes": written.size,
                "runs": written.runs,
                "faces": written.faces,
            }
        )
    else:
        size = f"{written.size / 1024:.0f} KiB"
        say(f"{written.path}: {written.runs} runs, {written.faces} faces, {size}")
