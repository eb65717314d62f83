"""The words after `fer cache`: flags to one call, one result; no logic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_features.cli.options import CacheDir, CacheFile, Json
from fer_features.config import CACHE_DIR
from fer_features.errors import FerError
from fer_features.runtime.console import emit_json, say, tell

NOTHING_DONE = 2


def list_(cache_dir: CacheDir = CACHE_DIR, json: Json = False) -> None:
    """List the caches in a folder, begun ones too, the one asked for last at the end."""
    from fer_features.cache import list_caches
    from fer_features.cli.render_cache import cache_dict, show_caches

    caches = []
    for path in list_caches(cache_dir):
        try:
            caches.append(cache_dict(path))
        except FerError as error:  # one damaged file must not hide the others
            tell(f"warning: {error}")
    emit_json({"caches": caches}) if json else show_caches(caches, cache_dir)


def info(cache: CacheFile = None, cache_dir: CacheDir = CACHE_DIR, json: Json = False) -> None:
    """Say what a cache holds and where it came from."""
    from fer_features.cache import latest_cache
    from fer_features.cli.render_cache import cache_dict, show_cache

    told = cache_dict(cache or latest_cache(cache_dir))
    emit_json(told) if json else show_cache(told)


def verify(cache: CacheFile = None, cache_dir: CacheDir = CACHE_DIR, json: Json = False) -> None:
    """Read a cache from end to end and compare it with the SHA-256 that it carries."""
    from fer_features.cache import latest_cache
    from fer_features.cache import verify as check

    path = cache or latest_cache(cache_dir)
    size = check(path)
    told = {"cache": str(path), "bytes": size, "good": True}
    emit_json(told) if json else say(f"{path}: every byte of {size:,} is as it was written")


def remove(
    cache: Annotated[Path, typer.Argument(help="A cache file.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Delete a cache, and what an interrupted extraction has left of it; asks first."""
    from fer_features.cache import describe_files, only_writer, remove_cache

    files = describe_files(cache)
    if json and not yes:
        raise FerError(f"with --json nobody is asked whether to delete {files}", hint="add --yes")
    if not yes and not _agreed(f"delete {files}?"):
        tell("nothing was deleted; --yes deletes without asking")
        raise typer.Exit(NOTHING_DONE)
    with only_writer(cache):
        freed = remove_cache(cache)
    told = {"removed": str(cache), "bytes": freed}
    emit_json(told) if json else say(f"deleted {files}")


def _agreed(question: str) -> bool:
    """Whether a person says yes; where there is nobody to ask, no."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        tell("")
        return False
