"""What features have learnt from."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fer_features.backbones import get_backbone, resolve_weights
from fer_features.backbones.weights import by_label, learnt_from
from fer_features.backbones.weights_file import WeightsFile, write_weights
from fer_features.cache import FeatureSpec
from fer_features.config import ExtractConfig
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
    assert "25,173 labels" in learnt_from(resolve_weights("shipped", fernet))


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
