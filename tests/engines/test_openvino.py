import os
import shutil
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_features.backbones import Backbone, get_backbone, resolve_weights
from fer_features.backbones.weights_file import read_weights, write_weights
from fer_features.data import open_faces, read_all
from fer_features.engines import GraphSpec, make_engine
from fer_features.engines.openvino_engine import OpenVinoEngine, find_graph, graph_key
from fer_features.errors import FerError
from fer_features.runtime.hardware import cpu_has_bfloat16, has_openvino

# Not importorskip: that would import it before scikit-learn-intelex, whose TBB has to be first.
if not has_openvino():
    pytest.skip("OpenVINO is not installed", allow_module_level=True)

needs_bfloat16 = pytest.mark.skipif(not cpu_has_bfloat16(), reason="this processor has no bfloat16")


def spec(backbone: Backbone, **changes: object) -> GraphSpec:
    settings = {
        "weights": resolve_weights("random:0", backbone),
        "size": backbone.default_size,
        "preprocess": "keras",
        "layers": (backbone.default_layer,),
        "outputs": ("pooled", "map"),
        "image_shape": (48, 48),
    }
    return GraphSpec(backbone, **(settings | changes))


def run(name: str, graph: GraphSpec, images: np.ndarray, graphs: Path) -> dict[str, np.ndarray]:
    with closing(make_engine(name, graph, batch_size=16, graphs=graphs)) as engine:
        specs = dict(engine.outputs())
        parts = [engine.submit(images[at : at + 16]) for at in range(0, len(images), 16)]
        done = [part.result() for part in parts]
    found = {key: np.concatenate([one[key] for one in done]) for key in done[0]}
    assert specs == {key: (one.shape[1:], str(one.dtype)) for key, one in found.items()}
    return found


def test_it_computes_the_same_as_keras(
    tiny: Backbone, tmp_path: Path, rng: np.random.Generator
) -> None:
    images = rng.integers(0, 256, (40, 48, 48)).astype(np.uint8)
    graph = spec(tiny, layers=("first", "second"))
    keras = run("keras", graph, images, tmp_path)
    openvino = run("openvino", graph, images, tmp_path)
    assert keras.keys() == openvino.keys()
    for name, expected in keras.items():
        assert openvino[name].dtype == expected.dtype
        assert openvino[name].shape == expected.shape
        scale = np.abs(expected).max()
        tolerance = 1e-5 if name.endswith("pooled") else 1e-3  # maps are float16
        assert np.abs(openvino[name] - expected).max() < tolerance * scale


def test_a_row_does_not_depend_on_its_batch_nor_on_its_place(
    tiny: Backbone, tmp_path: Path, rng: np.random.Generator
) -> None:
    images = rng.integers(0, 256, (16, 48, 48)).astype(np.uint8)
    whole = run("openvino", spec(tiny), images, tmp_path)
    alone = run("openvino", spec(tiny), images[5:6], tmp_path)
    for name in whole:
        assert (whole[name][5:6] == alone[name]).all()


def test_many_batches_in_flight_come_back_in_their_order(
    tiny: Backbone, tmp_path: Path, rng: np.random.Generator
) -> None:
    images = rng.integers(0, 256, (300, 48, 48)).astype(np.uint8)
    together = run("openvino", spec(tiny), images, tmp_path)
    with closing(OpenVinoEngine(spec(tiny), batch_size=16, graphs=tmp_path)) as engine:
        for at in range(0, 300, 16):
            one = engine.submit(images[at : at + 16]).result()
            assert (one["second/pooled"] == together["second/pooled"][at : at + 16]).all()


def test_nothing_is_reported_to_openvinos_makers() -> None:
    program = """
from fer_features.runtime.openvino_runtime import import_openvino
import_openvino()
from openvino.tools.ovc import telemetry_utils
import sys
print(telemetry_utils.tm.__name__, "openvino_telemetry" in sys.modules)
"""
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "False"]


class TestGraphs:
    """A graph is exported once, kept, and checked before it is used."""

    @pytest.fixture
    def exports(self, monkeypatch: pytest.MonkeyPatch) -> list[object]:
        import fer_features.engines.graph as graph_module

        made: list[object] = []
        real = graph_module.build_graph

        def build(graph: GraphSpec) -> object:
            made.append(graph)
            return real(graph)

        monkeypatch.setattr(graph_module, "build_graph", build)
        return made

    def test_a_graph_is_exported_once(
        self, tiny: Backbone, tmp_path: Path, exports: list[object]
    ) -> None:
        log: list[str] = []
        first = find_graph(spec(tiny), tmp_path, log=log.append)
        assert find_graph(spec(tiny), tmp_path, log=log.append) == first
        assert len(log) == 1
        assert find_graph(spec(tiny, precision="bfloat16"), tmp_path) == first
        assert len(exports) == 1
        assert [one.name for one in tmp_path.iterdir()] == [first.name]

    @pytest.mark.parametrize(
        "change",
        [
            {"size": 16},
            {"preprocess": "raw"},
            {"layers": ("first",)},
            {"outputs": ("pooled",)},
            {"image_shape": (24, 24)},
            {"weights": resolve_weights("random:1", get_backbone("inception_resnet_v2"))},
        ],
    )
    def test_another_graph_has_another_key(self, tiny: Backbone, change: dict[str, object]) -> None:
        assert graph_key(spec(tiny)) != graph_key(spec(tiny, **change))

    @pytest.mark.parametrize("name", ["graph.bin", "graph.xml", "sha256.json"])
    def test_a_damaged_graph_is_made_again(
        self, tiny: Backbone, tmp_path: Path, exports: list[object], name: str
    ) -> None:
        place = find_graph(spec(tiny), tmp_path) / name
        good = place.read_bytes()
        damaged = bytearray(good)
        damaged[len(good) // 2] ^= 1
        place.write_bytes(damaged)
        find_graph(spec(tiny), tmp_path)
        assert len(exports) == 2
        assert place.read_bytes() != damaged
        find_graph(spec(tiny), tmp_path)  # whole again: not a third time
        assert len(exports) == 2

    def test_of_two_exports_at_once_the_quicker_is_taken(
        self, tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = Path.rename

        def slower(draft: Path, target: Path) -> Path:
            shutil.copytree(draft, target)
            return real(draft, target)

        monkeypatch.setattr(Path, "rename", slower)
        folder = find_graph(spec(tiny), tmp_path)
        assert [one.name for one in tmp_path.iterdir()] == [folder.name]

    def test_an_export_that_fails_leaves_nothing(
        self, tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: object, **kwargs: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("fer_features.engines.openvino_engine.file_sha256", fail)
        with pytest.raises(KeyboardInterrupt):
            find_graph(spec(tiny), tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_what_a_killed_export_has_left_is_removed_in_time(
        self, tiny: Backbone, tmp_path: Path
    ) -> None:
        for name, age in ((".part-old", 7200), (".part-new", 60)):
            (tmp_path / name).mkdir()
            os.utime(tmp_path / name, (time.time() - age,) * 2)
        find_graph(spec(tiny), tmp_path)
        assert [one.name for one in tmp_path.glob(".part-*")] == [".part-new"]


@needs_bfloat16
@pytest.mark.parametrize("engine", ["openvino", "keras"])
def test_bfloat16_stays_close_to_float32_in_every_row(engine: str, tmp_path: Path) -> None:
    """InceptionResNetV2 with random weights: each row's pooled features, cosine above 0.999."""
    backbone = get_backbone("inception_resnet_v2")
    faces = read_all(open_faces("sample"), np.arange(64))
    small = {"size": 75, "outputs": ("pooled",)}
    exact, narrow = (
        run(engine, spec(backbone, precision=precision, **small), faces.images, tmp_path)
        for precision in ("float32", "bfloat16")
    )
    a, b = exact["block17_20_ac/pooled"], narrow["block17_20_ac/pooled"]
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > 0.999
    assert (a != b).any()  # it is another arithmetic indeed


@pytest.mark.parametrize("name", ["openvino", "keras"])
@pytest.mark.parametrize("change", ["missing", "shape", "more"])
def test_weights_of_another_network_are_an_error(tmp_path: Path, name: str, change: str) -> None:
    fernet = get_backbone("fernet")
    content = read_weights(resolve_weights(None, fernet).path)
    arrays, one = dict(content.network), "block_1_excite/bias"
    if change == "more":
        arrays["block_7_excite/bias"] = arrays[one]
    elif change == "shape":
        arrays[one] = arrays[one][:1]
    else:
        del arrays[one]
    path = tmp_path / "other.h5"
    write_weights(path, replace(content, network=arrays))
    weights = resolve_weights(str(path), fernet)
    graph = GraphSpec(fernet, weights, 48, "keras", ("block_1",), ("pooled",), (48, 48))
    with pytest.raises(FerError, match=f"{path}.*fernet.*excite/bias"):
        make_engine(name, graph, graphs=tmp_path)
