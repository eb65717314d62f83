"""Shards of real extractions, merged: the same bytes as an extraction in one piece."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fer_features as fer
from fer_features.backbones import Backbone
from fer_features.cache import Cache, latest_cache, list_caches
from fer_features.cache.learnt import all_keys
from fer_features.cache.merge import merge_shards
from fer_features.config import ExtractConfig
from fer_features.data import load_faces
from fer_features.errors import FerError
from fer_features.extract.extract import extract
from fer_features.runtime.hardware import has_openvino

TINY = ExtractConfig(
    backbone="tiny", weights="random:0", engine="keras", precision="float32", per_class=40
)
FERNET = replace(TINY, backbone="fernet", weights=None)
OPENVINO = pytest.mark.skipif(not has_openvino(), reason="OpenVINO is not installed")


def make_shards(config: ExtractConfig, count: int) -> list[Path]:
    """All shards of an extraction."""
    numbers = range(1, count + 1)
    return [extract(replace(config, shard=f"{number}/{count}")).cache for number in numbers]


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> str:
    """90 rows of happy and sad faces, every third image three times: in and across shards."""
    faces = load_faces("sample")
    chosen = np.flatnonzero(np.isin(faces.emotion, (3, 4)))[:60]
    chosen = np.concatenate([chosen[:30], chosen[:30:3], chosen[30:], chosen[:30:3], chosen[:30:3]])
    lines = ["emotion,pixels,Usage"]
    for at in chosen[:90]:
        pixels = " ".join(map(str, faces.images[at].ravel()))
        lines.append(f"{faces.emotion[at]},{pixels},Training")
    path = tmp_path_factory.mktemp("data") / "copies.csv"
    path.write_text("\n".join(lines), encoding="ascii")
    return str(path)


LONG = pytest.mark.long
HOG = ExtractConfig(backbone="hog", per_class="all")


@pytest.mark.parametrize(
    ("config", "data"),
    [
        pytest.param(replace(TINY, engine="openvino"), "copies", marks=OPENVINO),
        pytest.param(replace(FERNET, engine="openvino"), "copies", marks=[OPENVINO, LONG]),
        pytest.param(replace(FERNET, engine="openvino"), "sample", marks=[OPENVINO, LONG]),
        pytest.param(TINY, "copies"),
        pytest.param(TINY, "sample", marks=LONG),
        pytest.param(HOG, "copies", marks=LONG),
        pytest.param(HOG, "sample"),
    ],
    ids=lambda one: one if isinstance(one, str) else f"{one.backbone}-{one.engine}",
)
def test_shards_merged_are_the_extraction_in_one_piece(
    config: ExtractConfig,
    data: str,
    tmp_path: Path,
    tiny: Backbone,
    request: pytest.FixtureRequest,
) -> None:
    source = request.getfixturevalue("copies") if data == "copies" else data
    config = replace(config, data=source, views=("flip",), cache_dir=tmp_path)
    if data == "copies":
        config = replace(config, per_class=None)
    whole = extract(config)
    for count in (1, 2, 3, 7):
        done = merge_shards(make_shards(config, count), tmp_path / f"{count}.h5")
        assert done.rows == whole.rows
        assert done.cache.read_bytes() == whole.cache.read_bytes(), count
    if data == "copies":
        assert whole.computed < 2 * whole.rows


@LONG
def test_with_keras_an_image_differs_in_its_last_bits_at_most(tmp_path: Path) -> None:
    """TensorFlow multiplies the last rows of a batch on a CPU in another order."""
    config = replace(FERNET, outputs=("pooled", "map"), cache_dir=tmp_path)
    whole = extract(config).cache
    done = merge_shards(make_shards(config, 3), tmp_path / "merged.h5")
    with Cache(whole) as one, Cache(done.cache) as other:
        assert one.header == other.header
        assert one.rows.sha256.tolist() == other.rows.sha256.tolist()
        pooled = [cache.read("block_6", "pooled") for cache in (one, other)]
        np.testing.assert_allclose(*pooled, rtol=1e-5, atol=1e-6)
        maps = [cache.read("block_6", "map").astype(float) for cache in (one, other)]
        np.testing.assert_allclose(*maps, rtol=2**-10, atol=1e-6)


def test_after_a_merge_the_extraction_in_one_piece_has_nothing_to_do(
    tmp_path: Path, tiny: Backbone
) -> None:
    config = replace(TINY, cache_dir=tmp_path)
    for number in (1, 2):
        extract(replace(config, shard=f"{number}/2"))
    done = merge_shards([tmp_path])
    after = extract(config)
    assert after.cache == done.cache
    assert (after.reused, after.computed, after.found) == (True, 0, 80)
    assert extract(replace(config, shard="1/2")).reused


def test_a_shard_is_resumed_and_extended_like_a_cache(tmp_path: Path, tiny: Backbone) -> None:
    config = replace(TINY, cache_dir=tmp_path)
    parts = [replace(config, shard=f"{number}/2") for number in (1, 2)]
    for one in parts:
        extract(one)
        assert extract(replace(one, layers=("first",))).computed == 40
    extract(config)
    whole = extract(replace(config, layers=("first",))).cache
    done = merge_shards([tmp_path], tmp_path / "joined.h5")
    assert done.cache.read_bytes() == whole.read_bytes()


def test_a_shard_alone_that_was_extended_is_named(tmp_path: Path, tiny: Backbone) -> None:
    parts = [replace(TINY, cache_dir=tmp_path, shard=f"{number}/2") for number in (1, 2)]
    for one in parts:
        extract(one)
    more = extract(replace(parts[1], layers=("first",))).cache
    with pytest.raises(FerError) as caught:
        merge_shards([tmp_path])
    assert f"{more} is of another extraction: its features" in caught.value.message


def test_a_shard_does_not_become_what_fit_takes(tmp_path: Path, tiny: Backbone) -> None:
    config = replace(TINY, cache_dir=tmp_path)
    whole = extract(config).cache
    shard = extract(replace(config, shard="2/4")).cache
    assert list_caches(tmp_path)[-1] == whole
    assert latest_cache(tmp_path) == whole
    with pytest.raises(FerError, match="is shard 2/4, a part") as caught:
        fer.fit(shard, head="logreg", runs_dir=tmp_path / "runs")
    assert "fer cache merge" in caught.value.hint


def test_from_python_a_shard_is_a_cache_whose_rows_can_be_read(
    tmp_path: Path, tiny: Backbone
) -> None:
    options = {name: getattr(TINY, name) for name in ("backbone", "weights", "engine", "per_class")}
    with fer.extract("sample", shard="3/16", cache_dir=tmp_path, **options) as cache:
        assert str(cache.shard) == "3/16"
        assert cache.path.name.endswith("-shard-03-of-16.h5")
        assert cache.selections[0].info["whole"]["rows"] == 80
        assert cache.read("second", "pooled").shape == (5, 6)
        with pytest.raises(FerError, match="a part"):
            cache.dataset()


@OPENVINO
def test_what_the_weights_have_learnt_goes_with_the_merged_file(tmp_path: Path) -> None:
    config = replace(FERNET, engine="openvino", per_class=5, cache_dir=tmp_path / "shards")
    for number in (1, 2):
        extract(replace(config, shard=f"{number}/2"))
    done = merge_shards([tmp_path / "shards"], tmp_path / "other" / "whole.h5")
    assert all_keys(done.cache.parent).tolist() == all_keys(tmp_path / "shards").tolist()


@pytest.mark.parametrize(
    ("shard", "message"),
    [("0/4", "no such shard"), ("a/b", "no such shard"), ("1/81", "81 shards of 80 rows")],
)
def test_a_shard_that_cannot_be_is_refused(
    shard: str, message: str, tmp_path: Path, tiny: Backbone
) -> None:
    with pytest.raises(FerError, match=message) as caught:
        extract(replace(TINY, shard=shard, cache_dir=tmp_path))
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []
