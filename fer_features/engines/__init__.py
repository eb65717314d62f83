"""How a backbone is run: which engine, in which precision, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fer_features.backbones import Backbone
from fer_features.engines.engine import Engine, Features, GraphSpec, NoNetwork, check_batch
from fer_features.errors import FerError, install_hint
from fer_features.runtime.hardware import (
    cpu_has_bfloat16,
    has_openvino,
    keras_devices,
    keras_has_bfloat16,
    may_have_gpu,
)

__all__ = ["ENGINES", "PRECISIONS", "Engine", "EngineChoice", "Features", "GraphSpec", "NoNetwork"]
__all__ += ["choose_engine", "choose_for", "make_engine"]

ENGINES = ("keras", "openvino")
DESCRIPTORS = "descriptors"
"""The engine of backbones that are no networks."""

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class EngineChoice:
    """Which engine runs, in which precision, and why.

    Attributes:
        engine: ``keras`` or ``openvino``.
        precision: ``float32`` or ``bfloat16``.
        why: the reasons for what was left to the program, for people; empty if nothing was.
    """

    engine: str
    precision: str
    why: str = ""


def choose_for(backbone: Backbone, engine: str, precision: str) -> EngineChoice:
    """Choose what runs a backbone: `choose_engine`, but for descriptors, which have their own.

    Raises:
        FerError: no such engine or precision, or it cannot be had here, or not for this backbone.
    """
    if backbone.descriptors is None:
        return choose_engine(engine, precision)
    if engine != "auto":
        raise FerError(f"{backbone.name} is run by no engine", hint="leave --engine out")
    if precision not in ("auto", "float32"):
        raise FerError(
            f"{backbone.name} is computed in float32, not in {precision}",
            hint="leave --precision out",
        )
    return EngineChoice(DESCRIPTORS, "float32")


def choose_engine(engine: str = "auto", precision: str = "auto") -> EngineChoice:
    """Choose what is fastest here, within what was asked for.

    Args:
        engine: ``keras``, ``openvino`` or ``auto``: Keras on a GPU, OpenVINO on a CPU where it is
            installed.
        precision: ``float32``, ``bfloat16`` or ``auto``: bfloat16 where the hardware has it.

    Raises:
        FerError: no such engine or precision, or it cannot be had here.
    """
    for flag, asked, known in (("engine", engine, ENGINES), ("precision", precision, PRECISIONS)):
        if asked not in ("auto", *known):
            raise FerError(f"no such {flag}: {asked}", hint=f"known are auto, {', '.join(known)}")
    if engine == "openvino" and not has_openvino():
        raise FerError("the engine openvino is not installed", hint=install_hint("openvino"))
    why = []
    if engine == "auto":
        engine, reason = _fastest_engine()
        why.append(reason)
    if precision == "auto":
        precision, reason = _fastest_precision(engine)
        why.append(reason)
    elif precision == "bfloat16" and engine == "openvino" and not cpu_has_bfloat16():
        raise FerError(
            "this processor has no bfloat16 for OpenVINO to compute in",
            hint="--precision float32, or --engine keras, which can emulate it, slowly",
        )
    return EngineChoice(engine, precision, "; ".join(why))


def _fastest_engine() -> tuple[str, str]:
    if may_have_gpu() and keras_devices():
        return "keras", f"Keras sees {len(keras_devices())} GPU"
    gpu = "a GPU may be here, but Keras does not see it" if may_have_gpu() else "no GPU"
    if has_openvino():
        return "openvino", f"{gpu}, OpenVINO is installed"
    return "keras", f"{gpu}; OpenVINO is not installed: {install_hint('openvino')}"


def _fastest_precision(engine: str) -> tuple[str, str]:
    has = cpu_has_bfloat16() if engine == "openvino" else keras_has_bfloat16()
    device = "GPU" if engine == "keras" and keras_devices() else "processor"
    if has:
        return "bfloat16", f"the {device} has bfloat16"
    return "float32", f"the {device} has no bfloat16 that this engine uses"


def make_engine(
    name: str,
    spec: GraphSpec,
    *,
    batch_size: int | None = None,
    graphs: Path,
    log: Callable[[str], None] | None = None,
) -> Engine:
    """Build and compile a graph; takes seconds.

    Args:
        name: one of `ENGINES`.
        spec: what is to be computed, and in which precision.
        batch_size: images that go through the network at once; None for the engine's own.
        graphs: where graphs that took long to make are kept.
        log: told, in a few words, of what takes long.

    Raises:
        FerError: the weights cannot be had, or the engine cannot compute this.
    """
    check_batch(batch_size, size=spec.size)
    if name == DESCRIPTORS:
        from fer_features.engines.descriptor_engine import DescriptorEngine

        return DescriptorEngine(spec, batch_size=batch_size)
    if name == "openvino":
        from fer_features.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(spec, batch_size=batch_size, graphs=graphs, log=log)
    from fer_features.engines.keras_engine import KerasEngine  # late: it imports Keras

    if log is not None:
        log(f"building {spec.backbone.name} with Keras")
    return KerasEngine(spec, batch_size=batch_size)
