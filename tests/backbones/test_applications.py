"""The networks of `keras.applications`: their facts, their input's range, their weights."""

import hashlib
import inspect
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from legacy_weights import save_legacy

from fer_features.backbones import (
    Backbone,
    get_backbone,
    learnt_from,
    list_backbones,
    load_weights,
    resolve_weights,
)
from fer_features.backbones.applications import APPLICATIONS, STD, layer_outputs
from fer_features.backbones.weights import fetch_weights
from fer_features.engines import ENGINES, GraphSpec, make_engine
from fer_features.errors import FerError
from fer_features.runtime.hardware import has_openvino
from fer_features.runtime.keras_runtime import import_keras

QUICK = ("resnet50", "inception_v3", "vgg16", "mobilenet_v2", "efficientnet_b0", "convnext_tiny")
EACH = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in APPLICATIONS
]

TO_ONE = [[-1, -1, -1], [0, 0, 0], [1, 1, 1]]
BGR = [[-103.939, -116.779, -123.68], [23.561, 10.721, 3.82], [151.061, 138.221, 131.32]]
STANDARDIZED = [[-2.1179, -2.0357, -1.8044], [0.0655, 0.1964, 0.4178], [2.2489, 2.4286, 2.6400]]

RANGES = {
    "resnet": BGR,
    "vgg16": BGR,
    "vgg19": BGR,
    "resnet_v2": TO_ONE,
    "inception_v3": TO_ONE,
    "xception": TO_ONE,
    "mobilenet": TO_ONE,
    "mobilenet_v2": TO_ONE,
    "mobilenet_v3": TO_ONE,
    "nasnet": TO_ONE,
    "densenet": STANDARDIZED,
    "efficientnet": STANDARDIZED,
    "convnext": STANDARDIZED,
}
"""What a black, a grey and a white image (0, 127.5, 255) are to a network's first convolution."""

TO_128 = [[-1, -1, -1], [-0.0039, -0.0039, -0.0039], [0.9922, 0.9922, 0.9922]]


def expected_range(name: str) -> list[list[float]]:
    if name.startswith("efficientnet_v2"):
        return STANDARDIZED if name[-2] == "b" else TO_128
    return RANGES[APPLICATIONS[name].module]


def first_convolution(network: Any) -> Any:
    keras = import_keras()
    for layer in network.layers:
        inner = getattr(layer, "layers", [layer])  # ConvNeXt's stem is a network in the network
        if any(isinstance(one, keras.layers.Conv2D) for one in inner):
            return network.get_layer(layer.name)._inbound_nodes[-1].input_tensors[0]
    raise AssertionError


@pytest.fixture(autouse=True)
def _release() -> Iterator[None]:
    """Networks of up to 350 million weights are not kept until the last test."""
    yield
    import_keras().utils.clear_session()


@pytest.mark.parametrize("name", EACH)
def test_layers_and_random_weights(name: str) -> None:
    application = APPLICATIONS[name]
    network = application.build(application.size)
    shapes = {one: output.shape[1:] for one, output in layer_outputs(network).items()}
    steps = application.size / shapes[application.layer][0]
    assert 15 < steps < 19  # a sixteenth; without padding, a little less is left
    assert application.size / shapes["last"][0] > 1.5 * steps
    kernels = [weight for weight in network.weights if weight.name.endswith("kernel")]
    for weight in network.weights:
        if not any(weight is kernel for kernel in kernels):
            assert np.ptp(np.asarray(weight)) == 0, f"{weight.path} would differ in every process"


@pytest.mark.parametrize("name", EACH)
def test_the_range_of_the_first_convolution(name: str) -> None:
    """Wrong preprocessing is the classic fault; in part it stands in the network itself."""
    backbone, keras = get_backbone(name), import_keras()
    network = backbone.build(backbone.min_size)
    for layer in network.layers:  # the imagenet file's numbers, which are weights here
        if name.startswith("efficientnet_b") and isinstance(layer, keras.layers.Normalization):
            layer.set_weights([np.float32([0.485, 0.456, 0.406]), np.float32(STD), np.int32(0)])
            layer.finalize_state()
    size = backbone.min_size
    images = np.full((3, size, size, 3), [[[[0.0]]], [[[127.5]]], [[[255.0]]]], np.float32)
    front = keras.Model(network.input, first_convolution(network))
    found = np.asarray(front(np.asarray(backbone.preprocess(keras.ops.convert_to_tensor(images)))))
    middle = found.shape[1] // 2
    np.testing.assert_allclose(found[:, middle, middle], expected_range(name), atol=1e-3)


@pytest.mark.parametrize("name", EACH)
def test_what_keras_downloads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """File name, URL and hash in the table are those of the installed Keras."""
    application = APPLICATIONS[name]
    make = getattr(import_keras().applications, application.class_name)
    asked: dict[str, Any] = {}

    class Asked(Exception):  # noqa: N818  no error
        pass

    def get_file(
        file_name: str, url: str, *, cache_subdir: str, file_hash: str | None = None
    ) -> None:
        asked.update(file_name=file_name, url=url, cache_subdir=cache_subdir, file_hash=file_hash)
        raise Asked

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    with pytest.raises(Asked):
        make(include_top=False, weights="imagenet", input_shape=(application.size,) * 2 + (3,))
    file = application.imagenet
    assert asked == {
        "file_name": file.file_name,
        "url": file.url,
        "cache_subdir": "models",
        "file_hash": file.sha256 or file.md5 or None,
    }
    smaller = application.min_size - 1
    with pytest.raises(ValueError, match=f"at least {application.min_size}"):
        make(include_top=False, weights=None, input_shape=(smaller, smaller, 3))


def test_every_network_for_pictures_has_an_entry() -> None:
    applications = import_keras().applications
    made = {name for name, one in vars(applications).items() if inspect.isfunction(one)}
    assert made == {one.class_name for one in APPLICATIONS.values()} | {"InceptionResNetV2"}


def graph(backbone: Backbone, weights: str, **changes: Any) -> GraphSpec:
    spec = GraphSpec(
        backbone=backbone,
        weights=resolve_weights(weights, backbone),
        size=backbone.min_size,
        preprocess="keras",
        layers=(backbone.default_layer, "last"),
        outputs=("pooled",),
        image_shape=(48, 48),
    )
    return replace(spec, **changes)


def features(
    engine: str, spec: GraphSpec, images: np.ndarray, graphs: Path
) -> dict[str, np.ndarray]:
    made = make_engine(engine, spec, batch_size=len(images), graphs=graphs)
    try:
        return made.submit(images).result()
    finally:
        made.close()


@pytest.mark.parametrize(
    "name",
    [
        "xception",
        *(pytest.param(n, marks=pytest.mark.long) for n in ("efficientnet_b0", "convnext_tiny")),
    ],
)
def test_random_weights_and_engines_agree(
    name: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Two processes, backends or engines get the same numbers, from separable layers too."""
    images = rng.integers(0, 256, (2, 48, 48), np.uint8)
    spec = graph(get_backbone(name), "random:0")
    first = features("keras", spec, images, tmp_path)
    engines = [one for one in ENGINES if one != "openvino" or has_openvino()]
    for engine in engines:
        again = features(engine, spec, images, tmp_path)
        for layer, array in first.items():
            np.testing.assert_allclose(
                again[layer], array, rtol=1e-3, atol=1e-3 * np.abs(array).max()
            )


def test_a_layer_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A counted name such as conv2d_93 stands for no certain layer."""
    for layer in ("conv2d_93", "predictions"):
        spec = graph(get_backbone("inception_v3"), "random:0", layers=(layer,))
        with pytest.raises(FerError, match=f"inception_v3 has no layer {layer}") as caught:
            make_engine("keras", spec, graphs=tmp_path)
        assert caught.value.hint == "fer data layers inception_v3 lists those it has"


def test_layers_of_inception_v3() -> None:
    shapes = get_backbone("inception_v3").layer_shapes()
    assert not [name for name in shapes if name.startswith(("conv2d", "batch", "activation"))]
    assert {name: shapes[name] for name in ("mixed7", "mixed10", "last")} == {
        "mixed7": (17, 17, 768),
        "mixed10": (8, 8, 2048),
        "last": (8, 8, 2048),
    }


def test_what_imagenet_weights_are() -> None:
    names = ("resnet50", "mobilenet", "convnext_base")
    resnet, mobilenet, convnext = (resolve_weights(None, get_backbone(name)) for name in names)
    text = b"keras.applications resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5 "
    text += b"md5=4d473c1dd8becc155b73f8504c6f6626"
    assert resnet.sha256 == hashlib.sha256(text).hexdigest()
    assert convnext.sha256 == APPLICATIONS["convnext_base"].imagenet.sha256
    assert mobilenet.sha256 not in (resnet.sha256, convnext.sha256)
    assert learnt_from(resnet) == "ImageNet: 1,281,167 labels"
    assert "ImageNet-21k" in learnt_from(convnext)


def test_backbones_are_listed_with_their_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert list_backbones()["vgg16"].weights["imagenet"] == "download"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / APPLICATIONS["vgg16"].imagenet.file_name).touch()
    assert list_backbones()["vgg16"].weights["imagenet"] == "downloaded already"
    assert list_backbones()["efficientnet_lite0"].weights["imagenet"] == "installed"


@pytest.fixture(scope="module")
def efficientnet() -> Any:
    """EfficientNet-B0 with random numbers in all its arrays."""
    network, rng = get_backbone("efficientnet_b0").build(32), np.random.default_rng(0)
    network.set_weights([rng.random(one.shape, np.float32) for one in network.weights])
    return network


@pytest.mark.parametrize("name", ["imagenet", "mine.weights.h5", "mine.keras"])
def test_a_file_of_every_kind_is_loaded(
    efficientnet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With the numbers that levels are normalised by, which are computed from weights."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    backbone, published = get_backbone("efficientnet_b0"), APPLICATIONS["efficientnet_b0"].imagenet
    path = tmp_path / (f"models/{published.file_name}" if name == "imagenet" else name)
    path.parent.mkdir(exist_ok=True)
    if name == "imagenet":
        save_legacy(efficientnet, path)
        md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        backbone = replace(backbone, imagenet=replace(published, md5=md5))
    else:
        efficientnet.save(path) if name.endswith(".keras") else efficientnet.save_weights(path)
    weights = resolve_weights(name if name == "imagenet" else str(path), backbone)
    assert fetch_weights(weights, backbone) == path
    loaded = backbone.build(32)
    load_weights(loaded, weights, backbone, path)
    for one, other in zip(loaded.weights, efficientnet.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    levels, mean = loaded.layers[2], efficientnet.get_weights()[0]
    np.testing.assert_array_equal(np.ravel(levels.mean), mean)


def test_a_failed_download_says_what_to_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a file of that name has another hash than Keras's."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    backbone = get_backbone("resnet50")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / APPLICATIONS["resnet50"].imagenet.file_name).write_bytes(b"other")
    url = (tmp_path / "none.h5").as_uri()
    here = replace(backbone, imagenet=replace(APPLICATIONS["resnet50"].imagenet, url=url))
    with pytest.raises(FerError, match="ImageNet weights are not in") as caught:
        fetch_weights(resolve_weights("imagenet", here), here)
    assert f"fetch {url} (MD5 4d473c1dd8becc155b73f8504c6f6626) elsewhere" in caught.value.hint
