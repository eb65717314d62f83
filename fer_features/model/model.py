"""`Model`: faces in, probabilities out."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import Weights, get_backbone
from fer_features.config import CACHE_DIR
from fer_features.data import IMAGE_SIZE
from fer_features.engines import Engine, Features, GraphSpec, choose_for, make_engine
from fer_features.errors import FerError
from fer_features.heads.calibration import Calibrator
from fer_features.model.faces import Picture, as_faces
from fer_features.model.file import write_model
from fer_features.model.pictures import detect_and_predict
from fer_features.model.record import ModelRecord
from fer_features.model.weights import find_weights, weights_to_keep
from fer_features.runtime.hardware import cpu_has_bfloat16

if TYPE_CHECKING:
    from fer_features.detect.detector import Detector
    from fer_features.model.predictions import Predictions

FEW = 8
"""Images that are computed one by one where the engine's batches have a fixed size."""

BLOCK = 512
"""Images whose features are in memory at once: maps are large."""

GRAPHS = CACHE_DIR / "graphs"
"""Where OpenVINO's graphs of networks are kept that Keras had to build."""


class Model:
    """A fitted head with its backbone, views, calibration and threshold.

    The network is built when the first probabilities are asked for. Calls from several threads
    wait for each other.

    Attributes:
        name: its name in tables: ``fernet``, or of a file or run ``model@1a2b3c4d``.
        stem: its name without the digest.
        record: what its file says of it.
        head: the fitted head.
        calibrator: the calibration of its probabilities, or None.
        classes: the classes' names, in the order of the probabilities.
        threshold: least probability of the positive class that is called positive, or None.
        uncertain_below: highest probability below which an answer is uncertain, or None.
        crop: the rule by which the faces that it is for are cut out of pictures.
    """

    def __init__(
        self,
        record: ModelRecord,
        head: Any,
        *,
        engine: str = "auto",
        precision: str | None = None,
        name: str = "",
        digest: str = "",
        folders: Sequence[Path] = (),
        inside: Path | None = None,
    ) -> None:
        """Put a model together; `load_model` reads one.

        Args:
            record: what the model's file says.
            head: the fitted head.
            engine: ``keras``, ``openvino`` or ``auto``: the fastest here.
            precision: ``float32``, ``bfloat16`` or ``auto``; None for that of the features that
                the head was fitted to, or float32 where the processor has no bfloat16.
            name: its name; empty for the record's.
            digest: of the file that it comes from, in hex: it tells models of one name apart.
            folders: where to look for a local file of weights.
            inside: the weights that were in the model's file.
        """
        self.record, self.head = record, head
        self.stem, self.classes = name or record.name, record.classes
        self.name = f"{self.stem}@{digest[:8]}" if digest else self.stem
        self.threshold, self.crop = record.threshold, record.crop
        self.uncertain_below = record.uncertain.below if record.uncertain else None
        self._engine, self._precision = engine, precision
        self._folders, self._inside = folders, inside
        self._lock = Lock()
        self._engines: dict[int | None, Engine] = {}
        weakref.finalize(self, _close, self._engines)
        calibrator = record.calibrator
        self.calibrator = None
        if calibrator is not None:
            self.calibrator = Calibrator.from_dict(
                {"method": calibrator.__struct_config__.tag}
                | {name: getattr(calibrator, name) for name in calibrator.__struct_fields__}
            )

    @cached_property
    def weights(self) -> Weights:
        """The backbone's weights.

        Raises:
            FerError: they are not found, or others.
        """
        return find_weights(self.record.spec, inside=self._inside, folders=self._folders)

    @cached_property
    def graph(self) -> GraphSpec:
        """What the engine computes.

        Raises:
            FerError: the weights are not found, or the engine cannot compute this.
        """
        spec = self.record.spec
        return GraphSpec(
            backbone=get_backbone(spec.backbone),
            weights=self.weights,
            size=spec.size,
            preprocess=spec.preprocess,
            layers=tuple(self.record.layers),
            outputs=(self.record.output,),
            image_shape=(IMAGE_SIZE, IMAGE_SIZE),
            precision=self._choice.precision,
        )

    @cached_property
    def _choice(self) -> Any:
        backbone = get_backbone(self.record.spec.backbone)
        wanted = self._precision or self.record.spec.precision
        choice = choose_for(backbone, self._engine, "float32")
        if wanted == "bfloat16" and not self._precision and choice.engine == "openvino":
            wanted = "bfloat16" if cpu_has_bfloat16() else "float32"
        return choose_for(backbone, self._engine, wanted)

    def engine(self, n: int | None = None) -> Engine:
        """The engine for batches of `n` images; None for as many as are fastest."""
        if n not in self._engines:
            self._engines[n] = make_engine(
                self._choice.engine, self.graph, batch_size=n, graphs=GRAPHS
            )
        return self._engines[n]

    def features(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """The layers' features of images uint8 (N, 48, 48), as the head takes them."""
        few = len(images) <= FEW and self._choice.engine == "openvino"
        engine = self.engine(1 if few else None)
        size, waiting, found = engine.batch_size, [], []
        for start in range(0, len(images), size):
            waiting.append(engine.submit(images[start : start + size]))
            if len(waiting) > engine.depth:
                found.append(self._joined(waiting.pop(0).result()))
        found += [self._joined(one.result()) for one in waiting]
        return np.concatenate(found)

    def _joined(self, features: Features) -> NDArray[Any]:
        record = self.record
        parts = [features[f"{layer}/{record.output}"] for layer in record.layers]
        try:
            return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        except ValueError as error:
            raise FerError("the model's layers are of different sizes") from error

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Calibrated probabilities float64 (N, K) of faces uint8 (N, 48, 48); rows sum to 1.

        Raises:
            FerError: the weights are not found, or the head does not fit the features.
        """
        blocks = [images[start : start + BLOCK] for start in range(0, len(images), BLOCK)]
        with self._lock:
            found = [self._of_block(block) for block in blocks]
        return np.concatenate([*found, np.empty((0, len(self.classes)))])

    def _of_block(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        record = self.record
        views = [images, *([images[:, :, ::-1]] if record.views else [])]
        features = self.features(np.ascontiguousarray(np.concatenate(views)))
        each = np.split(features, len(views))
        if record.combine == "features" and len(each) > 1:
            each = [_mean(each)]
        try:
            probability = np.mean([self.head.predict_proba(one) for one in each], axis=0)
        except ValueError as error:
            why = error.message if isinstance(error, FerError) else str(error).partition("\n")[0]
            raise FerError(
                f"the model's head does not fit its features: {why}",
                hint="save it again from its run with fer model save",
            ) from error
        probability = probability.astype(np.float64)
        return self.calibrator.apply(probability) if self.calibrator else probability

    def labels(self, probabilities: NDArray[Any]) -> NDArray[np.str_]:
        """Each row's class (N,): the most probable, or by the threshold where there is one."""
        codes = probabilities.argmax(axis=1)
        if self.threshold is not None:
            code = self.classes.index(str(self.record.task.positive))
            codes = np.where(probabilities[:, code] >= self.threshold, code, 1 - code)
        return np.asarray(np.array(self.classes)[codes])

    def predict_proba(self, faces: Picture | Sequence[Picture]) -> NDArray[np.float64]:
        """Probabilities (N, K) of faces; the whole picture is the face, nothing is detected.

        Args:
            faces: uint8 (N, 48, 48) or (N, 2304), a path or a PIL image, or a sequence of
                pictures: uint8 arrays (H, W) or (H, W, 3), paths, or PIL images.

        Raises:
            FerError: one cannot be read, or is no picture.
        """
        return self.probabilities(as_faces(faces))

    def predict(self, faces: Picture | Sequence[Picture]) -> NDArray[np.str_]:
        """Each face's class (N,); arguments and errors as for `predict_proba`."""
        return self.labels(self.predict_proba(faces))

    def detect_and_predict(
        self, pictures: Any, *, detector: Detector | None = None, **options: Any
    ) -> Predictions:
        """Find the faces in pictures and videos, and predict them: a row a face.

        Args:
            pictures: a path, a PIL image or an array uint8 (H, W) or (H, W, 3), or several; a
                folder stands for all pictures and videos in it.
            detector: finds the faces; by default a new `Detector`.
            options: ``whole``, ``largest``, ``region`` and ``every``, as in `fer predict`.

        Returns:
            The rows in the pictures' order; one for a picture without a face, and for what cannot
            be read.

        Raises:
            FerError: a path does not exist, or something is no picture.
        """
        return detect_and_predict(self, pictures, detector=detector, **options)

    def save(self, path: str | Path, *, with_weights: bool = False) -> Path:
        """Write the model as one file, complete or not at all, and return its path.

        Args:
            path: the file; ``.fer`` is added where it has no suffix.
            with_weights: put the backbone's weights inside.

        Raises:
            FerError: it cannot be written, or the weights are not found.
        """
        weights = weights_to_keep(self.weights, self.record.spec) if with_weights else None
        return write_model(Path(path), self.record, self.head, weights=weights)


def _close(engines: dict[int | None, Engine]) -> None:
    """Release the engines' threads, which must not outlive the interpreter."""
    while engines:
        engines.popitem()[1].close()


def _mean(views: list[NDArray[Any]]) -> NDArray[Any]:
    """The mean of the views' features, as the fit averages them: in float32, then as they are."""
    mean = np.zeros((), np.float32)
    for one in views:
        mean = mean + one.astype(np.float32)
    return (mean / np.float32(len(views))).astype(views[0].dtype)
