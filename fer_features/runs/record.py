"""The run record, ``run.json`` of format 2."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from fer_features.metrics.scores import Count, Scores
from fer_features.runs import schema
from fer_features.runtime.text import counted, is_printable

FORMAT_VERSION = 2

LONGEST_TEXT = 4096
"""Characters of any text in a record; the command and the cache's path are the longest."""

LARGEST = 1e18
"""No number in a record is larger; Python's own integers have no bound."""

DEEPEST = 12
"""How deeply objects and lists may be nested."""

IMAGENET = "ImageNet: 1,281,167 labels"
RANDOM, SEEN, UNKNOWN = "RANDOM WEIGHTS", "SEEN IMAGES", "PROVENANCE UNKNOWN"

_LEARNT_FROM = {
    "none": "nothing (descriptor)",
    "random": "nothing (random weights)",
    "imagenet": IMAGENET,
}
"""By the weights' label, for caches that do not record it."""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All that ``run.json`` holds."""

    format_version: int = FORMAT_VERSION
    id: schema.Name
    created: str
    cache: schema.CacheRecord
    data: schema.Data
    task: schema.Task
    split: schema.Split
    head: schema.HeadRecord
    seed: Count
    validation: Scores
    test: Scores
    intervals: dict[str, tuple[float, float] | None]
    leak: schema.Leak | None = None
    calibration: schema.Calibration | None = None
    operate: schema.Operate | None = None
    cv: schema.CrossValidation | None = None
    sizes: Annotated[list[schema.Size], Meta(min_length=1)] | None = None
    history: dict[str, Annotated[list[float], Meta(min_length=1)]] | None = None
    seconds: schema.Seconds
    predicted_rows: Count = 0
    command: str = ""
    software: dict[str, str] = {}
    files: dict[str, schema.FileName] = {}

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        for part in (self.validation, self.test):
            if len(part.classes) != len(self.task.classes):
                raise ValueError("scores of other classes than the task's")
        if self.history is not None:
            lengths = {len(values) for values in self.history.values()}
            if not {"loss", "val_loss"} <= set(self.history) or len(lengths) != 1:
                raise ValueError("learning curves that miss a loss or differ in length")
        rows = [one.rows for one in self.sizes or ()]
        if rows != sorted(rows):
            raise ValueError("a learning curve whose rows do not ascend")

    @property
    def is_random(self) -> bool:
        """Whether the features come from random weights."""
        return self.cache.spec.weights.startswith("random:")

    @property
    def base_features(self) -> str:
        """The backbone and its weights, if it has any."""
        spec = self.cache.spec
        return spec.backbone if spec.weights == "none" else f"{spec.backbone} {spec.weights}"

    @property
    def learnt_from(self) -> str:
        """What the backbone has learnt from, and from how many labels."""
        spec = self.cache.spec
        kind = spec.weights.partition(":")[0]
        return spec.learnt_from or _LEARNT_FROM.get(kind, f"unknown ({spec.weights})")

    def features(self, *, layers: bool = True, precision: bool = False) -> str:
        """The features that the head was fitted on, in a few words."""
        head = self.head
        words = [self.base_features]
        words += ["+".join(head.layers)] if layers else []
        words += [head.features] if layers and head.features == "grid3" else []
        words += [self.cache.spec.precision] if precision else []
        words += [*head.views, *(["rows"] if head.combine == "rows" else [])]
        return " ".join(words)

    @property
    def only_member(self) -> str | None:
        """The member of an ensemble that has chosen a single one."""
        members = self.head.chosen.get("members")
        return str(members[0]) if isinstance(members, list) and len(members) == 1 else None

    @property
    def data_title(self) -> str:
        """Task, images, labels, and the rows that were left out."""
        data = self.data
        labels = "" if data.labels == "original" else f", labels {data.labels}"
        gone = ", ".join(f"{n:,} {name}" for name, n in data.dropped.items())
        without = f" (without {gone})" if gone else ""
        return f"{self.task.name}: {counted(data.rows, 'image')} of {data.name}{labels}{without}"

    @property
    def seen_parts(self) -> dict[str, int]:
        """By part, how many of the scored images the weights have learnt from, if any.

        A cross-validation scores training images too.
        """
        seen = self.data.seen or {}
        parts = ("train", "validation", "test") if self.cv else ("validation", "test")
        return {part: seen[part] for part in parts if seen.get(part)}

    @property
    def scored_seen(self) -> int:
        """How many of the scored images the weights have learnt from."""
        return sum(self.seen_parts.values())

    @property
    def provenance_unknown(self) -> bool:
        """Whether the weights may have learnt from the scored images without a record of it.

        Runs of older versions do not record it: there, weights of this package count as known.
        """
        if self.data.provenance is not None:
            return self.data.provenance.state == "unknown"
        weights = self.cache.spec.weights
        known = has_known_weights(weights) or weights == "shipped"
        return not (known or any((self.data.seen or {}).values()))

    @property
    def marks(self) -> list[str]:
        """Warnings that belong beside the scores, in capitals."""
        found = {
            RANDOM: self.is_random,
            SEEN: bool(self.scored_seen),
            UNKNOWN: self.provenance_unknown,
        }
        return [mark for mark, applies in found.items() if applies]


def has_known_weights(weights: str) -> bool:
    """Whether weights of that name cannot have learnt from labelled faces."""
    return weights in ("none", "imagenet") or weights.startswith("random:")


def encode_record(record: RunRecord) -> str:
    """The text of ``run.json``.

    Raises:
        ValueError: a number is NaN or infinite, which JSON lacks.
    """
    return json.dumps(msgspec.to_builtins(record), indent=2, allow_nan=False) + "\n"


def decode_record(raw: Any) -> RunRecord:
    """Check a parsed ``run.json``, which anyone may have written.

    Raises:
        ValueError: what is wrong with it, and where.
    """
    check_values(raw)
    try:
        return msgspec.convert(raw, RunRecord)
    except msgspec.ValidationError as error:  # a ValueError in newer versions of msgspec only
        raise ValueError(str(error)) from error


def check_values(record: Any) -> None:
    """Refuse texts and numbers, anywhere in the record, that no run has."""
    waiting = [(record, "the record", 0)]
    while waiting:
        value, at, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        match value:
            case dict():
                waiting += [(one, f"{at}.{key}", depth + 1) for key, one in value.items()]
                waiting += [(key, f"a key of {at}", depth) for key in value]  # checked first
            case list():
                waiting += [(one, at, depth + 1) for one in value]
            case str() if len(value) > LONGEST_TEXT or not is_printable(value):
                raise ValueError(f"{at} is no printable line of {LONGEST_TEXT:,} characters")
            case int() | float() if not abs(value) < LARGEST:  # not even NaN
                raise ValueError(f"{at} is no number that a run can have")
