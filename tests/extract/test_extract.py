import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from legacy_weights import save_legacy

from fer_features.backbones import Backbone, get_backbone, resolve_weights
from fer_features.backbones.weights import fetch_weights
from fer_features.cache import Cache, cache_key, latest_cache, list_caches
from fer_features.config import ExtractConfig
from fer_features.data import open_faces, read_all
from fer_features.engines import GraphSpec
from fer_features.engines.graph import build_graph
from fer_features.engines.keras_engine import KerasEngine
from fer_features.errors import FerError
from fer_features.extract.extract import extract
from fer_features.extract.plan import plan_extraction
from fer_features.runtime.keras_runtime import import_keras

CONFIG = ExtractConfig(
    backbone="tiny", weights="random:0", per_class=20, engine="keras", precision="float32"
)


def graph(backbone: Backbone, weights: str = "random:0", **changes: object) -> GraphSpec:
    settings = {
        "size": backbone.default_size,
        "preprocess": "keras",
        "layers": (backbone.default_layer,),
        "outputs": ("pooled", "map"),
        "image_shape": (48, 48),
    }
    return GraphSpec(backbone, resolve_weights(weights, backbone), **(settings | changes))


def engine(
    backbone: Backbone, weights: str = "random:0", *, batch_size: int = 4, **changes: object
) -> KerasEngine:
    return KerasEngine(graph(backbone, weights, **changes), batch_size=batch_size)


def run(engine: KerasEngine, images: np.ndarray) -> dict[str, np.ndarray]:
    return engine.submit(images).result()


def known_weights(tmp_path: Path, tiny: Backbone) -> str:
    """A file in which every weight of the tiny network is 1, and every bias 0."""
    model = tiny.build(tiny.default_size)
    model.set_weights([np.ones_like(w) if w.ndim > 1 else w for w in model.get_weights()])
    path = tmp_path / "ones.weights.h5"
    model.save_weights(path)
    return str(path)


def test_known_weights_give_known_features(tmp_path: Path, tiny: Backbone) -> None:
    # A white image: 1 after preprocessing; 3 channels make 3 in `first`; 4×4×4 of these make 192.
    images = np.stack([np.full((48, 48), 255, np.uint8), np.zeros((48, 48), np.uint8)])
    out = run(engine(tiny, known_weights(tmp_path, tiny), layers=("first", "second")), images)
    assert out["first/pooled"].tolist() == [[3, 3, 3, 3], [-3, -3, -3, -3]]
    assert out["second/map"].shape == (2, 3, 3, 6)
    assert out["second/map"].dtype == np.float16
    assert np.unique(out["second/map"][0]).tolist() == [192]
    assert np.unique(out["second/map"][1]).tolist() == [0]  # relu
    assert out["second/pooled"].dtype == np.float32


def test_raw_feeds_grey_levels(tmp_path: Path, tiny: Backbone) -> None:
    images = np.full((1, 48, 48), 200, np.uint8)
    raw = engine(tiny, known_weights(tmp_path, tiny), layers=("first",), preprocess="raw")
    assert run(raw, images)["first/pooled"].tolist() == [[600, 600, 600, 600]]


def test_resizing_is_bilinear_with_half_pixel_centres(tmp_path: Path, tiny: Backbone) -> None:
    images = np.zeros((1, 2, 2), np.uint8)
    images[0, :, 1] = 80
    made = engine(
        tiny,
        known_weights(tmp_path, tiny),
        layers=("first",),
        preprocess="raw",
        size=8,
        image_shape=(2, 2),
    )
    line = run(made, images)["first/map"][0, 0, :, 0] / 3
    assert line.tolist() == [0, 0, 10, 30, 50, 70, 80, 80]


def test_a_row_does_not_depend_on_its_company(tiny: Backbone, rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (4, 48, 48)).astype(np.uint8)
    made = engine(tiny)
    whole, alone = run(made, images), run(made, images[:1])
    for name in whole:
        assert (whole[name][:1] == alone[name]).all()


def test_the_network_is_frozen(tiny: Backbone) -> None:
    assert build_graph(graph(tiny)).trainable_variables == []


def test_random_weights_repeat_by_seed(tiny: Backbone, rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (2, 48, 48)).astype(np.uint8)
    first, again, other = (
        run(engine(tiny, f"random:{seed}"), images)["second/pooled"] for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert not np.allclose(first, other)


def test_a_cache_holds_what_the_network_computes(tmp_path: Path, tiny: Backbone) -> None:
    done = extract(replace(CONFIG, cache_dir=tmp_path))
    assert done.rows == 40
    assert done.cache.parent == tmp_path
    with Cache(done.cache) as cache:
        source = open_faces("sample")
        faces = read_all(source, cache.rows.source_row)
        assert (faces.sha256 == cache.rows.sha256).all()
        assert (faces.emotion == cache.rows.emotion).all()
        expected = run(engine(tiny, batch_size=40), faces.images)
        for output in ("pooled", "map"):
            found = cache.read("second", output)
            np.testing.assert_allclose(found, expected[f"second/{output}"], rtol=1e-2, atol=1e-5)
        assert cache.header.spec["weights"] == "random:0"
        assert cache.header.dataset["sha256"] == source.digest()


def test_a_second_call_computes_nothing(tmp_path: Path, tiny: Backbone) -> None:
    config = replace(CONFIG, cache_dir=tmp_path)
    first = extract(config)
    content = first.cache.read_bytes()
    second = extract(config)
    assert (first.reused, second.reused) == (False, True)
    assert second.cache == first.cache
    assert second.rows == first.rows
    assert second.cache.read_bytes() == content


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "random:1"},
        {"size": 16},
        {"preprocess": "raw"},
        {"precision": "bfloat16"},
    ],
)
def test_whatever_changes_the_features_changes_the_key(
    tiny: Backbone, change: dict[str, object]
) -> None:
    assert plan_extraction(CONFIG).path == plan_extraction(CONFIG).path
    assert plan_extraction(replace(CONFIG, **change)).path != plan_extraction(CONFIG).path


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 7},
        {"layers": ("first",)},
        {"outputs": ("pooled",)},
        {"views": ("flip",)},
        {"task": "seven"},
        {"per_class": 21},
        {"seed": 1},
    ],
)
def test_whatever_does_not_keeps_it(tiny: Backbone, change: dict[str, object]) -> None:
    assert plan_extraction(replace(CONFIG, **change)).path == plan_extraction(CONFIG).path


def test_a_key_does_not_depend_on_what_things_are_called(tiny: Backbone) -> None:
    spec = plan_extraction(CONFIG).spec
    assert cache_key(replace(spec, weights="mine.h5"), "d") == cache_key(spec, "d")
    assert cache_key(spec, "e") != cache_key(spec, "d")


def test_a_file_with_another_caches_name_is_an_error(tmp_path: Path, tiny: Backbone) -> None:
    first = extract(replace(CONFIG, cache_dir=tmp_path))
    other = extract(replace(CONFIG, cache_dir=tmp_path, size=16))
    other.cache.replace(first.cache)
    with pytest.raises(FerError, match=r"spec\.size .*\b16\b.*\b12\b"):
        extract(replace(CONFIG, cache_dir=tmp_path))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"backbone": "resnet"}, "resnet"),
        ({"preprocess": "caffe"}, "caffe"),
        ({"outputs": ("vector",)}, "vector"),
        ({"layers": ("third",)}, "third"),
        ({"size": 4}, r"tiny .*\b8\b.*\b4\b"),
        ({"size": 100_000_000}, r"\b100000000\b"),
        ({"batch_size": 100_000_000}, "--batch-size 100000000"),
        ({"batch_size": 2**28 // 12**2 + 1}, "--batch-size 1864136"),
        ({"weights": "random:4294967296"}, r"\b4294967295\b"),
        ({"weights": "random:" + "9" * 5000}, r"\b4294967295\b"),
        ({"weights": "random:x"}, "--weights random:x"),
        ({"weights": "random"}, "--weights random"),
        ({"weights": "nowhere.h5"}, r"nowhere\.h5"),
        ({"weights": "imagenet"}, "tiny.*ImageNet"),
        ({"batch_size": 0}, "--batch-size"),
        ({"compression": "rar"}, "rar"),
        ({"engine": "onnx"}, "onnx"),
        ({"precision": "int4"}, "int4"),
        ({"views": ("upside-down",)}, "upside-down"),
    ],
)
def test_a_mistake_is_an_error(
    tmp_path: Path, tiny: Backbone, change: dict[str, object], named: str
) -> None:
    with pytest.raises(FerError, match=named):
        extract(replace(CONFIG, **({"cache_dir": tmp_path} | change)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["whole.keras", "all.weights.h5", "old.h5"])
def test_every_kind_of_weights_file_is_loaded(
    tmp_path: Path, tiny: Backbone, name: str, rng: np.random.Generator
) -> None:
    model = tiny.build(tiny.default_size)
    values = [rng.random(w.shape).astype(np.float32) for w in model.get_weights()]
    model.set_weights(values)
    path = tmp_path / name
    if name == "all.weights.h5":
        model.save_weights(path)
    elif name == "whole.keras":
        model.save(path)
    else:
        save_legacy(model, path)
    loaded = build_graph(graph(tiny, str(path), layers=("first", "second")))
    found = {tuple(w.shape): np.asarray(w) for w in loaded.weights}
    for value in values:
        assert (found[value.shape] == value).all()


def test_weights_of_another_network_are_an_error(tmp_path: Path, tiny: Backbone) -> None:
    keras = import_keras()
    inputs = keras.Input((12, 12, 3))
    other = keras.Model(inputs, keras.layers.Conv2D(5, 3, name="first")(inputs))
    for name in ("other.weights.h5", "other.keras"):
        path = tmp_path / name
        other.save(path) if name.endswith(".keras") else other.save_weights(path)
        with pytest.raises(FerError, match=rf"{re.escape(name)}.* tiny"):
            engine(tiny, str(path))


@pytest.mark.parametrize("name", ["whole.keras", "all.weights.h5", "old.h5"])
@pytest.mark.parametrize("damage", ["cut", "junk", "empty"])
def test_a_damaged_weights_file_is_found_before_a_network_is_built(
    tmp_path: Path, tiny: Backbone, name: str, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    model = tiny.build(tiny.default_size)
    if name == "old.h5":
        save_legacy(model, path)
    else:
        model.save(path) if name == "whole.keras" else model.save_weights(path)
    whole = path.read_bytes()
    path.write_bytes(
        {"cut": whole[: len(whole) // 2], "junk": b"<html>" * 99, "empty": b""}[damage]
    )
    monkeypatch.setattr("fer_features.extract.kept_engine.make_engine", None)
    with pytest.raises(FerError, match=re.escape(str(path))):
        extract(replace(CONFIG, weights=str(path), cache_dir=tmp_path / "cache"))


def test_a_broken_weights_file_is_an_error(tmp_path: Path, tiny: Backbone) -> None:
    path = tmp_path / "broken.h5"
    path.write_bytes(b"\x89HDF broken")
    with pytest.raises(FerError, match=r"broken\.h5"):
        engine(tiny, str(path))


def test_imagenet_weights_are_checked_by_their_sha256(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of that name with other contents is not taken; Keras then downloads it, and fails."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    backbone = get_backbone("inception_resnet_v2")
    assert backbone.imagenet is not None
    served = tmp_path / "served.h5"
    served.write_bytes(b"other weights")
    local = replace(backbone, imagenet=replace(backbone.imagenet, url=served.as_uri()))
    with pytest.raises(FerError, match="ImageNet") as caught:
        fetch_weights(resolve_weights("imagenet", local), local)
    assert backbone.imagenet.sha256 in caught.value.hint
    assert str(tmp_path / "models") in caught.value.hint
    assert "--weights" in caught.value.hint


def test_imagenet_weights_in_place_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    backbone = get_backbone("inception_resnet_v2")
    assert backbone.imagenet is not None
    place = tmp_path / "models" / backbone.imagenet.file_name
    place.parent.mkdir()
    place.write_bytes(b"the real ones")
    digest = hashlib.sha256(b"the real ones").hexdigest()
    unreachable = replace(backbone.imagenet, sha256=digest, url=(tmp_path / "none").as_uri())
    local = replace(backbone, imagenet=unreachable)
    assert fetch_weights(resolve_weights("imagenet", local), local) == place


EXTRACT = ["extract", "--weights", "random:0", "--size", "75", "--per-class", "3", "--json"]
EXTRACT += ["--engine", "keras", "--precision", "float32"]


def run_fer(*args: str, backend: str, cwd: Path) -> dict[str, object]:
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-m", "fer_features", *args],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONWARNINGS": "default"},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_backend_gives_the_same_features(tmp_path: Path, backend: str) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    caches = {
        one: Path(str(run_fer(*EXTRACT, "--cache-dir", one, backend=one, cwd=tmp_path)["cache"]))
        for one in ("tensorflow", backend)
    }
    with (
        Cache(tmp_path / caches["tensorflow"]) as reference,
        Cache(tmp_path / caches[backend]) as other,
    ):
        assert reference.header.key == other.header.key
        for output in ("grid3", "map"):
            a = reference.read("block17_20_ac", output).astype(np.float64)
            b = other.read("block17_20_ac", output).astype(np.float64)
            assert np.linalg.norm(a - b) < 1e-3 * np.linalg.norm(a)
            assert np.abs(a - b).max() < 1e-3 * np.abs(a).max()


def test_a_bad_row_before_the_first_batch_leaves_no_cache(tmp_path: Path, tiny: Backbone) -> None:
    pixels = [" ".join(["7"] * 2304), " ".join(["7"] * 2303 + ["256"])]
    lines = [f"{emotion},{one},Training" for emotion, one in zip((3, 4), pixels, strict=True)]
    path = tmp_path / "faces.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *lines]))
    config = replace(CONFIG, data=str(path), per_class="all", cache_dir=tmp_path / "cache")
    with pytest.raises(FerError, match="row 1"):
        extract(config)
    assert list_caches(config.cache_dir) == []


def test_what_cannot_be_computed_is_not_what_was_requested_last(
    tmp_path: Path, tiny: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, cache_dir=tmp_path)
    first = extract(config).cache
    second = extract(replace(config, size=16)).cache
    assert latest_cache(tmp_path) == second

    def no_download(*args: object, **kwargs: object) -> None:
        raise FerError("the weights could not be downloaded")

    monkeypatch.setattr("fer_features.extract.kept_engine.make_engine", no_download)
    with pytest.raises(FerError, match="downloaded"):
        extract(replace(config, views=("flip",)))
    assert latest_cache(tmp_path) == second
    extract(config)  # all of it is there
    assert latest_cache(tmp_path) == first
