"""The list of all backbones."""

from __future__ import annotations

from typing import NamedTuple

from fer_features.backbones.registry import BACKBONES
from fer_features.backbones.sources import PublishedFile, WheelFile
from fer_features.backbones.weights import keras_path


class BackboneInfo(NamedTuple):
    """One entry of `list_backbones`.

    Attributes:
        summary: one line on what it is.
        default_layer: the layer that is extracted if none is named.
        weights: the values of `weights` that can be used here, the default first, and where each
            comes from; empty for descriptors.
    """

    summary: str
    default_layer: str
    weights: dict[str, str]


def list_backbones() -> dict[str, BackboneInfo]:
    """All backbones by name, without importing Keras."""
    found = {}
    for name, backbone in BACKBONES.items():
        weights = {}
        if backbone.imagenet is not None:
            weights["imagenet"] = _imagenet(backbone.imagenet)
        if backbone.shipped is not None:
            weights["shipped"] = "part of this package"
        if backbone.descriptors is None:
            weights |= {"random:SEED": "untrained", "FILE": "a .h5, .weights.h5 or .keras file"}
        found[name] = BackboneInfo(backbone.summary, backbone.default_layer, weights)
    return found


def _imagenet(file: PublishedFile | WheelFile) -> str:
    if isinstance(file, WheelFile):
        return "installed" if file.is_installed else f"installed by {file.install_command}"
    if keras_path(file).is_file():
        return "downloaded already"
    return f"download of {file.size / 1e6:.0f} MB" if file.size else "download"
