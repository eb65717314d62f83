"""The `Backbone` record."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_features.backbones.applications import layer_outputs
from fer_features.backbones.descriptors import Recipe
from fer_features.backbones.layers import Network
from fer_features.backbones.sources import PublishedFile, WheelFile
from fer_features.errors import FerError
from fer_features.runtime.keras_runtime import keras_settings

PREPROCESSING = ("keras", "raw")
"""``keras``: the network's own `preprocess_input`; ``raw``: grey levels 0 to 255 as they are."""

MAX_SIZE = 1024
"""The largest height and width of images that a network is built for."""


@dataclass(frozen=True)
class Backbone:
    """A frozen feature extractor: a network, or classical descriptors.

    Attributes:
        name: its name for `--backbone`.
        default_size: height and width that images are resized to.
        min_size: the smallest size that the network accepts.
        layers: the layers that can be extracted, in the network's order; empty if they are known
            only when the network is built.
        default_layer: the layer that is extracted if none is named.
        build: makes the Keras model, without pretrained weights, for images (size, size, channels).
        preprocess: maps tensors in [0, 255] to the network's input range.
        summary: one line on what it is.
        imagenet: the file of the weights ``imagenet``, if there is one.
        network: describes the network, if this package does; others only Keras can build.
        default_outputs: what is kept of a layer if nothing else is asked for; what heads on
            vectors are fitted to comes first.
        shipped: the file of the weights ``shipped``, if there is one.
        descriptors: the layers of classical descriptors; None for a network.
        gflop: operations for one image of the default size, in 10⁹; a multiply-add counts as two.
            None if not counted.
        channels: 3 for RGB, 1 for grey levels.
        read_file: reads a local file of another program: arrays by the paths of the network's
            variables, or None if Keras can read it.
    """

    name: str
    default_size: int
    min_size: int
    layers: tuple[str, ...]
    default_layer: str
    build: Callable[[int], Any]
    preprocess: Callable[[Any], Any]
    summary: str = ""
    imagenet: PublishedFile | WheelFile | None = None
    shipped: PublishedFile | None = None
    descriptors: Mapping[str, Recipe] | None = field(default=None, hash=False)
    gflop: float | None = None
    channels: int = 3
    network: Network | None = None
    default_outputs: tuple[str, ...] = ("pooled", "map")
    read_file: Callable[[Path], Mapping[str, Any] | None] | None = None

    @property
    def default_weights(self) -> str:
        """The weights that are used if none are named."""
        if self.descriptors is not None:
            return "none"
        return "imagenet" if self.shipped is None else "shipped"

    def gflop_at(self, size: int) -> float | None:
        """About how many 10⁹ operations one image of that height and width takes.

        Exact at the default size. Elsewhere it is scaled by the area, which ignores what layers
        without padding lose at the edges: more in small images than in large ones.
        """
        return None if self.gflop is None else self.gflop * (size / self.default_size) ** 2

    def check_size(self, size: int) -> None:
        """Raise a `FerError` if the backbone does not take images of that height and width."""
        usual = f"--size {self.default_size} is the usual size of {self.name}"
        if self.descriptors is not None and size != self.default_size:
            raise FerError(
                f"{self.name} is computed at {self.default_size} pixels, not at {size}",
                hint="leave --size out",
            )
        if size < self.min_size:
            raise FerError(
                f"{self.name} needs images of at least {self.min_size} pixels, not {size}",
                hint=usual,
            )
        if size > MAX_SIZE:
            raise FerError(f"{size} pixels are too large: {MAX_SIZE} at most", hint=usual)

    def check_layers(self, names: Collection[str], known: Collection[str]) -> None:
        """Raise a `FerError` if a name is none of the known layers' names."""
        for name in sorted(set(names) - set(known)):
            hint = f"fer data layers {self.name} lists those it has"
            raise FerError(f"{self.name} has no layer {name}", hint=hint)

    def layer_outputs(self, network: Any) -> dict[str, Any]:
        """The outputs (N, h, w, C) of the layers that can be extracted, by name, of `build`."""
        if not self.layers:
            return layer_outputs(network)
        return {name: network.get_layer(name).output for name in self.layers}

    def layer_shapes(self, size: int | None = None) -> dict[str, tuple[int, ...]]:
        """Shape (h, w, C) of each layer's output for one image, in the network's order.

        Builds the network, without its weights, which takes seconds.

        Args:
            size: height and width that images are resized to; None for the default size.

        Raises:
            FerError: the backbone does not take that size.
        """
        size = size or self.default_size
        self.check_size(size)
        if self.descriptors is not None:
            return {name: recipe.shape(size) for name, recipe in self.descriptors.items()}
        with keras_settings():
            outputs = self.layer_outputs(self.build(size))
        return {name: tuple(output.shape[1:]) for name, output in outputs.items()}
