"""What decides a feature's value, and the key of the cache that holds such features."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

LABELS = ("weights", "learnt_from")
"""Fields of `FeatureSpec` that are for people: the values do not depend on them."""


@dataclass(frozen=True)
class FeatureSpec:
    """All settings that change a feature's value, and their names for people.

    Attributes:
        backbone: the backbone's name.
        weights: label of the weights: ``imagenet``, ``random:0``, a file's name.
        weights_sha256: hex SHA-256 of the weights file (of the recipe, if random).
        size: height and width that images are resized to.
        preprocess: ``keras`` or ``raw``.
        resize: interpolation.
        precision: ``float32`` or ``bfloat16``.
        learnt_from: what the weights were trained on, and with how many labels, for people; empty
            in caches of earlier versions.
    """

    backbone: str
    weights: str
    weights_sha256: str
    size: int
    preprocess: str
    resize: str = "bilinear"
    precision: str = "float32"
    learnt_from: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        """The fields that must be equal for features to be equal."""
        return {name: value for name, value in asdict(self).items() if name not in LABELS}


def cache_key(spec: FeatureSpec, dataset_sha256: str) -> str:
    """Sixteen hex digits that identify the features of one spec on one data set."""
    text = json.dumps([spec.identity, dataset_sha256], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
