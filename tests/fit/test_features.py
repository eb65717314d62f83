import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_features.cache import Cache
from fer_features.config import FitConfig
from fer_features.errors import FerError
from fer_features.fit.dataset import Dataset, load_dataset, parse_layers
from fer_features.fit.features import check_features, read_features

LAYERS = ("first", "second")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both layers of the tiny backbone, with the mirror images' features."""
    from conftest import extract_tiny

    folder = tmp_path_factory.mktemp("cache")
    return extract_tiny(folder, per_class=20, layers=LAYERS, views=("flip",))


@pytest.fixture
def cache(path: Path) -> Iterator[Cache]:
    with Cache(path) as opened:
        yield opened


ROWS = np.array([0, 3, 4, 30])


def four_rows(cache: Cache, layers: str, *views: str) -> Dataset:
    return replace(load_dataset(cache, FitConfig(features=layers, views=views)), rows=ROWS)


def test_one_layer_is_what_the_cache_holds(cache: Cache) -> None:
    dataset = four_rows(cache, "second")
    features = read_features(dataset, "pooled")
    assert (features == cache.read("second", "pooled", ROWS)).all()
    assert read_features(dataset, "pooled") is features  # read once


def test_layers_stand_side_by_side(cache: Cache) -> None:
    joined = read_features(four_rows(cache, "first+second"), "pooled")
    assert joined.shape == (4, 4 + 6)
    assert (joined[:, :4] == cache.read("first", "pooled", ROWS)).all()
    assert (joined[:, 4:] == cache.read("second", "pooled", ROWS)).all()


def test_a_view_is_averaged_with_the_image_as_it_is(cache: Cache) -> None:
    mean = read_features(four_rows(cache, "second", "flip"), "pooled")
    plain, mirrored = (cache.read("second", f"pooled{end}", ROWS) for end in ("", "_flip"))
    assert mean == pytest.approx((plain + mirrored) / 2)
    assert not np.allclose(plain, mirrored)


def test_maps_stay_float16(cache: Cache) -> None:
    maps = read_features(four_rows(cache, "second", "flip"), "map")
    assert maps.dtype == np.float16
    plain, mirrored = (
        cache.read("second", f"map{end}", ROWS).astype(np.float32) for end in ("", "_flip")
    )
    assert np.allclose(maps, (plain + mirrored) / 2, rtol=1e-3)


def test_maps_of_different_sizes_cannot_be_joined(cache: Cache) -> None:
    with pytest.raises(FerError, match="maps"):
        read_features(four_rows(cache, "first+second"), "map")


def test_missing_features_are_named(cache: Cache) -> None:
    dataset = four_rows(cache, "third")
    with pytest.raises(FerError, match="third/pooled"):
        check_features(dataset, "pooled")
    with pytest.raises(FerError, match="third/pooled"):
        read_features(dataset, "pooled")


def test_layers_are_written_with_a_plus_between() -> None:
    assert parse_layers("a+b") == ("a", "b")
    for text in ("a+", "+", "a+a", ""):
        with pytest.raises(FerError, match=re.escape(f"--features {text}")):
            parse_layers(text)
