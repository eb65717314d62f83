"""Caches as people read them, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fer_features.cache import Cache, Journal, journal_path, writer_of
from fer_features.runtime.console import say, table


def cache_dict(path: Path) -> dict[str, Any]:
    """What a cache says of itself, as plain JSON types; a begun one says how far it is.

    Raises:
        FerError: there is no such cache, or it cannot be read.
    """
    waiting_path = journal_path(path)
    info: dict[str, Any] = {"cache": str(path), "rows": 0, "bytes": 0, "features": {}}
    info |= {"choices": [], "spec": None, "dataset": None, "key": None, "software": []}
    waiting, begun = 0, None
    if waiting_path.exists():
        with Journal(waiting_path) as journal:
            begun, waiting = journal, len(journal.rows)
    if path.exists() or begun is None or not begun.header.key:
        with Cache(path) as cache:
            info |= asdict(cache.header) | {"software": cache.software, "rows": len(cache)}
            info["features"] = {name: list(shape) for name, shape in cache.shapes().items()}
            info["choices"] = [
                {
                    **one.to_dict(),
                    "rows": len(one.rows),
                    "done": int(cache.holds(one.rows, one.features).sum()),
                }
                for one in cache.selections
            ]
    else:
        info |= asdict(begun.header) | {"software": begun.software}
        info["choices"] = [
            {**one.to_dict(), "rows": len(one.rows), "done": waiting} for one in begun.selections
        ]
    files = [one for one in (path, waiting_path) if one.exists()]
    changed = max(one.stat().st_mtime for one in files)
    return info | {
        "bytes": sum(one.stat().st_size for one in files),
        "waiting_rows": waiting,
        "writer": writer_of(path),
        "complete": not waiting and all(one["done"] == one["rows"] for one in info["choices"]),
        "changed": datetime.fromtimestamp(changed, UTC).isoformat(timespec="seconds"),
    }


def show_caches(caches: Sequence[dict[str, Any]], folder: Path) -> None:
    """Caches as a table, one line each."""
    if not caches:
        say(f"no caches in {folder}")
        return
    rows = [
        [
            Path(one["cache"]).name,
            one["dataset"]["name"],
            ", ".join(dict.fromkeys(choice["task"]["name"] for choice in one["choices"])),
            _layers(one),
            f"{one['spec']['weights']}, {one['spec']['size']} px, {one['spec']['preprocess']}, "
            f"{one['spec']['precision']}",
            f"{one['rows']:,}",
            f"{one['bytes'] / 1e6:,.1f}",
            _state(one),
        ]
        for one in caches
    ]
    columns = ["cache", "data", "tasks", "layers", "spec", "rows", "MB", "state"]
    table(columns, rows, text_columns=[*columns[:5], "state"])


def _layers(info: dict[str, Any]) -> str:
    names = info["features"] or [one for choice in info["choices"] for one in choice["features"]]
    layers = (name.split("/")[0] for name in names)
    return ", ".join(dict.fromkeys(layers))


def _state(info: dict[str, Any]) -> str:
    if info["writer"]:
        return f"being written by {info['writer']}"
    if info["complete"]:
        return "complete"
    if info["waiting_rows"]:
        return f"interrupted, {info['waiting_rows']:,} rows to be taken up"
    begun = next(one for one in info["choices"] if one["done"] < one["rows"])
    return f"interrupted at {begun['done'] / begun['rows']:.0%}"


def show_cache(info: dict[str, Any]) -> None:
    """One cache, field by field."""
    say(
        f"{info['cache']}: {info['rows']:,} rows, {info['bytes'] / 1e6:,.1f} MB, "
        f"{_state(info)}, {info['changed']}"
    )
    for name, shape in info["features"].items():
        say(f"  features/{name}  {' × '.join(str(n) for n in shape)}")
    for one in info["choices"]:
        say(
            f"choice {one['id']}: task {one['task']['name']}, {one['done']:,} of {one['rows']:,} "
            f"rows, seed {one['seed']}"
        )
    for part in ("spec", "dataset"):
        say(f"{part}:")
        for name, value in info[part].items():
            say(f"  {name}: {value}")
    for one in info["software"]:
        say("software:")
        for name, value in one.items():
            say(f"  {name}: {value}")
