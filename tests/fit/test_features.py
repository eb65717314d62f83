import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, extract_tiny
from test_command import parsed

from fer_features.backbones import BACKBONES
from fer_features.cache import Cache
from fer_features.config import ExtractConfig, FitConfig
from fer_features.errors import FerError
from fer_features.extract.extract import extract
from fer_features.fit.dataset import Dataset, load_dataset, parse_layers
from fer_features.fit.features import check_features, read_features

LAYERS = ("first", "second")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both layers of the tiny backbone, with the mirror images' features."""
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
    dataset = four_rows(cache, "first+second")
    for use in (check_features, read_features):
        with pytest.raises(FerError, match="first/grid3 and second/grid3"):
            use(dataset, "grid3")


def test_a_layer_that_is_not_there_is_named_with_those_that_are(cache: Cache) -> None:
    with pytest.raises(FerError, match="holds no layer nope") as error:
        four_rows(cache, "first+nope")
    assert error.value.hint.startswith("its layers are first, second;")


@pytest.mark.parametrize("options", [{}, {"task": "seven", "per_class": "all"}, {"per_class": 3}])
def test_the_hint_is_the_command_that_adds_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    path = extract_tiny(tmp_path / "my cache", per_class=20, seed=1)
    extract_tiny(tmp_path / "my cache", per_class="all", task="seven", outputs=("map",))
    extract_tiny(tmp_path / "my cache", per_class=20, seed=1)
    config = FitConfig(path, views=("flip",), pooling="grid3", **options)
    with Cache(path) as cache, pytest.raises(FerError, match="second/grid3_flip") as error:
        check_features(load_dataset(cache, config), "grid3")
    monkeypatch.setitem(BACKBONES, TINY.name, TINY)  # removed by `extract_tiny`
    text = error.value.hint.partition("to add it: ")[2]
    extract(parsed(ExtractConfig, text))
    with Cache(path) as cache:
        check_features(load_dataset(cache, config), "grid3")


def test_layers_are_written_with_a_plus_between() -> None:
    assert parse_layers("a+b") == ("a", "b")
    for text in ("a+", "+", "a+a", ""):
        with pytest.raises(FerError, match=re.escape(f"--features {text}")):
            parse_layers(text)


@pytest.mark.parametrize("views", [(), ("flip",)])
def test_features_that_memory_does_not_hold_are_refused(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, views: tuple[str, ...]
) -> None:
    dataset = four_rows(cache, "second", *views)
    monkeypatch.setattr("fer_features.runtime.memory.LARGE", 0)
    monkeypatch.setattr("fer_features.runtime.memory.free_memory", lambda: 10)
    with pytest.raises(FerError, match=r"4 rows of .*second/map.* of memory are needed"):
        read_features(dataset, "map")
