"""The command ``fer report``."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_features.cli.flags import CacheDir, Json, RunFolders, RunsDir
from fer_features.config import CACHE_DIR, EMOTIONS, RUNS_DIR, USAGES
from fer_features.errors import FerError
from fer_features.runtime.console import emit_json, print_line, print_message
from fer_features.runtime.text import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fer_features.cache import Cache
    from fer_features.report import Face
    from fer_features.runs.run import Run


def report(
    run: RunFolders = None,
    runs_dir: RunsDir = RUNS_DIR,
    cache_dir: CacheDir = CACHE_DIR,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("report.html"),
    json: Json = False,
) -> None:
    """Show runs as one HTML file: tables, curves, faces, mistakes and provenance.

    The file needs nothing but a browser, and loads nothing from elsewhere. Faces come from the
    runs' caches, which are found by their recorded paths or in --cache-dir.
    """
    from fer_features.report import write_report
    from fer_features.runs.compare import of_same_data
    from fer_features.runs.run import read_runs

    found = read_runs(run or (), runs_dir, log=print_message)
    shown = found if run else of_same_data(found)
    faces = partial(find_faces, cache_dir=cache_dir)
    written = write_report(shown, out, every_seed=bool(run), faces=faces, log=print_message)
    if hidden := len(found) - len(shown):
        print_message(f"not shown: {counted(hidden, 'run')} on other images; name them to see them")
    counts = {"bytes": written.size, "runs": written.runs, "faces": written.faces}
    if json:
        emit_json({"report": str(written.path), **counts})
    else:
        size = f"{written.size / 1024:.0f} KiB"
        print_line(
            f"{written.path}: {counted(written.runs, 'run')}, "
            f"{counted(written.faces, 'face')}, {size}"
        )


def find_faces(run: Run, rows: NDArray[np.int64], *, cache_dir: Path) -> dict[int, Face]:
    """Faces of rows of a run's source, by row, from the run's cache.

    Args:
        run: the run.
        rows: int64 (n,), ascending; those that the cache does not hold are left out.
        cache_dir: a folder to look for the cache in, besides its recorded place.

    Raises:
        FerError: the cache is not found, or its images cannot be read.
    """
    from fer_features.cache import Cache

    key, recorded = run.record.cache.key, Path(run.record.cache.path or "?")
    problems = []
    for path in _places(run.path, recorded, key, cache_dir):
        try:
            with Cache(path) as cache:
                if cache.header.key == key and cache.shard is None:
                    return _read_faces(cache, rows)
            problems.append(f"{path} is another cache than the one that the run was fitted on")
        except FerError as error:
            problems.append(error.message)
    where = f"{recorded.name} (key {key}) was not found; --cache-dir names its folder"
    raise FerError(problems[0] if problems else f"the cache {where}")


def _places(run: Path, recorded: Path, key: str, cache_dir: Path) -> list[Path]:
    """Files that may be a run's cache, the most likely first.

    A relative path was relative to the working directory of the fit, often a parent of the run.
    """
    parents = run.resolve().parents
    folders = [cache_dir, *(parent / CACHE_DIR for parent in parents)]
    near = [
        file
        for folder in folders
        for file in sorted(folder.glob("*.h5"))
        if file.name == recorded.name or key in file.name
    ]
    places = [recorded, *(parent / recorded for parent in parents), *near]
    # Unlike Path.is_file, isfile is False for paths that no file system takes.
    return [path for path in dict.fromkeys(places) if os.path.isfile(path)]  # noqa: PTH113


def _read_faces(cache: Cache, rows: NDArray[np.int64]) -> dict[int, Face]:
    import numpy as np

    from fer_features.report import Face

    known = np.intersect1d(rows, cache.rows.source_row)
    places = np.searchsorted(cache.rows.source_row, known)
    labels, images = cache.rows[places], cache.images(places)
    return {
        int(row): Face(image, EMOTIONS[emotion], USAGES[usage] if usage >= 0 else "")
        for row, image, emotion, usage in zip(
            known, images, labels.emotion, labels.usage, strict=True
        )
    }
