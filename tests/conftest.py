"""What several test files share: a tiny backbone with known weights, and a cache made with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer_features.backbones import BACKBONES, Backbone
from fer_features.config import ExtractConfig
from fer_features.extract.extract import extract
from fer_features.runtime.keras_runtime import import_keras


def build_tiny(size: int) -> Any:
    """One 1×1 convolution from RGB to 4 channels, then one that halves the size."""
    keras = import_keras()
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(4, 1, name="first")(inputs)
    x = keras.layers.Conv2D(6, 4, strides=4, activation="relu", name="second")(x)
    return keras.Model(inputs, x, name="tiny")


TINY = Backbone(
    name="tiny",
    default_size=12,
    min_size=8,
    layers=("first", "second"),
    default_layer="second",
    build=build_tiny,
    preprocess=lambda x: x / 127.5 - 1.0,
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """The tiny backbone, known by its name while the test runs."""
    monkeypatch.setitem(BACKBONES, TINY.name, TINY)
    return TINY


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the drawn sample by the tiny backbone, for tests that only read it."""
    return extract_tiny(tmp_path_factory.mktemp("cache"))


def extract_tiny(folder: Path, **options: Any) -> Path:
    """The drawn sample's features by the tiny backbone; `options` are fields of `ExtractConfig`."""
    BACKBONES[TINY.name] = TINY
    try:
        config = ExtractConfig(
            backbone="tiny",
            weights="random:0",
            engine="keras",
            precision="float32",
            cache_dir=folder,
            **options,
        )
        return extract(config).cache
    finally:
        del BACKBONES[TINY.name]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
