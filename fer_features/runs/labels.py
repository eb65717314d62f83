"""What runs are called, and what makes two of them comparable: read off their ``run.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.weights import by_label
from fer_features.config import SEEN_COPIES, TWINS
from fer_features.errors import FerError
from fer_features.runs.run import Run


def seen_parts(record: dict[str, Any]) -> dict[str, int]:
    """How many of the images that a run has scored its weights have learnt from, part by part.

    Parts with none are left out. A cross-validation scores training images too.
    """
    seen = record["data"].get("seen") or {}
    parts = ("train", "validation", "test") if record.get("cv") else ("validation", "test")
    return {part: seen[part] for part in parts if seen.get(part)}


def scored_seen(record: dict[str, Any]) -> int:
    """How many images a run has scored that its weights have learnt from."""
    return sum(seen_parts(record).values())


def provenance(weights: str, seen: NDArray[np.uint8] | None) -> dict[str, Any]:
    """Whether it is known which images weights have learnt from, as `run.json` holds it.

    It is for weights that have learnt from none of such data (descriptors, random, ImageNet's), and
    for a file with signatures of its images. A file with keys alone must recognise some image.

    Args:
        weights: the weights' name in the cache.
        seen: the marks of the rows (`Seen.marks`); None where the weights say nothing.

    Returns:
        ``state``, ``known`` or ``unknown``; ``exact`` and ``copies``, how many of the rows were
        recognised by their pixels and by a signature, None where that is not looked for.
    """
    exact = copies = None
    if seen is not None:
        exact = int(seen[:, 0].sum())
    if seen is not None and seen.shape[1] > 1:
        copies = int(seen[:, 1].sum())
        exact = int(seen[:, 0].sum()) - copies
    known = _says_itself(weights) or copies is not None or bool(exact)
    return {"state": "known" if known else "unknown", "exact": exact, "copies": copies}


def _says_itself(weights: str) -> bool:
    """Whether a name of weights tells that they cannot have learnt from labelled faces."""
    return weights in ("none", "imagenet") or weights.startswith("random:")


def provenance_unknown(record: dict[str, Any]) -> bool:
    """Whether a run's weights may have learnt from its images, and nobody can say.

    Runs of older versions do not say it: of those, the weights are asked, and those of this
    package are known.
    """
    found = record["data"].get("provenance")
    if found is not None:
        return bool(found["state"] == "unknown")
    weights = str(record["cache"]["spec"]["weights"])
    seen = record["data"].get("seen") or {}
    return not (_says_itself(weights) or weights == "shipped" or any(seen.values()))


UNKNOWN = "PROVENANCE UNKNOWN"


def marks(record: dict[str, Any]) -> list[str]:
    """What a reader must see beside a run's numbers, in capitals."""
    found = {
        "RANDOM WEIGHTS": is_random(record),
        "SEEN IMAGES": bool(scored_seen(record)),
        UNKNOWN: provenance_unknown(record),
    }
    return [mark for mark, there in found.items() if there]


def is_random(record: dict[str, Any]) -> bool:
    """Whether a run's features come from random weights."""
    return str(record["cache"]["spec"]["weights"]).startswith("random:")


def base_features(record: dict[str, Any]) -> str:
    """The backbone and its weights, if it has any."""
    spec = record["cache"]["spec"]
    weights = "" if spec["weights"] == "none" else f" {spec['weights']}"
    return f"{spec['backbone']}{weights}"


def learnt_from(record: dict[str, Any]) -> str:
    """What a run's backbone has learnt from, and from how many labels."""
    spec = record["cache"]["spec"]
    return str(spec.get("learnt_from") or by_label(spec["weights"]))


def features_of(record: dict[str, Any], *, layers: bool = True, precision: bool = False) -> str:
    """What a head was fitted on, in a few words."""
    words = [base_features(record)]
    words += ["+".join(record["head"]["layers"])] if layers else []
    words += [str(record["cache"]["spec"]["precision"])] if precision else []
    words += record["head"]["views"]
    return " ".join(words)


def feature_labels(records: Sequence[dict[str, Any]]) -> list[str]:
    """What each run's head was fitted on, no longer than it takes to tell them apart."""
    layers: dict[str, set[str]] = {}
    precisions: dict[str, set[str]] = {}
    for record in records:
        base = base_features(record)
        layers.setdefault(base, set()).add("+".join(record["head"]["layers"]))
        precisions.setdefault(base, set()).add(record["cache"]["spec"]["precision"])
    return [
        features_of(
            record,
            layers=len(layers[base_features(record)]) > 1,
            precision=len(precisions[base_features(record)]) > 1,
        )
        for record in records
    ]


def subject(record: dict[str, Any]) -> str:
    """What a run is about: task, images, labels, and what was left out."""
    data = record["data"]
    labels = "" if data["labels"] == "original" else f", labels {data['labels']}"
    gone = ", ".join(f"{n:,} {name}" for name, n in data["dropped"].items())
    return (
        f"{record['task']['name']}: {data['rows']:,} images of {data['name']}{labels}"
        + f" (without {gone})" * bool(gone)
    )


def data_key(record: dict[str, Any]) -> list[Any]:
    """The same for the same images with the same labels."""
    return [record["data"]["digest"], record["task"]]


def family_key(record: dict[str, Any]) -> list[Any]:
    """The same for the same images and labels on the same kind of split, whatever the seed."""
    return [*data_key(record), record["split"]["name"], _left_out(record)]


def _left_out(record: dict[str, Any]) -> list[str]:
    """What a split has left out of its parts."""
    return [name for name in (TWINS, SEEN_COPIES) if name in record["data"]["dropped"]]


def fit_key(record: dict[str, Any]) -> list[Any]:
    """The same for the same head on the same features, whatever the split and the seed."""
    head = record["head"]
    params = {k: v for k, v in head["params"].items() if k not in ("n_jobs", "random_state")}
    method = record["calibration"] and record["calibration"]["method"]
    wish = record["operate"] and [record["operate"]["wish"], record["operate"]["value"]]
    kept = (head["name"], head["layers"], head["views"], params, method, wish)
    return [record["cache"]["key"], *kept, record["data"]["labels"]]


def created(run: Run) -> str:
    """When a run was made; later ones sort behind."""
    return str(run.record["created"])


def group_runs(runs: Iterable[Run], key: Any) -> list[list[Run]]:
    """Runs whose records give the same `key`, as plain JSON types, together.

    Raises:
        FerError: a record lacks what a key is made of.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        try:
            groups.setdefault(json.dumps(key(run.record), sort_keys=True), []).append(run)
        except KeyError as error:
            raise FerError(f"{run.path}: the record of the run lacks {error}") from error
    return list(groups.values())
