"""What features have learnt from, and whether images are FER2013's."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import get_backbone, resolve_weights
from fer_features.backbones.learnt import by_label, learnt_from
from fer_features.backbones.weights_file import WeightsFile, write_weights
from fer_features.config import ExtractConfig, FeatureSpec
from fer_features.data import open_faces, read_all
from fer_features.data.fer2013 import is_fer2013
from fer_features.extract.plan import plan_extraction

PROVENANCE: dict[str, Any] = {
    "data": {"name": "faces.csv", "split": "usage", "train": 1234},
    "identity": {"ferplus": True},
}


def weights_file(path: Path, provenance: dict[str, Any]) -> Path:
    write_weights(path, WeightsFile({}, {}, np.empty(0, np.uint64), provenance))
    return path


def test_weights_of_fer_pretrain_record_what_they_have_learnt_from(tmp_path: Path) -> None:
    fernet = get_backbone("fernet")
    path = weights_file(tmp_path / "mine.h5", PROVENANCE)
    found = learnt_from(resolve_weights(str(path), fernet))
    assert found == "faces.csv, Training: 1,234 labels and FER+ votes"
    odd = {**PROVENANCE, "data": {"name": "a\n\x1b[31mb" + 200 * "c", "split": "x", "train": 5}}
    found = learnt_from(resolve_weights(str(weights_file(tmp_path / "odd.h5", odd)), fernet))
    assert found.isprintable()
    assert len(found) < 100
    empty = weights_file(tmp_path / "empty.h5", {})
    assert learnt_from(resolve_weights(str(empty), fernet)) == "unknown (empty.h5)"
    assert "27,368 labels" in learnt_from(resolve_weights("shipped", fernet))


def test_of_weights_without_provenance_only_their_kind_is_known(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "keras.h5", "w") as file:  # not of fer pretrain
        file["kernel"] = [1.0]
    network = get_backbone("inception_resnet_v2")
    assert learnt_from(resolve_weights(str(tmp_path / "keras.h5"), network)) == "unknown (keras.h5)"
    assert learnt_from(resolve_weights("imagenet", network)) == "ImageNet: 1,281,167 labels"
    assert learnt_from(resolve_weights("random:3", network)) == "nothing (random weights)"
    assert learnt_from(resolve_weights(None, get_backbone("hog"))) == "nothing (descriptor)"
    assert by_label("shipped") == "unknown (shipped)"


def test_the_cache_records_it_and_is_the_same_cache_all_the_same(tmp_path: Path) -> None:
    plan = plan_extraction(ExtractConfig(backbone="hog", cache_dir=tmp_path))
    assert plan.header.spec["learnt_from"] == "nothing (descriptor)"
    old = FeatureSpec("hog", "none", "ab", 48, "raw")
    assert old.identity == FeatureSpec("hog", "none", "ab", 48, "raw", learnt_from="x").identity


def hashes(keys: NDArray[np.uint64]) -> NDArray[np.bytes_]:
    """Hexadecimal SHA-256 values that begin with these keys."""
    return np.array([f"{key:016x}".ljust(64, "0") for key in keys.tolist()], "S64")


def test_images_are_fer2013_if_half_of_those_compared_are() -> None:
    known = np.load(files("fer_features.data") / "fer2013_keys.npy")
    others = np.arange(1, 1001, dtype=np.uint64)  # below the sketch's largest, and not in it
    assert not np.isin(others, known).any()
    assert is_fer2013(hashes(known))
    assert is_fer2013(hashes(np.concatenate([known[:10], others[:10]])))
    assert not is_fer2013(hashes(np.concatenate([known[:10], others[:11]])))
    far = np.arange(100, dtype=np.uint64) + np.uint64(2**63)  # says nothing either way
    assert is_fer2013(hashes(np.concatenate([known[:5], far])))
    assert not is_fer2013(hashes(np.concatenate([known[:4], far])))
    assert not is_fer2013(hashes(far))
    assert not is_fer2013(np.repeat(hashes(known[:4]), 2))  # copies count once


def test_the_drawn_sample_is_not_fer2013() -> None:
    source = open_faces("sample")
    assert not is_fer2013(read_all(source, source.index().row).sha256)
