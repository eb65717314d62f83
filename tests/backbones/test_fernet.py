"""The network that comes with this package, and its weights."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_features.backbones import (
    BACKBONES,
    get_backbone,
    list_backbones,
    resolve_weights,
    seen_images,
)
from fer_features.backbones.weights_file import read_weights
from fer_features.config import ExtractConfig
from fer_features.data import open_faces, read_all
from fer_features.engines import ENGINES, GraphSpec, make_engine
from fer_features.errors import FerError
from fer_features.extract.extract import extract
from fer_features.runtime.hardware import has_openvino
from fer_features.training.predict import model_of, probabilities

FERNET = get_backbone("fernet")
MOST_BYTES = 4_000_000

ROWS = np.arange(0, 600, 75)
"""Faces of the drawn sample, which is the same on every machine."""


KNOWN_FEATURES = [
    [0.0461, 0.4260, 0.0000, 0.0000, 0.0209, 0.1606, 0.1858, 0.0640],
    [0.2284, 0.0548, 0.0002, 0.2561, 0.1869, 0.0000, 0.0444, 0.0350],
    [0.1102, 0.2921, 0.1033, 0.0000, 0.0025, 0.2688, 0.3164, 0.0186],
    [0.0002, 0.2563, 0.0083, 0.2350, 0.3363, 0.1415, 0.0107, 0.2936],
    [0.1929, 0.1521, 0.0039, 0.0109, 0.0000, 0.4013, 0.5992, 0.0069],
    [0.0000, 0.1885, 0.3651, 0.1242, 0.1164, 0.6966, 0.0009, 0.7243],
    [0.1364, 0.3641, 0.0098, 0.0000, 0.0000, 0.5489, 0.4161, 0.0234],
    [0.0000, 0.1820, 0.1793, 0.1593, 0.0147, 0.5431, 0.0158, 0.3691],
]
"""Every 24th of the 192 numbers of block_6 for these faces, in float32."""

KNOWN_PROBABILITIES = [
    [0.0612, 0.0157, 0.3327, 0.0374, 0.1065, 0.2492, 0.1973],
    [0.2305, 0.0198, 0.1361, 0.0130, 0.4505, 0.0188, 0.1312],
    [0.0239, 0.0153, 0.3467, 0.0602, 0.0282, 0.5040, 0.0217],
    [0.0582, 0.0176, 0.0342, 0.0274, 0.0876, 0.0154, 0.7597],
    [0.0226, 0.0251, 0.0874, 0.0290, 0.0193, 0.8065, 0.0101],
    [0.0090, 0.0238, 0.0217, 0.6817, 0.0230, 0.0422, 0.1985],
    [0.0124, 0.0127, 0.1991, 0.0346, 0.0181, 0.7040, 0.0191],
    [0.0281, 0.0160, 0.0367, 0.5706, 0.0438, 0.0340, 0.2707],
]
"""What the classifier in the file says of them, in the order of `EMOTIONS`."""


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return read_all(open_faces("sample"), ROWS).images


def graph(**changes: object) -> GraphSpec:
    spec = GraphSpec(
        backbone=FERNET,
        weights=resolve_weights(None, FERNET),
        size=48,
        preprocess="keras",
        layers=("block_6",),
        outputs=("pooled",),
        image_shape=(48, 48),
    )
    return replace(spec, **changes)  # type: ignore[arg-type]


def features(name: str, images: np.ndarray, graphs: Path, **changes: object) -> np.ndarray:
    engine = make_engine(name, graph(**changes), batch_size=len(images), graphs=graphs)
    try:
        return engine.submit(images).result()["block_6/pooled"]
    finally:
        engine.close()


def test_its_layers_have_these_shapes() -> None:
    assert FERNET.layer_shapes() == {
        "stem": (48, 48, 24),
        "block_1": (24, 24, 48),
        "block_2": (24, 24, 48),
        "block_3": (12, 12, 96),
        "block_4": (12, 12, 96),
        "block_5": (6, 6, 192),
        "block_6": (6, 6, 192),
    }


def test_its_weights_are_small_and_record_their_provenance() -> None:
    weights = resolve_weights(None, FERNET)
    assert (weights.kind, weights.label) == ("shipped", "shipped")
    assert weights.path is not None
    assert weights.path.stat().st_size <= MOST_BYTES
    content = read_weights(weights.path)
    provenance = content.provenance
    assert provenance["command"].startswith("fer pretrain fer2013.csv")
    assert provenance["data"]["split"] == "usage"
    assert provenance["data"]["train"] == 27_368
    assert len(content.seen) == provenance["data"]["seen"]
    seen = seen_images(weights)
    assert seen is not None
    assert (np.diff(seen.keys.astype(object)) > 0).all()
    assert seen.signatures is not None
    assert seen.signatures.shape == (26_366, 12)
    assert set(provenance["scores"]) == {"validation", "test"}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_shipped_file_gives_known_features(
    images: np.ndarray, tmp_path: Path, engine: str
) -> None:
    """Nothing may move them unseen: caches, runs and the model card stand on them."""
    if engine == "openvino" and not has_openvino():
        pytest.skip("OpenVINO is not installed")
    found = features(engine, images, tmp_path)
    np.testing.assert_allclose(found[:, ::24], KNOWN_FEATURES, rtol=1e-3, atol=2e-3)


def test_the_shipped_file_gives_known_classes(images: np.ndarray) -> None:
    content = read_weights(FERNET.shipped.path)  # type: ignore[union-attr]
    predicted = probabilities(model_of(FERNET, content), images, classes=7)
    np.testing.assert_allclose(predicted, KNOWN_PROBABILITIES, atol=2e-3)


def test_a_damaged_file_is_never_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert FERNET.shipped is not None
    content = bytearray(FERNET.shipped.path.read_bytes())
    content[len(content) // 2] ^= 1
    broken = tmp_path / "fernet.h5"
    broken.write_bytes(content)
    other = replace(FERNET.shipped, file_name=str(broken))
    monkeypatch.setitem(BACKBONES, "fernet", replace(FERNET, shipped=other))
    with pytest.raises(FerError, match=re.escape(str(broken))):
        extract(ExtractConfig(backbone="fernet", cache_dir=tmp_path))
    assert not list(tmp_path.glob("*fernet-*.h5"))


def test_the_sample_was_never_seen() -> None:
    seen = seen_images(resolve_weights(None, FERNET))
    assert seen is not None
    faces = read_all(open_faces("sample"))
    assert not seen.marks(faces.images, faces.sha256).any()


def test_backbones_are_listed_without_keras() -> None:
    program = (
        "import sys; from fer_features.backbones import list_backbones; found = list_backbones(); "
        "assert not {'keras', 'tensorflow'} & set(sys.modules); print(*found, found['fernet'])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.split()[: len(BACKBONES)] == list(BACKBONES)
    info = list_backbones()["fernet"]
    assert info.default_layer == "block_6"
    assert next(iter(info.weights)) == "shipped"
    assert list_backbones()["hog"].weights == {}


def test_imagenet_is_listed_with_its_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert "219 MB" in list_backbones()["inception_resnet_v2"].weights["imagenet"]


def test_imagenet_knows_no_fernet() -> None:
    with pytest.raises(FerError, match=r"fernet.*ImageNet"):
        resolve_weights("imagenet", FERNET)
