"""What a backbone's weights have learnt from, and from how many labels: a line for every table."""

from __future__ import annotations

from typing import Any

from fer_features.backbones.weights import Weights
from fer_features.backbones.weights_file import is_weights_file, read_weights

IMAGENET = "ImageNet: 1,281,167 labels"
NOTHING = {"none": "nothing (descriptor)", "random": "nothing (random weights)"}

_LONGEST_NAME = 40


def learnt_from(weights: Weights) -> str:
    """What weights have learnt from, in a few words.

    Files that `fer pretrain` wrote record it; of others it is unknown.

    Raises:
        FerError: the file cannot be read.
    """
    if weights.path is None or not is_weights_file(weights.path):
        return by_label(weights.label)
    try:
        return _of_provenance(read_weights(weights.path).provenance)
    except (KeyError, TypeError, ValueError):  # provenance of another form
        return by_label(weights.label)


def by_label(label: str) -> str:
    """What is known by what a cache calls its weights, without their file."""
    kind = label.partition(":")[0]
    if kind in NOTHING:
        return NOTHING[kind]
    return IMAGENET if label == "imagenet" else f"unknown ({label})"


def _of_provenance(provenance: dict[str, Any]) -> str:
    data = provenance["data"]
    name = "".join(one for one in str(data["name"]) if one.isprintable())[:_LONGEST_NAME]
    part = ", Training" if data["split"] == "usage" else ", a part"
    votes = " and FER+ votes" if provenance["identity"]["ferplus"] else ""
    return f"{name}{part}: {int(data['train']):,} labels{votes}"
