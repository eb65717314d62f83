"""``fer cache``: ``list``, ``info``, ``verify``, ``merge`` and ``remove``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from fer_features.cli.flags import CacheDir, CacheFile, Json
from fer_features.config import CACHE_DIR
from fer_features.errors import FerError
from fer_features.runtime.console import emit_json, print_line, print_message, table
from fer_features.runtime.progress import show_progress
from fer_features.runtime.text import counted

NOT_CONFIRMED = 2


def list_caches(cache_dir: CacheDir = CACHE_DIR, json: Json = False) -> None:
    """List the caches in a folder, unfinished ones too, the one used last at the end."""
    from fer_features import cache

    found = []
    for path in cache.list_caches(cache_dir):
        try:
            found.append(to_dict(path))
        except FerError as error:  # one damaged file must not hide the others
            print_message(f"warning: {error}")
    if json:
        emit_json({"caches": found})
    elif not found:
        print_line(f"no caches in {cache_dir}")
    else:
        columns = ["cache", "data", "tasks", "layers", "spec", "rows", "MB", "state"]
        table(columns, map(_cells, found), text_columns=[*columns[:5], "state"])


def info(cache: CacheFile = None, cache_dir: CacheDir = CACHE_DIR, json: Json = False) -> None:
    """Print what a cache holds and where it came from."""
    from fer_features.cache import latest_cache

    found = to_dict(cache or latest_cache(cache_dir))
    if json:
        emit_json(found)
        return
    print_line(
        f"{found['cache']}: {counted(found['rows'], 'row')}, {found['bytes'] / 1e6:,.1f} MB, "
        f"{_state(found)}, last changed {found['changed']}"
    )
    for name, shape in found["features"].items():
        print_line(f"  features/{name}  {' × '.join(str(n) for n in shape)}")
    for one in found["choices"]:
        print_line(
            f"selection {one['id']}: task {one['task']['name']}, {one['done']:,} of "
            f"{counted(one['rows'], 'row')}, seed {one['seed']}"
        )
    parts = [("spec", found["spec"]), ("dataset", found["dataset"])]
    for part, values in [*parts, *(("software", one) for one in found["software"])]:
        print_line(f"{part}:")
        for name, value in values.items():
            print_line(f"  {name}: {value}")


def verify(cache: CacheFile = None, cache_dir: CacheDir = CACHE_DIR, json: Json = False) -> None:
    """Read a cache from end to end and compare it with the SHA-256 that it carries."""
    from fer_features.cache import latest_cache
    from fer_features.cache import verify as check

    path = cache or latest_cache(cache_dir)
    size = check(path)
    if json:
        emit_json({"cache": str(path), "bytes": size, "good": True})
    else:
        print_line(f"{path}: all {size:,} bytes are as they were written")


def merge(
    shards: Annotated[
        list[Path], typer.Argument(help="All shards of an extraction, or folders of shards.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The cache to write; by default the one that fer extract without --shard would.",
            metavar="FILE",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Join the files of fer extract --shard to the cache of an extraction in one piece."""
    from fer_features.cache.merge import merge_shards

    done = merge_shards(shards, out, progress=show_progress)
    if json:
        emit_json({**asdict(done), "cache": str(done.cache)})
    else:
        how = (
            "already there" if done.already_there else f"{done.cache.stat().st_size / 1e6:,.1f} MB"
        )
        rows, parts = counted(done.rows, "row"), counted(done.shards, "shard")
        print_line(f"{done.cache}: {rows} of {parts}, {how}")


def remove(
    cache: Annotated[Path, typer.Argument(help="A cache file.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Delete a cache, and what an interrupted extraction has left of it; asks first."""
    from fer_features.cache import describe_files, only_writer, remove_cache

    files = describe_files(cache)
    if json and not yes:
        raise FerError(
            f"with --json nothing is asked, and {files} is kept", hint="--yes deletes it"
        )
    if not yes and not _confirmed(f"delete {files}?"):
        print_message("nothing was deleted; --yes deletes without asking")
        raise typer.Exit(NOT_CONFIRMED)
    with only_writer(cache):
        freed = remove_cache(cache)
    emit_json({"removed": str(cache), "bytes": freed}) if json else print_line(f"deleted {files}")


def _confirmed(question: str) -> bool:
    """Ask a yes/no question; False where there is no terminal to ask on."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        print_message("")
        return False


def to_dict(path: Path) -> dict[str, Any]:
    """The header of a cache as plain JSON types, with the progress of an unfinished one.

    Raises:
        FerError: there is no such cache, or it cannot be read.
    """
    from fer_features.cache import Cache, Journal, journal_path, writer_of
    from fer_features.cache.shard import shard_of

    waiting_path = journal_path(path)
    info: dict[str, Any] = {"cache": str(path), "rows": 0, "bytes": 0, "features": {}}
    waiting, begun = 0, None
    if waiting_path.exists():
        with Journal(waiting_path) as journal:
            begun, waiting = journal, len(journal.rows)
    if path.exists() or begun is None or not begun.header.key:
        with Cache(path) as cache:
            info |= asdict(cache.header) | {"software": cache.software, "rows": len(cache)}
            info["features"] = {name: list(shape) for name, shape in cache.shapes().items()}
            selections = cache.selections
            done = [int(cache.holds(one.rows, one.features).sum()) for one in selections]
    else:
        info |= asdict(begun.header) | {"software": begun.software}
        selections, done = begun.selections, [waiting] * len(begun.selections)
    files = [one for one in (path, waiting_path) if one.exists()]
    changed = max(one.stat().st_mtime for one in files)
    choices = [
        {**one.to_dict(), "rows": len(one.rows), "done": n}
        for one, n in zip(selections, done, strict=True)
    ]
    shard = shard_of(selections)
    return info | {
        "choices": choices,
        "shard": str(shard) if shard else None,
        "bytes": sum(one.stat().st_size for one in files),
        "waiting_rows": waiting,
        "writer": writer_of(path),
        "complete": not waiting and all(one["done"] == one["rows"] for one in choices),
        "changed": datetime.fromtimestamp(changed, UTC).isoformat(timespec="seconds"),
    }


def _cells(found: dict[str, Any]) -> list[str]:
    spec = found["spec"]
    return [
        Path(found["cache"]).name,
        found["dataset"]["name"],
        ", ".join(dict.fromkeys(one["task"]["name"] for one in found["choices"])),
        _layers(found),
        f"{spec['weights']}, {spec['size']} px, {spec['preprocess']}, {spec['precision']}",
        f"{found['rows']:,}",
        f"{found['bytes'] / 1e6:,.1f}",
        _state(found),
    ]


def _layers(info: dict[str, Any]) -> str:
    names = info["features"] or [one for choice in info["choices"] for one in choice["features"]]
    layers = (name.split("/")[0] for name in names)
    return ", ".join(dict.fromkeys(layers))


def _state(info: dict[str, Any]) -> str:
    shard = f"shard {info['shard']}, " if info["shard"] else ""
    return shard + _progress(info)


def _progress(info: dict[str, Any]) -> str:
    if info["writer"]:
        return f"being written by {info['writer']}"
    if info["complete"]:
        return "complete"
    if info["waiting_rows"]:
        return f"interrupted, {counted(info['waiting_rows'], 'row')} to recover"
    begun = next(one for one in info["choices"] if one["done"] < one["rows"])
    return f"interrupted at {begun['done'] / begun['rows']:.0%}"
