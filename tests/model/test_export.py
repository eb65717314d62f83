"""Exported graphs compute what heads and calibrators compute, in every format."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from typer.testing import CliRunner

import fer_features as fer
from fer_features.backbones import load_weights, resolve_weights
from fer_features.cli import app
from fer_features.engines.engine import GraphSpec
from fer_features.engines.graph import build_graph, network_input
from fer_features.heads import make_head
from fer_features.heads.calibration import Calibrator, fit_calibrator
from fer_features.heads.ensemble import EnsembleHead
from fer_features.model.export import FORMATS, export_model, probability_graph, write_checked
from fer_features.model.head_graph import head_graph
from fer_features.runtime.keras_runtime import import_keras
from fer_features.runtime.openvino_runtime import import_openvino
from tests.conftest import TINY

SHORT = {"epochs": 2}
LONG = pytest.mark.long
CASES: dict[str, tuple[str, str, int, str | None, str | None, dict[str, Any]]] = {
    # head, output, classes, calibration, how views are combined, parameters
    "logreg": ("logreg", "pooled", 7, "platt", "features", {"Cs": (0.1,)}),
    "logreg, rows": ("logreg", "grid3", 2, "isotonic", "rows", {"Cs": (0.1,)}),
    "ridge": ("ridge", "pooled", 7, "isotonic", None, {}),
    "ridge, two": ("ridge", "grid3", 2, "platt", "features", {}),
    "svm": ("svm", "pooled", 7, None, None, {"Cs": (3.0,), "gammas": (1.0,)}),
    "svm, two": ("svm", "grid3", 2, "platt", None, {"Cs": (3.0,), "gammas": (1.0,)}),
    "mlp": ("mlp", "pooled", 2, None, "rows", {"units": (8,), **SHORT}),
    "dense": ("dense", "map", 7, "platt", "features", {"units": (8,), "filters": 4, **SHORT}),
    "ensemble": ("ensemble", "pooled", 2, "isotonic", None, {"members": ("ridge", "logreg")}),
    "maps": ("ensemble", "map", 2, None, "rows", {"members": ("dense", "ridge")}),
    "networks": ("ensemble", "map", 7, "platt", None, {"members": ("dense", "mlp", "svm")}),
}
SPEC = GraphSpec(
    backbone=TINY,
    weights=resolve_weights("random:0", TINY),
    size=12,
    preprocess="keras",
    layers=("second",),
    outputs=("pooled", "grid3", "map"),
    image_shape=(48, 48),
)
Expected = Callable[..., NDArray[np.float64]]


@cache
def features() -> Callable[[NDArray[np.uint8]], dict[str, NDArray[Any]]]:
    graph = build_graph(SPEC)
    return lambda images: {name: np.asarray(one) for name, one in graph(images).items()}


@cache
def exact_maps() -> Callable[[NDArray[np.uint8]], dict[str, NDArray[Any]]]:
    """As `features`, but maps as the network makes them, not in half precision."""
    network, weights = TINY.build(SPEC.size), SPEC.weights
    load_weights(network, weights, TINY, weights.path)

    def of(images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        grey = images[..., None].astype(np.float32)
        return {"second/map": np.asarray(network(network_input(TINY, grey, SPEC.size)))}

    return of


@cache
def case(name: str) -> tuple[Any, Expected]:
    """A case's graph, and what it must compute."""
    head_name, output, n_classes, calibration, combine, parameters = CASES[name]
    faces = fer.load_faces("sample")
    y = faces.emotion.astype(int) if n_classes == 7 else (faces.emotion == 3).astype(int)
    key = f"second/{output}"
    head = make_head(head_name, **parameters).fit(features()(faces.images)[key], y)

    def uncalibrated(images: NDArray[np.uint8], of: Any = None) -> NDArray[np.float64]:
        views = [images, images[:, :, ::-1]] if combine else [images]
        found = [(of or features())(one)[key] for one in views]
        if combine == "features":
            found = [np.mean(found, axis=0, dtype=np.float32).astype(found[0].dtype)]
        return np.mean([head.predict_proba(one) for one in found], axis=0).astype(np.float64)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the features are random
        # not of the faces compared: they would lie on isotonic steps, where a last bit decides
        probability = uncalibrated(faces.images[:, :, ::-1])
        calibrator = fit_calibrator(calibration, probability, y) if calibration else None
    graph = probability_graph(
        GraphSpec(**vars(SPEC) | {"outputs": (output,)}),
        head,
        views=combine is not None,
        combine=combine or "features",
        calibrator=calibrator,
    )
    return graph, lambda images, of=None: (calibrator.apply if calibrator else np.asarray)(
        uncalibrated(images, of)
    )


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=LONG if CASES[one][1] == "map" else ()) for one in CASES]
)
def test_a_graph_computes_what_the_head_computes(name: str) -> None:
    graph, expected = case(name)
    images = fer.load_faces("sample").images
    found = np.asarray(graph(images))
    np.testing.assert_allclose(found, expected(images), atol=2e-4)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_members_with_layers_of_the_same_names(tmp_path: Path) -> None:
    """Both networks have a ``dense_1``, as Keras names one of the other members' layers."""
    keras = import_keras()
    rng = np.random.default_rng(0)
    maps, y = rng.standard_normal((40, 3, 3, 6)).astype(np.float32), np.arange(40) % 2
    ensemble = EnsembleHead(members=("dense", "mlp", "ridge"), pooling="pooled")
    ensemble.members_ = {
        "dense": make_head("dense", units=(4,), filters=2, epochs=1).fit(maps, y),
        "mlp": make_head("mlp", units=(4,), epochs=1).fit(maps.mean((1, 2)), y),
        "ridge": make_head("ridge").fit(maps.mean((1, 2)), y),
    }
    expected = [
        one.predict_proba(maps if name == "dense" else maps.mean((1, 2)))
        for name, one in ensemble.members_.items()
    ]
    keras.backend.clear_session()  # names are counted from the start, as in a new process
    inputs = keras.Input((3, 3, 6))
    graph = keras.Model(inputs, head_graph(ensemble, inputs))
    graph.save(tmp_path / "graph.keras")
    found = keras.saving.load_model(tmp_path / "graph.keras").predict(maps, verbose=0)
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-5)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=() if one == "ridge, two" else LONG) for one in CASES]
)
def test_a_file_of_each_head_and_format_is_the_model(
    name: str, format_: str, tmp_path: Path
) -> None:
    graph, expected = case(name)
    if CASES[name][1] == "map" and format_ != "keras":  # OpenVINO leaves out the rounding of maps
        expected = partial(expected, of=exact_maps())
    facts = {"classes": ["not happy", "happy"], "model": "a model"}
    path = tmp_path / f"model{FORMATS[format_].suffix}"
    assert write_checked(graph, FORMATS[format_], path, facts, expected) < 1e-4
    images = fer.load_faces("sample").images[100:105]
    if format_ == "onnx":
        session = onnxruntime.InferenceSession(path)
        found = session.run(["probabilities"], {"faces": images})[0]
        kept = {one.key: json.loads(one.value) for one in onnx.load(path).metadata_props}
    elif format_ == "openvino":
        ov = import_openvino()
        network = ov.Core().read_model(path)
        found = ov.compile_model(network, "CPU")({"faces": images})["probabilities"]
        kept = {
            name: json.loads(network.get_rt_info(["fer_features", name]).astype(str))
            for name in facts
        }
    else:
        found = import_keras().saving.load_model(path).predict(images, verbose=0)
        kept = json.loads(zipfile.ZipFile(path).read("fer_features.json"))
    np.testing.assert_allclose(found, expected(images), atol=1e-3)
    assert kept == facts
    assert not [one for one in tmp_path.iterdir() if one.stem != "model"]


def test_a_graph_that_computes_something_else_is_not_kept(tmp_path: Path) -> None:
    graph, expected = case("ridge, two")
    path = tmp_path / "model.keras"
    with pytest.raises(fer.FerError, match=r"differs from the model by 0\.02"):
        write_checked(graph, FORMATS["keras"], path, {}, lambda faces: expected(faces) + 0.02)
    assert not list(tmp_path.iterdir())


def test_descriptors_and_unknown_formats_are_refused(tmp_path: Path) -> None:
    cache = fer.extract("sample", backbone="pixels", cache_dir=tmp_path)
    run = fer.fit(cache, head="ridge", runs_dir=tmp_path)
    with pytest.raises(fer.FerError, match="pixels is no network, and cannot be exported"):
        export_model(run.model(), "onnx", tmp_path / "out")
    with pytest.raises(fer.FerError, match="no such format: h5"):
        export_model(run.model(), "h5")
    assert not (tmp_path / "out.onnx").exists()


def test_isotonic_curves_that_are_all_zero_make_classes_alike() -> None:
    from fer_features.model.head_graph import calibrator_graph

    keras = import_keras()
    curves = [[0.0, 0.5, 1.0]] * 3
    calibrator = Calibrator("isotonic", {"x": curves, "y": [[0.0, 0.0, 1.0]] * 3})
    p = np.array([[0.4, 0.3, 0.3], [0.75, 0.25, 0.0], [0.1, 0.2, 0.7]], np.float32)
    inputs = keras.Input((3,))
    graph = keras.Model(inputs, calibrator_graph(calibrator, inputs))
    np.testing.assert_allclose(graph(p), [[1 / 3] * 3, [1, 0, 0], [0, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(graph(p), calibrator.apply(p), atol=1e-6)


PROGRAM = "import sys, numpy, keras; m = keras.saving.load_model(sys.argv[1], safe_mode=True); "
PROGRAM += "print(m(numpy.zeros((2, 48, 48), 'uint8')).shape, 'fer_features' in sys.modules)"


@pytest.mark.long
def test_the_packaged_model_is_exported_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["export", "fernet", "--format", "keras", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["difference"] < 1e-3
    made = subprocess.run(  # noqa: S603  ours
        [sys.executable, "-c", PROGRAM, found["path"]], capture_output=True, text=True, check=True
    )
    assert made.stdout == "(2, 7) False\n"


@pytest.mark.long
def test_the_document_s_example_gives_the_model_s_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = Path(__file__).parents[2].joinpath("docs", "export.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    assert example[1].count("\n") <= 10
    assert CliRunner().invoke(app, ["export", "fernet", "--format", "onnx"]).exit_code == 0
    from PIL import Image

    face = fer.load_faces("sample").images[0]
    Image.fromarray(face).save("face.png")
    names: dict[str, Any] = {}
    exec(compile(example[1], "export.md", "exec"), names)  # noqa: S102  ours
    expected = fer.load_model("fernet", precision="float32").probabilities(face[None])
    np.testing.assert_allclose(names["probabilities"], expected, atol=1e-3)


@pytest.mark.long
def test_a_large_network_with_mirrored_views_is_exported(tmp_path: Path) -> None:
    cache = fer.extract(
        "sample",
        backbone="efficientnet_lite0",
        weights="random:0",
        views=("flip",),
        per_class=20,
        cache_dir=tmp_path,
    )
    run = fer.fit(cache, head="logreg", views=("flip",), runs_dir=tmp_path / "runs")
    model = fer.load_model(run, precision="float32")
    done = export_model(model, "onnx", tmp_path / "large.onnx")
    assert done.difference < 1e-4
    assert done.path.stat().st_size < 4e6  # the layers behind the last extracted are left out
