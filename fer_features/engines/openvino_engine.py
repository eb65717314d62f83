"""Run a frozen backbone with OpenVINO on the CPU."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.weights import file_sha256
from fer_features.engines.engine import Features, GraphSpec, OutputSpecs, fill_up
from fer_features.errors import FerError
from fer_features.runtime.openvino_runtime import import_openvino

BATCH = 32
GRAPH_VERSION = 2
"""Part of a graph's key: to be raised when `build_graph` makes another one from the same spec."""

_DRAFT = ".draft-"
_FORGOTTEN_S = 3600
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoEngine:
    """A Keras graph, exported once, kept on disk, and run with several requests in flight.

    Args:
        spec: what is to be computed.
        batch_size: images that go through the network at once; None for 32.
        graphs: the folder in which exported graphs are kept. One that is there is checked against
            its SHA-256; Keras is only needed for one that is not.
        log: told, in a few words, of an export, which takes long.

    Raises:
        FerError: the weights cannot be had, or OpenVINO cannot compile the graph.
    """

    def __init__(
        self,
        spec: GraphSpec,
        *,
        batch_size: int | None = None,
        graphs: Path,
        log: Callable[[str], None] | None = None,
    ) -> None:
        ov = import_openvino()
        self.batch_size = batch_size or BATCH
        folder = find_graph(spec, graphs, log=log)
        core = ov.Core()
        network = core.read_model(folder / "graph.xml")
        network.reshape([self.batch_size, *spec.image_shape])
        wanted = _PRECISIONS[spec.precision]
        self._model = core.compile_model(
            network, "CPU", {"INFERENCE_PRECISION_HINT": wanted, "PERFORMANCE_HINT": "THROUGHPUT"}
        )
        found = self._model.get_property("INFERENCE_PRECISION_HINT").to_string()
        if found != wanted:
            raise FerError(f"OpenVINO computes in {found} here, not in {spec.precision}")
        self.depth = int(self._model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self.name = f"openvino {version('openvino')} on CPU"
        self._queue = ov.AsyncInferQueue(self._model, self.depth)
        self._queue.set_callback(_hand_over)

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
        """Start on up to `batch_size` images, uint8 (N, H, W); waits for a free request."""
        future: Future[Features] = Future()
        whole = fill_up(images, self.batch_size)
        self._queue.start_async({0: whole}, userdata=(future, len(images)))
        return future

    def close(self) -> None:
        """Wait for what is in flight."""
        self._queue.wait_all()


def _hand_over(request: Any, userdata: tuple[Future[Features], int]) -> None:
    """Copy a finished request's features, which the next batch will overwrite."""
    future, n = userdata
    try:
        features = {
            port.any_name: request.get_tensor(port).data[:n].copy()
            for port in request.model_outputs
        }
    except BaseException as error:  # it must reach whoever waits, on whichever thread this runs
        future.set_exception(error)
    else:
        future.set_result(features)


def graph_key(spec: GraphSpec) -> str:
    """Sixteen hex digits that are the same for the same graph with the same weights."""
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


def find_graph(spec: GraphSpec, graphs: Path, *, log: Callable[[str], None] | None = None) -> Path:
    """The folder with the exported graph, made now if it is not there or not as it was written.

    Raises:
        FerError: the weights cannot be had, or the graph cannot be written.
    """
    folder = graphs / f"{spec.backbone.name}-{graph_key(spec)}"
    if folder.exists() and not _is_whole(folder):
        shutil.rmtree(folder)
    if not folder.exists():
        if log is not None:
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
    from fer_features.runtime.keras_runtime import keras_settings, without_chatter

    model = build_graph(replace(spec, precision="float32"))  # OpenVINO narrows it by itself
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{_DRAFT}*"):  # by a process that was killed
        if time.time() - left.stat().st_mtime > _FORGOTTEN_S:
            shutil.rmtree(left, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder.parent))
    try:
        with without_chatter(), keras_settings():
            model.export(str(draft / "graph.xml"), format="openvino", verbose=False)
        digests = {path.name: file_sha256(path) for path in draft.iterdir()}
        (draft / "sha256.json").write_text(json.dumps(digests, indent=2), encoding="utf-8")
        draft.chmod(0o755)  # mkdtemp makes it private
        try:
            draft.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was quicker
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    try:
        digests = json.loads((folder / "sha256.json").read_text(encoding="utf-8"))
        return {"graph.xml", "graph.bin"} == set(digests) and all(
            file_sha256(folder / name) == digest for name, digest in digests.items()
        )
    except (OSError, ValueError):
        return False
