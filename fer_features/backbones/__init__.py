"""Frozen networks: what goes in, which layers come out, where their weights come from."""

from fer_features.backbones.backbone import BACKBONES, Backbone, get_backbone
from fer_features.backbones.weights import (
    Weights,
    fetch_weights,
    load_weights,
    resolve_weights,
    seen_images,
)

__all__ = [
    "BACKBONES",
    "Backbone",
    "Weights",
    "fetch_weights",
    "get_backbone",
    "load_weights",
    "resolve_weights",
    "seen_images",
]
