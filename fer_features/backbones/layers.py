"""The layers of a backbone that can be kept, and their shapes."""

from __future__ import annotations

from fer_features.backbones.backbone import Backbone
from fer_features.runtime.keras_runtime import keras_settings


def layer_shapes(backbone: Backbone, *, size: int | None = None) -> dict[str, tuple[int, ...]]:
    """Shape (h, w, C) of each layer's output for one image, in the network's order.

    Builds the network, without its weights, which takes seconds.

    Args:
        backbone: the network.
        size: height and width that images are resized to; None for the backbone's own.

    Raises:
        FerError: the size is too small for the network.
    """
    size = size or backbone.default_size
    backbone.check_size(size)
    if backbone.descriptors is not None:
        return {name: recipe.shape(size) for name, recipe in backbone.descriptors.items()}
    with keras_settings():
        network = backbone.build(size)
    return {name: tuple(network.get_layer(name).output.shape[1:]) for name in backbone.layers}
