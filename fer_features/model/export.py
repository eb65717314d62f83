"""A model as one graph, faces in and probabilities out, for programs without this package."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_features.data.faces import SampleFaces
from fer_features.engines.engine import GraphSpec
from fer_features.engines.graph import build_graph
from fer_features.errors import FerError, install_hint, reason_of
from fer_features.heads.calibration import Calibrator
from fer_features.model.head_graph import calibrator_graph, head_graph
from fer_features.runtime.files import check_replaced
from fer_features.runtime.keras_runtime import (
    backend_name,
    import_keras,
    keras_settings,
    suppressed_native_logs,
)
from fer_features.runtime.openvino_runtime import import_openvino
from fer_features.runtime.progress import Log, no_log

if TYPE_CHECKING:
    from fer_features.model.model import Model

INPUT, OUTPUT = "faces", "probabilities"
"""Names of the graph's input and output; in Keras's files, of the layers."""

CHECKED = 64
"""Faces on which an exported file is compared with the model."""

TOLERANCE = 1e-2
"""The largest difference of a probability that is accepted."""

METADATA = "fer_features.json"
"""The entry of a Keras archive with the facts, which Keras passes over."""

Facts = dict[str, Any]
"""What a file says of its model, as plain JSON types."""


@dataclass(frozen=True)
class Exported:
    """A file written by `export_model`.

    Attributes:
        path: the file; OpenVINO's has a second one beside it, with the suffix ``.bin``.
        difference: the largest between a probability of the file and of the model.
        faces: on how many faces that was found.
    """

    path: Path
    difference: float
    faces: int


@dataclass(frozen=True)
class Format:
    """A format that models are exported to.

    Attributes:
        suffix: the file name ending.
        begins: what such a file begins with.
        write: writes a Keras model and the facts to a path.
        load: reads the path; what it returns maps faces to probabilities.
    """

    suffix: str
    begins: bytes
    write: Callable[[Any, Path, Facts], None]
    load: Callable[[Path], Callable[[NDArray[np.uint8]], NDArray[Any]]]


def export_model(
    model: Model, format_: str, path: Path | None = None, *, log: Log = no_log
) -> Exported:
    """Write a model as one graph: uint8 faces (N, 48, 48) in, probabilities float32 (N, K) out.

    The file is read again, and its probabilities of `CHECKED` faces of the built-in sample are
    compared with the model's, before it takes its place.

    Args:
        model: the model.
        format_: one of `FORMATS`.
        path: the file; None for the model's name in the current folder. The suffix is the format's.
        log: called before the steps that take long.

    Raises:
        FerError: there is no such format, the model or this machine cannot be exported to it, the
            file cannot be written, or it computes something else.
    """
    if format_ not in FORMATS:
        raise FerError(f"no such format: {format_}", hint=f"known are {', '.join(FORMATS)}")
    chosen = FORMATS[format_]
    target = path or Path(model.stem)
    if target.suffix != chosen.suffix:
        target = target.with_name(target.name + chosen.suffix)
    if model.graph.backbone.descriptors is not None:
        raise FerError(
            f"{model.graph.backbone.name} is no network, and cannot be exported",
            hint="export a model on a network's features: fer extract --backbone fernet, say",
        )
    check_replaced(target, chosen.begins, what=f"{format_} file")
    _check_requirements(format_)
    log(f"building {model.name} with Keras and converting it to {format_}")
    with keras_settings():
        graph = probability_graph(
            replace(model.graph, precision="float32"),
            model.head,
            views=bool(model.record.views),
            combine=model.record.combine,
            calibrator=model.calibrator,
        )
    difference = write_checked(graph, chosen, target, facts_of(model), model.probabilities)
    return Exported(target, difference, CHECKED)


@keras_settings()
def probability_graph(
    spec: GraphSpec,
    head: Any,
    *,
    views: bool = False,
    combine: str = "features",
    calibrator: Calibrator | None = None,
) -> Any:
    """A Keras model: uint8 faces (N, H, W) in, probabilities float32 (N, K) out.

    Args:
        spec: the features that the head takes: layers, which are concatenated, and one output.
        head: the fitted head.
        views: whether each face's mirror image is used too.
        combine: ``features`` for the mean of both images' features, ``rows`` for that of their
            probabilities.
        calibrator: the calibration of the head's probabilities.

    Raises:
        FerError: the weights cannot be loaded, or the head cannot be expressed.
    """
    keras, backbone = import_keras(), build_graph(spec)
    ops = keras.ops
    faces = keras.Input(spec.image_shape, dtype="uint8", name=INPUT)
    images = [faces, ops.flip(faces, axis=2)] if views else [faces]
    (output,) = spec.outputs
    found = []
    for image in images:
        features = backbone(image, training=False)
        layers = [features[f"{layer}/{output}"] for layer in spec.layers]
        found.append(layers[0] if len(layers) == 1 else ops.concatenate(layers, axis=-1))
    if combine == "features" and views:  # as the fit does: in float32, then as they are
        mean = _mean([ops.cast(one, "float32") for one in found])
        found = [ops.cast(mean, found[0].dtype)]
    inputs = keras.Input(found[0].shape[1:], dtype=found[0].dtype)
    of_head = keras.Model(inputs, head_graph(head, inputs), name="head")  # once, for both images
    probability = _mean([of_head(one) for one in found])
    if calibrator is not None:
        probability = calibrator_graph(calibrator, probability)
    return keras.Model(faces, keras.layers.Identity(name=OUTPUT)(probability), name="model")


def _mean(tensors: list[Any]) -> Any:
    ops = import_keras().ops
    return tensors[0] if len(tensors) == 1 else ops.mean(ops.stack(tensors), axis=0)


def facts_of(model: Model) -> Facts:
    """What an exported file says of its model."""
    record = model.record
    return {
        "model": model.name,
        "classes": list(model.classes),
        "positive": record.task.positive,
        "threshold": model.threshold,
        "backbone": record.spec.backbone,
        "backbone_learnt_from": record.spec.learnt_from,
        "head": record.head,
        "head_learnt_from": f"{record.data.name}: {record.data.rows:,} rows",
        "crop": record.crop,
    }


def _check_requirements(format_: str) -> None:
    if format_ == "keras":
        return
    if backend_name() != "tensorflow":
        raise FerError(
            f"models are exported to {format_} with Keras on TensorFlow, not on {backend_name()}",
            hint="set KERAS_BACKEND=tensorflow, or use --format keras",
        )
    missing = {"onnx": ("onnx", "tf2onnx"), "openvino": ()}[format_]
    try:
        import_openvino()  # it reads both formats
        for name in missing:
            __import__(name)
    except ImportError as error:
        extra = ("onnx",) if missing else ()
        raise FerError(f"{error.name} is not installed", hint=install_hint(*extra)) from error


def write_checked(
    graph: Any,
    format_: Format,
    target: Path,
    facts: Facts,
    expected: Callable[[NDArray[np.uint8]], NDArray[Any]],
) -> float:
    """Write a graph beside its place, compare it, and move it there; the largest difference."""
    source = SampleFaces()
    (sample,) = source.read(source.index().row[:CHECKED], batch_size=CHECKED)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
            written = Path(folder, target.name)
            with suppressed_native_logs(), keras_settings(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the converters' own, which nobody here can act on
                format_.write(graph, written, facts)
                found = format_.load(written)(sample.images)
            difference = float(np.abs(found - expected(sample.images)).max())
            if not difference <= TOLERANCE:
                raise FerError(
                    f"the exported graph differs from the model by {difference:.2g}, more than "
                    f"{TOLERANCE:g}; nothing was written"
                )
            for file in sorted(Path(folder).iterdir()):
                shutil.move(file, target.with_name(file.name))
    except OSError as error:
        raise FerError(
            f"{target} cannot be written: {reason_of(error)}",
            hint="make room there, or name another place with --out",
        ) from error
    return difference


def _write_keras(graph: Any, path: Path, facts: Facts) -> None:
    graph.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(METADATA, json.dumps(facts, indent=1))


def _write_openvino(graph: Any, path: Path, facts: Facts) -> None:
    ov, raw = import_openvino(), path.with_name("raw.xml")
    graph.export(str(raw), format="openvino", verbose=False)
    network = ov.Core().read_model(raw)
    network.input(0).set_names({INPUT})
    network.output(0).set_names({OUTPUT})
    for name, value in facts.items():
        network.set_rt_info(json.dumps(value), ["fer_features", name])
    ov.save_model(network, path, compress_to_fp16=False)
    del network  # it maps the file
    for suffix in (".xml", ".bin"):
        raw.with_suffix(suffix).unlink()


def _write_onnx(graph: Any, path: Path, facts: Facts) -> None:
    import onnx

    graph(np.zeros((1, *graph.input_shape[1:]), np.uint8))  # Keras asks for a call before
    graph.export(str(path), format="onnx", verbose=False)
    content = onnx.load(path)
    made = content.graph
    old = made.output[0].name
    for node in made.node:
        node.output[:] = [OUTPUT if name == old else name for name in node.output]
    made.output[0].name = OUTPUT
    for one in (made.input[0], made.output[0]):
        one.type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.helper.set_model_props(content, {name: json.dumps(one) for name, one in facts.items()})
    onnx.checker.check_model(content)
    onnx.save(content, path)


def _load_keras(path: Path) -> Callable[[NDArray[np.uint8]], NDArray[Any]]:
    graph = import_keras().saving.load_model(path, safe_mode=True)
    return lambda faces: np.asarray(graph.predict(faces, verbose=0))


def _load_openvino(path: Path) -> Callable[[NDArray[np.uint8]], NDArray[Any]]:
    ov = import_openvino()
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda faces: np.asarray(compiled(faces)[0])


FORMATS = {
    "onnx": Format(".onnx", b"\x08", _write_onnx, _load_openvino),
    "openvino": Format(".xml", b"<?xml", _write_openvino, _load_openvino),
    "keras": Format(".keras", b"PK", _write_keras, _load_keras),
}
"""By name on the command line."""
