from pathlib import Path

import pytest

from fer_features.backbones import Backbone, resolve_weights
from fer_features.engines import EngineChoice, GraphSpec, choose_engine, make_engine, select
from fer_features.errors import FerError
from fer_features.runtime import hardware


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """A machine with the hardware and packages that the test names."""

    def has(
        *, gpu: bool = False, visible: bool = True, openvino: bool = True, bfloat16: bool = True
    ) -> None:
        for name, value in {
            "may_have_gpu": gpu,
            "keras_devices": ("GPU:0",) if gpu and visible else (),
            "has_openvino": openvino,
            "cpu_has_bfloat16": bfloat16,
            "keras_has_bfloat16": bfloat16,
        }.items():
            monkeypatch.setattr(select, name, lambda value=value: value)

    return has


@pytest.mark.parametrize(
    ("has", "engine", "precision", "reasons"),
    [
        ({}, "openvino", "bfloat16", ["no GPU", "processor has bfloat16"]),
        ({"bfloat16": False}, "openvino", "float32", ["has no bfloat16"]),
        ({"gpu": True}, "keras", "bfloat16", ["1 GPU", "the GPU has bfloat16"]),
        ({"gpu": True, "visible": False}, "openvino", "bfloat16", ["Keras does not see it"]),
        ({"openvino": False}, "keras", "bfloat16", ["OpenVINO is not installed: pip install"]),
    ],
)
def test_auto_takes_the_fastest_and_gives_the_reasons(
    machine, has: dict[str, bool], engine: str, precision: str, reasons: list[str]
) -> None:
    machine(**has)
    choice = choose_engine()
    assert (choice.engine, choice.precision) == (engine, precision)
    assert all(reason in choice.why for reason in reasons)


def test_what_was_asked_for_is_taken_or_refused_never_replaced(machine) -> None:
    machine(gpu=True, openvino=False, bfloat16=False)
    assert choose_engine("keras", "float32") == EngineChoice("keras", "float32")
    assert choose_engine("keras", "bfloat16").precision == "bfloat16"  # emulated
    with pytest.raises(FerError, match="openvino") as caught:
        choose_engine("openvino")
    assert "pip install ." in caught.value.hint
    machine(bfloat16=False)
    with pytest.raises(FerError, match="bfloat16") as caught:
        choose_engine("openvino", "bfloat16")
    assert "--precision float32" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "named"),
    [({"layers": ("third",)}, "third"), ({"size": 4}, r"tiny .*\b8\b"), ({"size": 2000}, "2000")],
)
def test_a_graph_that_cannot_be_is_refused_before_it_is_built(
    tiny: Backbone, change: dict[str, object], named: str
) -> None:
    settings = {
        "size": 12,
        "preprocess": "keras",
        "layers": ("second",),
        "outputs": ("pooled",),
        "image_shape": (48, 48),
    }
    with pytest.raises(FerError, match=named):
        GraphSpec(tiny, resolve_weights("random:0", tiny), **(settings | change))


@pytest.mark.parametrize("batch_size", [0, 10**7])
def test_a_batch_that_cannot_be_is_refused(tiny: Backbone, tmp_path: Path, batch_size: int) -> None:
    weights = resolve_weights("random:0", tiny)
    spec = GraphSpec(tiny, weights, 12, "keras", ("second",), ("pooled",), (48, 48))
    with pytest.raises(FerError, match=f"--batch-size .*{batch_size}"):
        make_engine("keras", spec, batch_size=batch_size, graphs=tmp_path)


def test_device_files_show_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hardware.platform, "system", lambda: "Linux")
    monkeypatch.setattr(hardware, "Path", lambda _: tmp_path)
    assert not hardware.may_have_gpu()
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    assert hardware.may_have_gpu()
