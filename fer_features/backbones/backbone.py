"""What a backbone is, and the registry of those that can be asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_features.backbones import descriptors as classical
from fer_features.backbones import fernet
from fer_features.backbones.descriptors import Recipe
from fer_features.errors import FerError
from fer_features.runtime.keras_runtime import import_keras

PREPROCESSING = ("keras", "raw")
"""``keras``: the network's own `preprocess_input`; ``raw``: grey levels 0 to 255 as they are."""


MAX_SIZE = 1024
"""The largest height and width of images that a network is built for."""


@dataclass(frozen=True)
class PretrainedFile:
    """A published weights file.

    Attributes:
        file_name: its name in Keras's cache folder.
        url: where Keras Applications downloads it.
        sha256: hex SHA-256 of the file.
        size: its size in bytes.
        terms: the terms it is published under.
    """

    file_name: str
    url: str
    sha256: str
    size: int
    terms: str


@dataclass(frozen=True)
class ShippedFile:
    """A weights file that is part of this package.

    Attributes:
        file_name: its name, beside this module.
        sha256: hex SHA-256 of the file.
    """

    file_name: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(__file__).parent / self.file_name


@dataclass(frozen=True)
class Backbone:
    """What makes features of images and is never trained here: a network, or descriptors.

    Attributes:
        name: what `--backbone` calls it.
        default_size: height and width that images are resized to.
        min_size: the smallest size that the network accepts.
        layers: the layers that can be asked for, in the network's order.
        default_layer: the layer that is taken when none is named.
        build: makes the Keras model, without pretrained weights, for images (size, size, channels).
        preprocess: maps such tensors in [0, 255] to what the network was trained on.
        imagenet: the file behind the weights ``imagenet``; None where there is none.
        shipped: the file behind the weights ``shipped``; None where there is none.
        descriptors: the layers of classical descriptors, which need no network; None for one.
        gflop: operations that one image of the default size takes, in 10⁹; a multiplication with
            its addition is two. None where nobody has counted.
        channels: of the images that go in: 3 for RGB, 1 for grey levels.
    """

    name: str
    default_size: int
    min_size: int
    layers: tuple[str, ...]
    default_layer: str
    build: Callable[[int], Any]
    preprocess: Callable[[Any], Any]
    imagenet: PretrainedFile | None = None
    shipped: ShippedFile | None = None
    descriptors: Mapping[str, Recipe] | None = None
    gflop: float | None = None
    channels: int = 3

    @property
    def default_weights(self) -> str:
        """What weights are taken when none are named."""
        if self.descriptors is not None:
            return "none"
        return "imagenet" if self.shipped is None else "shipped"

    def gflop_at(self, size: int) -> float | None:
        """About how many 10⁹ operations an image of that height and width takes.

        Exact at the default size. Elsewhere it grows with the area, which leaves out what layers
        without padding lose at the edges: more in small images than in large ones.
        """
        return None if self.gflop is None else self.gflop * (size / self.default_size) ** 2

    def check_size(self, size: int) -> None:
        """Make sure that the network takes images of that height and width.

        Raises:
            FerError: it does not.
        """
        if self.descriptors is not None and size != self.default_size:
            raise FerError(
                f"{self.name} is computed at {self.default_size} pixels, not at {size}",
                hint="leave --size out",
            )
        if size < self.min_size:
            raise FerError(
                f"{self.name} needs images of at least {self.min_size} pixels, not {size}",
                hint=f"--size {self.default_size} is its usual size",
            )
        if size > MAX_SIZE:
            raise FerError(
                f"images of {size} pixels are too large: {MAX_SIZE} at most",
                hint=f"--size {self.default_size} is the usual size of {self.name}",
            )


def _build_inception_resnet_v2(size: int) -> Any:
    return import_keras().applications.InceptionResNetV2(
        include_top=False, weights=None, input_shape=(size, size, 3)
    )


def _preprocess_inception_resnet_v2(images: Any) -> Any:
    return import_keras().applications.inception_resnet_v2.preprocess_input(images)


# The outputs of the network's stages, in its order; Keras gives these layers fixed names.
_STAGES = (
    "mixed_5b",
    *(f"block35_{i}_ac" for i in range(1, 11)),
    "mixed_6a",
    *(f"block17_{i}_ac" for i in range(1, 21)),
    "mixed_7a",
    *(f"block8_{i}_ac" for i in range(1, 10)),
    "conv_7b_ac",
)

INCEPTION_RESNET_V2 = Backbone(
    name="inception_resnet_v2",
    default_size=139,
    min_size=75,
    layers=_STAGES,
    default_layer="conv_7b_ac",
    build=_build_inception_resnet_v2,
    preprocess=_preprocess_inception_resnet_v2,
    imagenet=PretrainedFile(
        file_name="inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        url="https://storage.googleapis.com/tensorflow/keras-applications/inception_resnet_v2/"
        "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        sha256="937fb087127afa1d6d09f5eed7e560fc9ef20d3c6583b54653141c922a6dee0f",
        size=219_055_592,
        terms="Apache License 2.0 (Keras Applications, converted from TF-Slim)",
    ),
    # 2·k²·C_in·C_out·h·w over its convolutions at 139 × 139, without the top. The same count gives
    # 0.87 at 75 pixels and 26.3 at 299, where the area alone gives 1.32 and 20.9.
    gflop=4.52,
)
"""Inception-ResNet-v2 (Szegedy et al., 2016, https://arxiv.org/abs/1602.07261)."""


def _no_network(_: Any) -> Any:
    raise FerError("descriptors are no network", hint="fer data layers lists what they are")


def _descriptors(name: str, layers: Mapping[str, Recipe], *, default: str) -> Backbone:
    return Backbone(
        name=name,
        default_size=48,
        min_size=48,
        layers=tuple(layers),
        default_layer=default,
        build=_no_network,
        preprocess=_no_network,
        descriptors=layers,
    )


FERNET = Backbone(
    name="fernet",
    default_size=fernet.SIZE,
    min_size=fernet.SIZE,
    layers=fernet.LAYERS,
    default_layer=fernet.LAYERS[-1],
    build=fernet.build,
    preprocess=fernet.preprocess,
    shipped=ShippedFile(
        "fernet.h5", sha256="f932c8700c5a5a07fb031554090874bb1f291ab40030ad3b378054af1c4a9a35"
    ),
    gflop=0.256,  # counted as above, with the gates
    channels=1,
)
"""A small network of this package's own, whose weights come with it."""

_ALL = (
    INCEPTION_RESNET_V2,
    FERNET,
    _descriptors("hog", classical.HOG, default="hog_8"),
    _descriptors("lbp", classical.LBP, default="lbp_8_r2"),
    _descriptors("pixels", classical.PIXELS, default="pixels"),
)
BACKBONES: dict[str, Backbone] = {one.name: one for one in _ALL}
"""All backbones by name; a new one is one entry here."""


def get_backbone(name: str) -> Backbone:
    """The backbone of that name.

    Raises:
        FerError: there is none.
    """
    if name not in BACKBONES:
        raise FerError(f"no such backbone: {name}", hint=f"known are {', '.join(BACKBONES)}")
    return BACKBONES[name]
