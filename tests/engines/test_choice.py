from pathlib import Path

import pytest

from fer_features import engines
from fer_features.backbones import Backbone, resolve_weights
from fer_features.engines import GraphSpec, choose_engine
from fer_features.errors import FerError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """A machine with what the test says it has."""

    def has(*, gpu: bool = False, openvino: bool = True, bfloat16: bool = True) -> None:
        for name, value in {
            "may_have_gpu": gpu,
            "keras_devices": ("GPU:0",) if gpu else (),
            "has_openvino": openvino,
            "cpu_has_bfloat16": bfloat16,
            "keras_has_bfloat16": bfloat16,
        }.items():
            monkeypatch.setattr(engines, name, lambda value=value: value)

    return has


@pytest.mark.parametrize(
    ("has", "engine", "precision", "why"),
    [
        ({}, "openvino", "bfloat16", "no GPU, OpenVINO is installed; the processor has bfloat16"),
        ({"bfloat16": False}, "openvino", "float32", "has no bfloat16"),
        ({"gpu": True}, "keras", "bfloat16", "Keras sees 1 GPU; the GPU has bfloat16"),
        ({"openvino": False}, "keras", "bfloat16", 'pip install ".[openvino]"'),
    ],
)
def test_auto_takes_the_fastest_and_says_why(
    machine, has: dict[str, bool], engine: str, precision: str, why: str
) -> None:
    machine(**has)
    choice = choose_engine()
    assert (choice.engine, choice.precision) == (engine, precision)
    assert why in choice.why


def test_what_was_asked_for_is_taken_or_refused_never_replaced(machine) -> None:
    machine(gpu=True, openvino=False, bfloat16=False)
    assert choose_engine("keras", "float32") == engines.EngineChoice("keras", "float32")
    assert choose_engine("keras", "bfloat16").precision == "bfloat16"  # emulated
    with pytest.raises(FerError, match="openvino is not installed") as caught:
        choose_engine("openvino")
    assert caught.value.hint == 'pip install ".[openvino]"'
    machine(bfloat16=False)
    with pytest.raises(FerError, match="no bfloat16"):
        choose_engine("openvino", "bfloat16")


def test_a_gpu_that_keras_does_not_see_is_told(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine()
    monkeypatch.setattr(engines, "may_have_gpu", lambda: True)
    assert "a GPU may be here, but Keras does not see it" in choose_engine().why


@pytest.mark.parametrize(
    ("change", "told"), [({"layers": ("third",)}, "no layer third"), ({"size": 4}, "at least 8")]
)
def test_a_graph_that_cannot_be_is_refused_before_it_is_built(
    tiny: Backbone, change: dict[str, object], told: str
) -> None:
    settings = {
        "size": 12,
        "preprocess": "keras",
        "layers": ("second",),
        "outputs": ("pooled",),
        "image_shape": (48, 48),
    }
    with pytest.raises(FerError, match=told):
        GraphSpec(tiny, resolve_weights("random:0", tiny), **(settings | change))


def test_device_files_tell_of_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from fer_features.engines import hardware

    monkeypatch.setattr(hardware.platform, "system", lambda: "Linux")
    monkeypatch.setattr(hardware, "Path", lambda _: tmp_path)
    assert not hardware.may_have_gpu()
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    assert hardware.may_have_gpu()
