"""Frozen networks and descriptors: input, layers, preprocessing, and where weights come from."""

from fer_features.backbones.backbone import Backbone
from fer_features.backbones.listing import BackboneInfo, list_backbones
from fer_features.backbones.loading import load_weights
from fer_features.backbones.registry import BACKBONES, get_backbone
from fer_features.backbones.weights import (
    Weights,
    fetch_weights,
    learnt_from,
    resolve_weights,
    seen_images,
)

__all__ = [
    "BACKBONES",
    "Backbone",
    "BackboneInfo",
    "Weights",
    "fetch_weights",
    "get_backbone",
    "learnt_from",
    "list_backbones",
    "load_weights",
    "resolve_weights",
    "seen_images",
]
