"""What the page says of the model."""

from __future__ import annotations

from dataclasses import dataclass

from fer_features import __version__
from fer_features.model.model import Model
from fer_features.model.record import ModelRecord
from fer_features.runtime.text import counted
from fer_features.serve.limits import Limits


@dataclass(frozen=True)
class ModelFacts:
    """A model in words and numbers.

    Attributes:
        name: the model's name.
        classes: its classes, in order.
        learnt_from: what its weights and its head have learnt from, a sentence each.
        accuracy: on the test part, with its interval, a sentence.
        uncertain_below: highest probability below which an answer is called uncertain.
        max_bytes: largest picture file.
        max_pixels: largest picture.
        version: of fer_features.
    """

    name: str
    classes: tuple[str, ...]
    learnt_from: tuple[str, ...]
    accuracy: str
    uncertain_below: float | None
    max_bytes: int
    max_pixels: int
    version: str


def facts_of(model: Model, limits: Limits) -> ModelFacts:
    """The facts of a model, and the limits of the server."""
    return ModelFacts(
        name=model.name,
        classes=tuple(model.classes),
        learnt_from=_learnt_from(model.record),
        accuracy=_accuracy(model.record),
        uncertain_below=model.uncertain_below,
        max_bytes=limits.bytes,
        max_pixels=limits.pixels,
        version=__version__,
    )


def _learnt_from(record: ModelRecord) -> tuple[str, ...]:
    spec, split = record.spec, record.split
    faces = counted(split.train, "face") if split else "faces"
    head = record.head_title or record.head
    return (
        f"Features: {spec.backbone}, which has learnt from "
        f"{spec.learnt_from or 'an unknown source'}.",
        f"Classifier: {head[0].lower()}{head[1:]}, fitted to {faces} of {record.data.name}.",
        *(f"{mark}." for mark in record.marks),
    )


def _accuracy(record: ModelRecord) -> str:
    interval, between = record.intervals.get("accuracy"), ""
    if interval:
        between = f" (95 % interval {_percent(interval[0])} to {_percent(interval[1])})"
    return (
        f"It is right for {_percent(record.test.accuracy)} of {counted(record.test.n, 'test face')}"
        f"{between}; on pictures of another kind it may be right less often."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
