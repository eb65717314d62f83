"""Where all of it comes from, and how to get it again."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from fer_features.report.gather import Gathered
from fer_features.report.markup import Markup, tag
from fer_features.report.parts import seconds, section
from fer_features.runs.record import RunRecord
from fer_features.runs.run import Run


def provenance(gathered: Gathered) -> Markup:
    """Weights, caches, data, versions, seconds, and the commands that repeat the runs."""
    caches = {run.record.cache.key: run.record for run in gathered.runs}
    return section(
        "provenance",
        "Where it comes from",
        tag("h3", "Features"),
        [_cache(record) for record in caches.values()],
        tag("h3", "Runs"),
        tag("p", "In the order of the tables; each command repeats its run."),
        [_run(run) for run in gathered.runs],
    )


def _cache(record: RunRecord) -> Markup:
    cache, spec = record.cache, record.cache.spec
    facts = {
        "backbone": spec.backbone,
        "weights": spec.weights,
        "weights’ SHA-256": spec.weights_sha256 or None,
        "input": f"{spec.size} × {spec.size}" if spec.size else None,
        "preprocessing": spec.preprocess or None,
        "resizing": spec.resize or None,
        "arithmetic": spec.precision,
        "data": cache.dataset and cache.dataset.name,
        "data’s SHA-256": cache.dataset and cache.dataset.sha256,
        "cache’s key": cache.key,
        "cache’s file": cache.path or None,
    }
    return _card(record.base_features, facts)


def _run(run: Run) -> Markup:
    record = run.record
    known = msgspec.structs.asdict(record.seconds)
    clocks = ", ".join(f"{name} {seconds(value)} s" for name, value in known.items())
    software = ", ".join(f"{name} {text}" for name, text in record.software.items())
    head = record.head
    facts = {
        "head": head.title or head.name,
        "features": f"{'+'.join(head.layers)} {head.features}".strip(),
        "views": ", ".join(head.views) or None,
        "settings": _params(head.params),
        "chosen on validation": _params(_plain(head.chosen)),
        "images the weights have learnt from": _learnt(record),
        "clocks": clocks,
        "made": record.created,
        "software": software or None,
    }
    command = tag("pre", tag("code", record.command), tabindex=0) if record.command else None
    return _card(record.id, facts, command)


def _learnt(record: RunRecord) -> str | None:
    """How many of the rows the weights have learnt from; None where they have from no such data."""
    if record.provenance_unknown:
        return "provenance unknown"
    found = record.data.provenance
    if found is None or found.exact is None:
        return None
    copies = "copies not looked for" if found.copies is None else f"{found.copies:,} copies"
    return f"{found.exact:,} exact, {copies}, of {record.data.rows:,}"


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
