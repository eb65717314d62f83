"""Where an extraction runs: in this process, or on a Ray cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fer_features.cache import Cache
from fer_features.config import ExtractConfig
from fer_features.errors import FerError
from fer_features.extract.extract import Extraction, extract
from fer_features.runtime.flags import make_config
from fer_features.runtime.progress import Log, Progress, no_log, no_progress


def extract_features(
    data: str | Path = "sample",
    *,
    progress: Progress = no_progress,
    log: Log = no_log,
    **options: Any,
) -> Cache:
    """Compute the features of images, cache them, and open the cache.

    Args:
        data: as for `load_faces`.
        progress: progress callback.
        log: called with each line that the user should see.
        **options: the other fields of `ExtractConfig`.

    Raises:
        FerError: there is no such option; else as for `extract`.
    """
    config = make_config(ExtractConfig, "extract", {"data": str(data), **options})
    return Cache(run_extraction(config, progress=progress, log=log).cache)


def run_extraction(
    config: ExtractConfig,
    *,
    progress: Progress = no_progress,
    log: Log = no_log,
    find_copies: bool = False,
) -> Extraction:
    """Compute the features of the selected images, and cache them, where ``config.on`` says.

    Arguments and errors are those of `fer_features.extract.extract.extract`, and of
    `fer_features.extract.on_ray.extract_on_ray`.
    """
    if config.on is not None:
        from fer_features.extract.on_ray import extract_on_ray

        return extract_on_ray(config, progress=progress, log=log, find_copies=find_copies)
    if config.shards is not None or config.shards_dir is not None:
        raise FerError(
            "--shards and --shards-dir are for --on",
            hint="without it, --shard K/N extracts one shard",
        )
    return extract(config, progress=progress, log=log, find_copies=find_copies)
