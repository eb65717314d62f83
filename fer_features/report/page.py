"""The page from the content of a report, and the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from fer_features import __version__
from fer_features.report.formats import cell, chosen, listed, seconds, settings
from fer_features.report.gather import gather
from fer_features.report.view import FindFaces, Report
from fer_features.runs.predictions import ENOUGH
from fer_features.runs.run import Run
from fer_features.runtime.files import atomic_path, check_replaced
from fer_features.runtime.progress import Log, no_log


@dataclass(frozen=True)
class Written:
    """A report's file.

    Attributes:
        path: the file.
        size: its length in bytes.
        runs: number of runs that it shows.
        faces: number of faces that it shows.
    """

    path: Path
    size: int
    runs: int
    faces: int


def write_report(
    runs: Sequence[Run],
    path: Path,
    *,
    every_seed: bool = True,
    faces: FindFaces | None = None,
    log: Log = no_log,
) -> Written:
    """Write a report as one HTML file, by way of a temporary file.

    Args:
        runs: in any order.
        path: the file to write.
        every_seed: show the runs of each seed, not only of the newest.
        faces: finds the images; without it no faces are shown.
        log: called with what cannot be shown, and why.

    Raises:
        FerError: there are no runs, or the file cannot be written.
    """
    check_replaced(path, b"<!doctype html", what="HTML file")
    report = gather(runs, every_seed=every_seed, faces=faces, log=log)
    content = page(report).encode()
    with atomic_path(path, option="--out") as temporary:
        temporary.write_bytes(content)
    return Written(
        path, len(content), report.runs, sum(len(one.rows_shown) for one in report.images)
    )


def page(report: Report) -> str:
    """The page as HTML text; it refers to nothing outside itself."""
    return _template().render(report=report, version=__version__, least_images=ENOUGH)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("fer_features.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {f.__name__: f for f in (cell, chosen, listed, seconds, settings)}
    return environment.get_template("report.html")
