"""What the page says of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fer_features import __version__
from fer_features.serve.limits import Limits


@dataclass(frozen=True)
class ModelFacts:
    """A model in words and numbers.

    Attributes:
        name: the model's name.
        classes: its classes, in order.
        learnt_from: what its weights and its head have learnt from, a sentence each.
        accuracy: test accuracy with its interval and what it was measured on; None if unknown.
        uncertain_below: highest probability below which an answer is called uncertain.
        max_bytes: largest picture file.
        max_pixels: largest picture.
        version: of fer_features.
    """

    name: str
    classes: tuple[str, ...]
    learnt_from: tuple[str, ...]
    accuracy: str | None
    uncertain_below: float | None
    max_bytes: int
    max_pixels: int
    version: str


def facts_of(model: Any, limits: Limits) -> ModelFacts:
    """The facts of a model, and the limits of the server."""
    return ModelFacts(
        name=model.name,
        classes=tuple(model.classes),
        learnt_from=(),
        accuracy=None,
        uncertain_below=model.uncertain_below,
        max_bytes=limits.bytes,
        max_pixels=limits.pixels,
        version=__version__,
    )
