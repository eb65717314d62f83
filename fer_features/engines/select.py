"""Which engine runs a backbone, and in which precision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_features.backbones import Backbone
from fer_features.engines.engine import Engine, GraphSpec, check_batch
from fer_features.errors import FerError, install_hint
from fer_features.runtime.hardware import (
    cpu_has_bfloat16,
    has_openvino,
    keras_devices,
    keras_has_bfloat16,
    may_have_gpu,
)
from fer_features.runtime.progress import Log, no_log

ENGINES = ("keras", "openvino")
DESCRIPTORS = "descriptors"
"""The engine of classical descriptors, which is chosen by the backbone alone."""

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class EngineChoice:
    """An engine and a precision.

    Attributes:
        engine: ``keras``, ``openvino`` or ``descriptors``.
        precision: ``float32`` or ``bfloat16``.
        why: the reasons for what ``auto`` chose; else empty.
    """

    engine: str
    precision: str
    why: str = ""


def choose_for(backbone: Backbone, engine: str, precision: str) -> EngineChoice:
    """Choose what runs a backbone: `choose_engine`, or ``descriptors``.

    Raises:
        FerError: no such engine or precision, or not available here or for this backbone.
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
    """Choose the fastest engine and precision for networks here, as far as they are not given.

    Args:
        engine: ``keras``, ``openvino`` or ``auto``: Keras on a GPU, OpenVINO on a CPU if it is
            installed.
        precision: ``float32``, ``bfloat16`` or ``auto``: bfloat16 if the hardware has it.

    Raises:
        FerError: no such engine or precision, or not available here.
    """
    for flag, value, known in (("engine", engine, ENGINES), ("precision", precision, PRECISIONS)):
        if value not in ("auto", *known):
            raise FerError(f"no such {flag}: {value}", hint=f"known are auto, {', '.join(known)}")
    if engine == "openvino" and not has_openvino():
        raise FerError(
            "the engine openvino is not installed",
            hint=f"{install_hint()}; where OpenVINO has no wheels, --engine keras",
        )
    why = []
    if engine == "auto":
        engine, reason = _fastest_engine()
        why.append(reason)
    has_bfloat16 = cpu_has_bfloat16 if engine == "openvino" else keras_has_bfloat16
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16() else "float32"
        device = "GPU" if engine == "keras" and keras_devices() else "processor"
        found = "has bfloat16" if has_bfloat16() else "has no bfloat16 that this engine uses"
        why.append(f"the {device} {found}")
    elif precision == "bfloat16" and engine == "openvino" and not has_bfloat16():
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
    return "keras", f"{gpu}; OpenVINO is not installed: {install_hint()}"


def make_engine(
    name: str,
    spec: GraphSpec,
    *,
    batch_size: int | None = None,
    graphs: Path,
    threads: int | None = None,
    log: Log = no_log,
) -> Engine:
    """Build and compile a graph; takes seconds.

    Args:
        name: the engine's name, as in an `EngineChoice`.
        spec: what to compute, and in which precision.
        batch_size: images per forward pass; None for the engine's default.
        graphs: the folder of exported graphs.
        threads: of OpenVINO and of descriptors; None for all cores. Keras's backends read their
            own variables of the environment.
        log: called before what takes long.

    Raises:
        FerError: the weights cannot be loaded, or the engine cannot compute this.
    """
    check_batch(batch_size, size=spec.size)
    # Each engine imports its own library, which may take seconds.
    match name:
        case "descriptors":
            from fer_features.engines.descriptor_engine import DescriptorEngine

            return DescriptorEngine(spec, batch_size=batch_size, threads=threads)
        case "openvino":
            from fer_features.engines.openvino_engine import OpenVinoEngine

            return OpenVinoEngine(
                spec, batch_size=batch_size, graphs=graphs, threads=threads, log=log
            )
        case _:
            from fer_features.engines.keras_engine import KerasEngine

            log(f"building {spec.backbone.name} with Keras")
            return KerasEngine(spec, batch_size=batch_size)
