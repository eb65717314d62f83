"""Run a backbone with OpenVINO on the CPU."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from concurrent.futures import Future
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.weights import file_sha256
from fer_features.engines.engine import Engine, Features, GraphSpec, OutputSpecs, pad_batch
from fer_features.engines.openvino_graph import direct_graph
from fer_features.errors import FerError
from fer_features.runtime.openvino_runtime import import_openvino
from fer_features.runtime.progress import Log, no_log

BATCH = 32
GRAPH = "graph.xml"
GRAPH_VERSION = 2
"""Part of a graph's key: to be raised when `build_graph` makes another one from the same spec."""

TEMPORARY = ".part-"
LEFTOVER_S = 3600
"""Age from which temporary folders are taken for those of killed processes."""

PRECISION_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoEngine(Engine):
    """A graph in OpenVINO, run with several requests in flight.

    Networks of this package are built directly; the others are exported from Keras once, and kept
    on disk.

    Args:
        spec: what to compute.
        batch_size: images per forward pass; None for 32.
        graphs: the folder of exported graphs. An existing graph is checked against its SHA-256;
            Keras is needed only to export a new one.
        threads: that compute; None for one a core.
        log: called before an export, which takes long.

    Raises:
        FerError: the weights cannot be loaded, or OpenVINO cannot compile the graph.
    """

    def __init__(
        self,
        spec: GraphSpec,
        *,
        batch_size: int | None = None,
        graphs: Path,
        threads: int | None = None,
        log: Log = no_log,
    ) -> None:
        ov = import_openvino()
        core = ov.Core()
        network = direct_graph(spec) or core.read_model(find_graph(spec, graphs, log=log) / GRAPH)
        network.reshape([batch_size or BATCH, *spec.image_shape])
        hint = PRECISION_HINTS[spec.precision]
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": hint,
            "PERFORMANCE_HINT": "THROUGHPUT",
        }
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        self._model = core.compile_model(network, "CPU", settings)
        found = self._model.get_property("INFERENCE_PRECISION_HINT").to_string()
        if found != hint:
            raise FerError(f"OpenVINO computes in {found} here, not in {spec.precision}")
        super().__init__(
            f"openvino {version('openvino')} on CPU",
            batch_size=batch_size or BATCH,
            depth=int(self._model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")),
        )
        self._queue = ov.AsyncInferQueue(self._model, self.depth)
        self._queue.set_callback(_complete)

    def outputs(self) -> OutputSpecs:
        """Shape for one image and dtype of each feature."""
        return {
            port.any_name: (
                tuple(port.partial_shape.get_shape()[1:]),
                str(np.dtype(port.element_type.to_dtype())),
            )
            for port in self._model.outputs
        }

    def submit(self, images: NDArray[np.uint8]) -> Future[Features]:
        """Start to compute up to `batch_size` images; waits for a free request."""
        future: Future[Features] = Future()
        batch = pad_batch(images, self.batch_size)
        self._queue.start_async({0: batch}, userdata=(future, len(images)))
        return future

    def compute(self, images: NDArray[np.uint8]) -> Features:
        """Features of up to `batch_size` images, uint8 (N, H, W)."""
        return self.submit(images).result()

    def close(self) -> None:
        """Wait for the requests in flight."""
        self._queue.wait_all()
        super().close()


def _complete(request: Any, userdata: tuple[Future[Features], int]) -> None:
    """Copy a finished request's features, which the next batch will overwrite."""
    future, n = userdata
    try:
        features = {
            port.any_name: request.get_tensor(port).data[:n].copy()
            for port in request.model_outputs
        }
    except BaseException as error:  # it has to reach the thread that waits for the future
        future.set_exception(error)
    else:
        future.set_result(features)


def graph_key(spec: GraphSpec) -> str:
    """Sixteen hex digits that identify a graph with its weights."""
    parts = {
        "version": GRAPH_VERSION,
        "backbone": spec.backbone.name,
        "weights": spec.weights.sha256,
        "size": spec.size,
        "preprocess": spec.preprocess,
        "layers": spec.layers,
        "outputs": spec.outputs,
        "image_shape": spec.image_shape,
        "keras": version("keras"),
        "openvino": version("openvino"),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def find_graph(spec: GraphSpec, graphs: Path, *, log: Log = no_log) -> Path:
    """The folder of the exported graph, which is exported if it is missing or damaged.

    Raises:
        FerError: the weights cannot be loaded, or the graph cannot be written.
    """
    folder = graphs / f"{spec.backbone.name}-{graph_key(spec)}"
    if folder.exists() and not _is_complete(folder):
        shutil.rmtree(folder)
    if not folder.exists():
        log(f"building {spec.backbone.name} with Keras and converting it for OpenVINO, once")
        try:
            _export(spec, folder)
        except OSError as error:
            raise FerError(
                f"{folder} cannot be written: {error.strerror or error}",
                hint="make room, or take another folder with --cache-dir",
            ) from error
    return folder


def _export(spec: GraphSpec, folder: Path) -> None:
    from fer_features.engines.graph import build_graph
    from fer_features.runtime.keras_runtime import keras_settings, suppressed_native_logs

    model = build_graph(replace(spec, precision="float32"))  # OpenVINO converts it by itself
    folder.parent.mkdir(parents=True, exist_ok=True)
    for leftover in folder.parent.glob(f"{TEMPORARY}*"):
        if time.time() - leftover.stat().st_mtime > LEFTOVER_S:
            shutil.rmtree(leftover, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder.parent))
    try:
        with suppressed_native_logs(), keras_settings():
            model.export(str(temporary / GRAPH), format="openvino", verbose=False)
        digests = {path.name: file_sha256(path) for path in temporary.iterdir()}
        (temporary / "sha256.json").write_text(json.dumps(digests, indent=2), encoding="utf-8")
        temporary.chmod(0o755)  # mkdtemp makes it private
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_complete(folder: Path) -> bool:
    try:
        digests = json.loads((folder / "sha256.json").read_text(encoding="utf-8"))
        found = {name: file_sha256(folder / name) for name in (GRAPH, "graph.bin")}
        return bool(found == digests)
    except (OSError, ValueError):
        return False
