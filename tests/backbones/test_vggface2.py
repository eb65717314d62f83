"""ResNet-50 for VGGFace2, by a file in the layout of keras-vggface."""

from pathlib import Path

import numpy as np
import pytest
from legacy_weights import write_legacy
from numpy.typing import NDArray

from fer_features.backbones import get_backbone, load_weights, resolve_weights
from fer_features.backbones.vggface2 import STAGES, preprocess
from fer_features.engines import GraphSpec
from fer_features.engines.graph import build_graph
from fer_features.errors import FerError
from fer_features.runtime.keras_runtime import import_keras

BACKBONE = get_backbone("resnet50_vggface2")
Layers = dict[str, dict[str, NDArray[np.float32]]]


def convolutions() -> list[tuple[str, int, int, int]]:
    """Name, kernel size, and channels before and after of each, as keras-vggface names them."""
    found, channels = [("conv1/7x7_s2", 7, 3, 64)], 64
    for stage, (blocks, filters) in enumerate(STAGES, start=2):
        for block in range(1, blocks + 1):
            name = f"conv{stage}_{block}"
            if block == 1:
                found.append((f"{name}_1x1_proj", 1, channels, 4 * filters))
            found.append((f"{name}_1x1_reduce", 1, channels, filters))
            found.append((f"{name}_3x3", 3, filters, filters))
            found.append((f"{name}_1x1_increase", 1, filters, 4 * filters))
            channels = 4 * filters
    return found


@pytest.fixture(scope="module")
def layers() -> Layers:
    """Random weights that keep the activations' size."""
    rng = np.random.default_rng(0)
    found: Layers = {"input_1": {}}
    for name, size, channels, filters in convolutions():
        kernel = rng.normal(0, (2 / (size**2 * channels)) ** 0.5, (size, size, channels, filters))
        found[name] = {f"{name}/kernel:0": kernel.astype(np.float32)}
        found[f"{name}/bn"] = {
            f"{name}/bn/{variable}:0": rng.uniform(*between, filters).astype(np.float32)
            for variable, between in {
                "gamma": (0.1, 0.3),
                "beta": (-0.1, 0.1),
                "moving_mean": (-0.1, 0.1),
                "moving_variance": (0.01, 0.5),  # where an epsilon of 1e-3 counts
            }.items()
        }
    return found


@pytest.fixture(scope="module")
def file(layers: Layers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "rcmalli_vggface_tf_notop_resnet50.h5"
    write_legacy(path, layers)
    return path


def normalized(x: NDArray[np.float64], name: str, layers: Layers) -> NDArray[np.float64]:
    gamma, beta, mean, variance = layers[f"{name}/bn"].values()
    return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta


def convolved(
    x: NDArray[np.float64], name: str, layers: Layers, stride: int = 1
) -> NDArray[np.float64]:
    """A convolution (h, w, C) padded as TensorFlow's ``same``, and its normalisation."""
    kernel = layers[name][f"{name}/kernel:0"]
    size, places = len(kernel), -(-len(x) // stride)
    before, after = divmod(max((places - 1) * stride + size - len(x), 0), 2)
    x = np.pad(x, ((before, before + after), (before, before + after), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))
    windows = windows[::stride, ::stride]
    return normalized(np.einsum("xychw,hwco->xyo", windows, kernel), name, layers)


def pooled(x: NDArray[np.float64]) -> NDArray[np.float64]:
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))[::2, ::2]
    return windows.max(axis=(-2, -1))


def block(
    x: NDArray[np.float64], name: str, layers: Layers, stride: int = 1
) -> NDArray[np.float64]:
    y = np.maximum(convolved(x, f"{name}_1x1_reduce", layers, stride), 0)
    y = np.maximum(convolved(y, f"{name}_3x3", layers), 0)
    y = convolved(y, f"{name}_1x1_increase", layers)
    shortcut = f"{name}_1x1_proj"
    return np.maximum(y + (convolved(x, shortcut, layers, stride) if shortcut in layers else x), 0)


def test_channel_order_and_means() -> None:
    """Red, green, blue become blue, green, red, each less its own mean."""
    colours = np.array([[0, 0, 0], [127.5, 127.5, 127.5], [255, 255, 255], [255, 10, 20]])
    found = preprocess(import_keras().ops.convert_to_tensor(colours[:, None, None], "float32"))
    expected = [
        [-91.4953, -103.8827, -131.0912],
        [36.0047, 23.6173, -3.5912],
        [163.5047, 151.1173, 123.9088],
        [20 - 91.4953, 10 - 103.8827, 255 - 131.0912],
    ]
    np.testing.assert_allclose(np.asarray(found)[:, 0, 0], expected, atol=1e-4)


def test_the_file_gives_what_its_layers_give(
    file: Path, layers: Layers, rng: np.random.Generator
) -> None:
    """Bytes to features as in keras-vggface, by NumPy, down to the first block that halves."""
    image = rng.integers(0, 256, (48, 48), np.uint8)
    model = build_graph(
        GraphSpec(
            backbone=BACKBONE,
            weights=resolve_weights(str(file), BACKBONE),
            size=48,
            preprocess="keras",
            layers=("conv1", "conv2_1", "conv2_2", "conv3_1"),
            outputs=("map",),
            image_shape=(48, 48),
        )
    )
    found = {name: np.asarray(one)[0] for name, one in model(image[None]).items()}
    x = image[..., None].astype(np.float64) - [91.4953, 103.8827, 131.0912]
    x = np.maximum(convolved(x, "conv1/7x7_s2", layers, stride=2), 0)
    expected = {"conv1": x}
    x = expected["conv2_1"] = block(pooled(x), "conv2_1", layers)
    x = expected["conv2_2"] = block(x, "conv2_2", layers)
    expected["conv3_1"] = block(block(x, "conv2_3", layers), "conv3_1", layers, stride=2)
    for name, array in expected.items():
        scale = np.abs(array).max()
        np.testing.assert_allclose(found[f"{name}/map"], array, atol=2e-3 * scale, err_msg=name)


def test_shapes_are_those_of_the_published_network() -> None:
    shapes = BACKBONE.layer_shapes()
    assert len(shapes) == 17
    assert shapes["conv1"] == (112, 112, 64)
    assert shapes["conv2_3"] == (55, 55, 256)  # its pooling leaves the last row out
    assert shapes["conv4_6"] == (14, 14, 1024)
    assert shapes["conv5_3"] == (7, 7, 2048)


def test_a_file_with_its_classifier_and_in_another_order(layers: Layers, tmp_path: Path) -> None:
    """Keras 2's order of a block's layers is not Keras 3's; some have the same shapes."""
    top = {"classifier": {"classifier/kernel:0": np.zeros((2048, 8631), np.float32)}}
    path = tmp_path / "whole.h5"
    write_legacy(path, dict(reversed(layers.items())) | top)
    network = BACKBONE.build(32)
    load_weights(network, resolve_weights(str(path), BACKBONE), BACKBONE, path)
    for name in ("conv2_1_1x1_proj", "conv2_1_1x1_increase"):
        loaded = network.get_layer(name).weights[0]
        np.testing.assert_array_equal(loaded, layers[name][f"{name}/kernel:0"])


@pytest.mark.parametrize(
    ("name", "missing", "hint"),
    [
        ("resnet50_vggface2", "conv5_3_3x3", "rcmalli_vggface_tf_notop_resnet50.h5"),
        ("resnet50", None, "--backbone resnet50_vggface2"),
    ],
)
def test_a_file_of_another_network_is_an_error(
    layers: Layers, tmp_path: Path, name: str, missing: str | None, hint: str
) -> None:
    path = tmp_path / "other.h5"
    write_legacy(path, {key: value for key, value in layers.items() if key != missing})
    backbone = get_backbone(name)
    with pytest.raises(FerError, match=f"not weights of {name} without its top") as caught:
        load_weights(backbone.build(32), resolve_weights(str(path), backbone), backbone, path)
    assert hint in caught.value.hint


def test_weights_have_to_be_named() -> None:
    with pytest.raises(FerError, match="no ImageNet weights") as caught:
        resolve_weights(None, BACKBONE)
    assert "--weights FILE" in caught.value.hint
