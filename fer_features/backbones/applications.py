"""The networks of `keras.applications`, each with its own size, preprocessing and weights.

``applications.csv`` holds the facts that Keras keeps in its code: the module with a network's
`preprocess_input`, its sizes, and the URL and published hash of its ImageNet weights without the
top. The default layer is the last output of a block at a sixteenth of the image's size.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any, NamedTuple

from fer_features.backbones.sources import PublishedFile
from fer_features.runtime.keras_runtime import import_keras

STORAGE = "https://storage.googleapis.com/"

LAST = "last"
"""The name of the network's last map, whatever Keras calls that layer."""

STD = (0.229, 0.224, 0.225)
"""Deviations of ImageNet's red, green and blue levels from 0 to 1."""

IMAGENET_21K = "ImageNet-21k and ImageNet: about 14,200,000 labels"
LEARNT_MORE = ("convnext_base", "convnext_large", "convnext_xlarge")
"""Networks of which Keras's weights were trained on ImageNet-21k first."""


class Application(NamedTuple):
    """A network of `keras.applications`.

    Attributes:
        name: its name for `--backbone`.
        class_name: the name of the function that makes it.
        module: the module of `keras.applications` with its `preprocess_input`.
        size: height and width of the images that its weights were trained with.
        min_size: the smallest size that it accepts.
        layer: the default layer.
        imagenet: its ImageNet weights.
    """

    name: str
    class_name: str
    module: str
    size: int
    min_size: int
    layer: str
    imagenet: PublishedFile

    def build(self, size: int) -> Any:
        """The Keras model without its top, for images (size, size, 3)."""
        keras = import_keras()
        make = getattr(keras.applications, self.class_name)
        network = make(include_top=False, weights=None, input_shape=(size, size, 3))
        change = CHANGES.get(self.module)
        return keras.models.clone_model(network, call_function=change) if change else network

    def preprocess(self, images: Any) -> Any:
        """Tensors in [0, 255] to the network's input range."""
        return getattr(import_keras().applications, self.module).preprocess_input(images)


def layer_outputs(network: Any) -> dict[str, Any]:
    """The outputs (N, h, w, C) of a network's layers by name, in its order, and its last one.

    Without nested networks, and without layers that Keras names by counting those of a kind that
    the process has made so far (``conv2d_93``): such a name stands for no certain layer.
    """
    found = {}
    for layer in network.layers[1:]:
        counted = re.sub(r"_\d+$", "", layer.name).replace("_", "") == type(layer).__name__.lower()
        if not (counted or hasattr(layer, "layers")) and len(layer.output.shape) == 4:
            found[layer.name] = layer.output
    return found | {LAST: network.output}


def _rescaled(layer: Any, *inputs: Any, **options: Any) -> Any:
    """Call a layer of EfficientNet as with the ImageNet weights.

    Keras adds this division only for ``weights="imagenet"``; in the file, the variance that levels
    are normalised by is their deviation.
    """
    layers, x = import_keras().layers, layer(*inputs, **options)
    if isinstance(layer, layers.Normalization):
        x = layers.Rescaling([s**-0.5 for s in STD])(x)
    return x


def _named_stages(layer: Any, *inputs: Any, **options: Any) -> Any:
    """Call a layer of ConvNeXt, and name the outputs of stages, which are sums without a layer."""
    stage = re.search(r"downsampling_block_(\d)$", layer.name)
    if stage:
        linear = import_keras().layers.Activation("linear", name=f"stage_{stage[1]}")
        inputs = (linear(*inputs),)
    return layer(*inputs, **options)


CHANGES = {"efficientnet": _rescaled, "convnext": _named_stages}
"""How the layers of some modules' networks are called."""


def _read() -> dict[str, Application]:
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: _application(row) for row in csv.DictReader(file)}


def _application(row: dict[str, str]) -> Application:
    published = row["hash"]
    is_sha256 = len(published) == 64
    file = PublishedFile(
        row["file"] or row["url"].rpartition("/")[2],
        sha256=published if is_sha256 else "",
        url=STORAGE + row["url"],
        md5="" if is_sha256 else published,
        learnt_from=IMAGENET_21K if row["name"] in LEARNT_MORE else "",
    )
    sizes = int(row["size"]), int(row["min_size"])
    return Application(row["name"], row["class"], row["module"], *sizes, row["default_layer"], file)


APPLICATIONS = _read()
"""All networks by name."""
