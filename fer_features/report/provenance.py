"""Where all of it comes from, and how to get it again."""

from __future__ import annotations

import json
from typing import Any

from fer_features.report.gather import Gathered
from fer_features.report.markup import Markup, tag
from fer_features.report.parts import seconds, section
from fer_features.runs.labels import base_features, provenance_unknown
from fer_features.runs.run import Run


def provenance(gathered: Gathered) -> Markup:
    """Weights, caches, data, versions, seconds, and the commands that repeat the runs."""
    caches = {run.record["cache"]["key"]: run.record["cache"] for run in gathered.runs}
    return section(
        "provenance",
        "Where it comes from",
        tag("h3", "Features"),
        [_cache(cache) for cache in caches.values()],
        tag("h3", "Runs"),
        tag("p", "In the order of the tables; each command repeats its run."),
        [_run(run) for run in gathered.runs],
    )


def _cache(cache: dict[str, Any]) -> Markup:
    spec, dataset = cache["spec"], cache.get("dataset", {})
    size = spec.get("size")
    facts = {
        "backbone": spec["backbone"],
        "weights": spec["weights"],
        "weights’ SHA-256": spec.get("weights_sha256"),
        "input": f"{size} × {size}" if isinstance(size, int) else size,
        "preprocessing": spec.get("preprocess"),
        "resizing": spec.get("resize"),
        "arithmetic": spec.get("precision"),
        "data": dataset.get("name"),
        "data’s SHA-256": dataset.get("sha256"),
        "cache’s key": cache["key"],
        "cache’s file": cache.get("path"),
    }
    return _card(base_features({"cache": cache}), facts)


def _run(run: Run) -> Markup:
    record = run.record
    clocks = ", ".join(f"{name} {seconds(value)} s" for name, value in record["seconds"].items())
    software = ", ".join(f"{name} {text}" for name, text in record.get("software", {}).items())
    head = record["head"]
    facts = {
        "head": head.get("title", head["name"]),
        "features": f"{'+'.join(head['layers'])} {head.get('features', '')}".strip(),
        "views": ", ".join(head["views"]) or None,
        "settings": _params(head["params"]),
        "chosen on validation": _params(_plain(head["chosen"])),
        "images the weights have learnt from": _learnt(record),
        "clocks": clocks,
        "made": record["created"],
        "software": software or None,
    }
    command = (
        tag("pre", tag("code", record["command"]), tabindex=0) if record.get("command") else None
    )
    return _card(record["id"], facts, command)


def _learnt(record: dict[str, Any]) -> str | None:
    """How many of the rows the weights have learnt from; None where they have from no such data."""
    if provenance_unknown(record):
        return "provenance unknown"
    found = record["data"].get("provenance") or {}
    if found.get("exact") is None:
        return None
    copies = "copies not looked for" if found["copies"] is None else f"{found['copies']:,} copies"
    return f"{found['exact']:,} exact, {copies}, of {record['data']['rows']:,}"


def _plain(chosen: dict[str, Any]) -> dict[str, Any]:
    """What was chosen, without all that it was chosen from."""
    return {k: v for k, v in chosen.items() if v and not isinstance(v, list | dict)}


def _params(params: dict[str, Any]) -> str | None:
    shown = (
        (name, f"{value:.4g}" if isinstance(value, float) else json.dumps(value))
        for name, value in params.items()
    )
    return ", ".join(f"{name}={value}" for name, value in shown) or None


def _card(title: str, facts: dict[str, Any], *more: Markup | None) -> Markup:
    pairs = [
        tag("div", tag("dt", name), tag("dd", str(value)))
        for name, value in facts.items()
        if value is not None
    ]
    return tag("article", tag("h4", title), tag("dl", pairs), *more, class_="card")
