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
    [0.0557, 0.0000, 0.2371, 0.0197, 0.0882, 0.3375, 0.0447, 0.2696],
    [0.2239, 0.0195, 0.0000, 0.0000, 0.0613, 0.0022, 0.1052, 0.1794],
    [0.1172, 0.0210, 0.4734, 0.4173, 0.0251, 0.1878, 0.1768, 0.1065],
    [0.0509, 0.0819, 0.0000, 0.0089, 0.2365, 0.0148, 0.0566, 0.1307],
    [0.0573, 0.0178, 0.5340, 0.0444, 0.0018, 0.5476, 0.0066, 0.2940],
    [0.0168, 0.0209, 0.1619, 0.0206, 0.3949, 0.2765, 0.0318, 0.0894],
    [0.0045, 0.0632, 0.5919, 0.4288, 0.0023, 0.3277, 0.0424, 0.2499],
    [0.0362, 0.0029, 0.0453, 0.1028, 0.1724, 0.0912, 0.0476, 0.0612],
]
"""Every 24th of the 192 numbers of block_6 for these faces, in float32."""

KNOWN_PROBABILITIES = [
    [0.0712, 0.0178, 0.2397, 0.0386, 0.2492, 0.1789, 0.2047],
    [0.2520, 0.0149, 0.1517, 0.0231, 0.2769, 0.0242, 0.2571],
    [0.0390, 0.0152, 0.3803, 0.1554, 0.0522, 0.2956, 0.0623],
    [0.1121, 0.0436, 0.0640, 0.0237, 0.1940, 0.0253, 0.5373],
    [0.0321, 0.0178, 0.2035, 0.0390, 0.0472, 0.6345, 0.0259],
    [0.0151, 0.0150, 0.0318, 0.7453, 0.0296, 0.0334, 0.1299],
    [0.0179, 0.0119, 0.5023, 0.0288, 0.0298, 0.3877, 0.0217],
    [0.0577, 0.0186, 0.0474, 0.5586, 0.0814, 0.0510, 0.1853],
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
    assert provenance["command"].startswith("fer train fer2013.csv")
    assert [one["name"] for one in provenance["teachers"]] == ["plain.h5", "wide0.h5"]
    assert "epoch 66" in provenance["note"]  # stopped before the end
    assert provenance["data"]["split"] == "usage"
    assert provenance["data"]["train"] == 25_173
    assert len(content.seen) == provenance["data"]["seen"]
    seen = seen_images(weights)
    assert seen is not None
    assert (np.diff(seen.keys.astype(object)) > 0).all()
    assert seen.signatures is not None
    assert seen.signatures.shape == (24_314, 12)
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
