"""`FeatureExtractor`: the features of images as a scikit-learn transformer."""

from __future__ import annotations

import hashlib
import logging
import math
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from fer_features.backbones import Backbone, get_backbone, resolve_weights
from fer_features.backbones.weights import size_of
from fer_features.cache import GRAPHS
from fer_features.cache.spec import FeatureSpec, cache_key
from fer_features.config import CACHE_DIR, GRID, OUTPUTS
from fer_features.data import IMAGE_SIZE
from fer_features.engines import Engine, EngineChoice, GraphSpec, choose_for, make_engine
from fer_features.errors import FerError

FOLDER = "extractor"
"""The folder of the feature files in `cache_dir`."""

BLOCK = 2048
"""Images computed between two writes: an interruption loses no more."""

WAIT_S = 86_400.0
"""How long to wait for another process that computes features into the same file."""

_TABLE = (
    "CREATE TABLE IF NOT EXISTS features "
    "(sha256 TEXT PRIMARY KEY, type TEXT, crc32 INTEGER, content BLOB)"
)

_logger = logging.getLogger(__name__)


class FeatureExtractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """Features of one layer of a frozen backbone.

    Images that were seen before, by any instance in any process with the same parameters, are read
    from a file in `cache_dir`, so that a cross-validation or a grid search runs the network once
    per distinct image. The network is built in the first `transform` that needs it, and shared by
    all clones in a process. `fit` learns nothing.

    Args:
        backbone: name of a backbone (`list_backbones`).
        weights: ``imagenet``, ``shipped``, ``random:SEED`` or a file; None for the default.
        layer: the layer to extract; None for the backbone's default.
        output: ``pooled``, ``grid3`` or ``map``; None for what heads on vectors are fitted to by
            default: ``grid3`` for networks such as ``efficientnet_lite0``, else ``pooled``.
        size: height and width that images are resized to; None for the backbone's default.
        engine: ``keras``, ``openvino`` or ``auto``: the fastest here.
        precision: ``float32``, ``bfloat16`` or ``auto``: bfloat16 if the hardware has it.
        batch_size: images per forward pass; None for the engine's default.
        cache_dir: the folder of computed features and exported graphs; None for ``cache``.

    Attributes:
        n_features_in_: pixels of an image, set by `fit`.
    """

    def __init__(
        self,
        backbone: str = "fernet",
        *,
        weights: str | None = None,
        layer: str | None = None,
        output: str | None = None,
        size: int | None = None,
        engine: str = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
        cache_dir: str | Path | None = None,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.layer = layer
        self.output = output
        self.size = size
        self.engine = engine
        self.precision = precision
        self.batch_size = batch_size
        self.cache_dir = cache_dir

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Check the parameters and the images.

        Raises:
            FerError: a parameter or `X` cannot be used.
        """
        self._graph()
        self.n_features_in_ = as_images(X)[0].size
        return self

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Features of images.

        Args:
            X: uint8 (N, 48, 48) grey levels, or (N, 2304), the same with flattened images.

        Returns:
            float32 (N, C) for ``pooled``, (N, 9·C) for ``grid3``; float16 (N, h, w, C) for ``map``.

        Raises:
            FerError: a parameter or `X` cannot be used, or the features cannot be stored.
        """
        rows = as_images(X)
        keys = [hashlib.sha256(row.tobytes()).hexdigest() for row in rows]
        images = dict(zip(keys, rows, strict=True))
        spec, choice = self._graph()
        folder = Path(CACHE_DIR if self.cache_dir is None else self.cache_dir)
        path = folder / FOLDER / f"{spec.backbone.name}-{_key(spec)}.sqlite"

        def compute(images: NDArray[np.uint8]) -> NDArray[Any]:
            engine = shared_engine(choice.engine, spec, self.batch_size, folder / GRAPHS)
            n = engine.batch_size
            running = [engine.submit(images[at : at + n]) for at in range(0, len(images), n)]
            return np.concatenate([array for part in running for array in part.result().values()])

        try:
            features = stored(path, images, compute)
        except (OSError, sqlite3.DatabaseError) as error:
            if type(error) is not sqlite3.DatabaseError:  # a subclass, such as for a full disk
                raise FerError(
                    f"{path}: features cannot be stored: {error}",
                    hint="make room, or take another cache_dir",
                ) from error
            _logger.warning("%s is damaged (%s): its features are computed again", path, error)
            path.unlink()
            features = stored(path, images, compute)
        return np.stack([features[key] for key in keys])

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """``LAYER_0``, ``LAYER_1``, …: a name for each feature of one image.

        Args:
            input_features: ignored.
        """
        spec, _ = self._graph()
        shapes = _layer_shapes(spec.backbone, spec.size)
        spec.backbone.check_layers(spec.layers, shapes)
        shape, output = shapes[spec.layers[0]], spec.outputs[0]
        flat = output == "map" or spec.backbone.descriptors is not None
        n = math.prod(shape) if flat else shape[-1] * (GRID**2 if output == "grid3" else 1)
        return np.array([f"{spec.layers[0]}_{k}" for k in range(n)], object)

    def _graph(self) -> tuple[GraphSpec, EngineChoice]:
        backbone = get_backbone(self.backbone)
        output = self.output or backbone.default_outputs[0]
        if output not in OUTPUTS:
            raise FerError(f"no such output: {output}", hint=f"known are {', '.join(OUTPUTS)}")
        choice = choose_for(backbone, self.engine, self.precision)
        weights = resolve_weights(self.weights, backbone)
        spec = GraphSpec(
            backbone=backbone,
            weights=weights,
            size=self.size or size_of(weights) or backbone.default_size,
            preprocess="keras",
            layers=(self.layer or backbone.default_layer,),
            outputs=(output,),
            image_shape=(IMAGE_SIZE, IMAGE_SIZE),
            precision=choice.precision,
        )
        return spec, choice

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        tags.no_validation = True  # of tables: images are checked by `as_images`
        tags.requires_fit = False
        return tags


def as_images(X: ArrayLike) -> NDArray[np.uint8]:
    """Images uint8 (N, 48, 48), from that or from (N, 2304).

    Raises:
        FerError: `X` is of another type or shape, or empty.
    """
    images = np.asarray(X)
    shapes = (IMAGE_SIZE, IMAGE_SIZE), (IMAGE_SIZE**2,)
    if images.dtype != np.uint8 or images.shape[1:] not in shapes:
        raise FerError(
            f"images must be uint8 of shape (N, {IMAGE_SIZE}, {IMAGE_SIZE}) or "
            f"(N, {IMAGE_SIZE**2}), not {images.dtype} of shape {images.shape}",
            hint="fer_features.load_faces reads pictures as such",
        )
    if not len(images):
        raise FerError("there is no image: X has 0 sample(s)")
    return images.reshape(-1, IMAGE_SIZE, IMAGE_SIZE)


@lru_cache(maxsize=4)  # clones share an engine, and a pickled extractor holds none
def shared_engine(name: str, spec: GraphSpec, batch_size: int | None, graphs: Path) -> Engine:
    """The engine of some parameters in this process."""
    return make_engine(name, spec, batch_size=batch_size, graphs=graphs)


@lru_cache
def _layer_shapes(backbone: Backbone, size: int) -> dict[str, tuple[int, ...]]:
    return backbone.layer_shapes(size)


def _key(spec: GraphSpec) -> str:
    """Sixteen hex digits that identify all that changes a feature's value."""
    features = FeatureSpec(
        backbone=spec.backbone.name,
        weights=spec.weights.label,
        weights_sha256=spec.weights.sha256,
        size=spec.size,
        preprocess=spec.preprocess,
        precision=spec.precision,
    )
    return cache_key(features, f"{spec.layers[0]}/{spec.outputs[0]}")


def stored(
    path: Path,
    images: Mapping[str, NDArray[np.uint8]],
    compute: Callable[[NDArray[np.uint8]], NDArray[Any]],
) -> dict[str, NDArray[Any]]:
    """Features of images by their hashes, from a file to which missing ones are added.

    Args:
        path: an SQLite file; it is created if need be.
        images: uint8 (48, 48) each, by SHA-256.
        compute: features of uint8 (N, 48, 48).

    Raises:
        sqlite3.DatabaseError: the file is damaged, or cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)) as file:
        file.execute(_TABLE)
        found = _read(file, images)
        missing = [key for key in images if key not in found]
        for start in range(0, len(missing), BLOCK):
            file.execute("BEGIN IMMEDIATE")  # others may read now, but not compute the same
            block = missing[start : start + BLOCK]
            found |= _read(file, block)
            new = [key for key in block if key not in found]
            if new:
                features = compute(np.stack([images[key] for key in new]))
                rows = zip(new, features, strict=True)
                file.executemany(
                    "INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?)",
                    [(key, _type(row), zlib.crc32(row), row.tobytes()) for key, row in rows],
                )
                found |= zip(new, features, strict=True)
            file.execute("COMMIT")
    return found


def _type(row: NDArray[Any]) -> str:
    return ",".join(map(str, (row.dtype, *row.shape)))


def _read(file: sqlite3.Connection, keys: Iterable[str]) -> dict[str, NDArray[Any]]:
    """The features that are stored, without those whose checksum is wrong."""
    found = {}
    for key in keys:
        query = "SELECT type, crc32, content FROM features WHERE sha256 = ?"
        for kind, crc32, content in file.execute(query, (key,)):
            if zlib.crc32(content) == crc32:
                dtype, *shape = kind.split(",")
                found[key] = np.frombuffer(content, dtype).reshape([int(n) for n in shape])
            else:
                _logger.warning("damaged features of image %s are computed again", key)
    return found
