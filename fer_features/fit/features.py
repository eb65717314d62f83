"""The features of a data set: layers concatenated, views averaged, each output read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.cache import Cache
from fer_features.config import FitConfig
from fer_features.errors import FerError
from fer_features.fit.dataset import Dataset, load_dataset
from fer_features.runtime.flags import make_config
from fer_features.runtime.progress import Progress, no_progress

_BLOCK = 2048


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """What a scikit-learn estimator is fitted on.

    Attributes:
        X: float32 (N, C) pooled features, or float16 (N, h, w, C) maps.
        y: int64 (N,), class codes.
        groups: int64 (N,), equal for copies of one photograph, which must not be separated.
        classes: the classes' names, by code.
    """

    X: NDArray[Any]
    y: NDArray[np.int64]
    groups: NDArray[np.int64]
    classes: tuple[str, ...]


def labelled_features(
    cache: Cache, *, output: str = "pooled", progress: Progress = no_progress, **options: Any
) -> LabelledFeatures:
    """Features, labels and groups of copies of the rows extracted last.

    Args:
        cache: an open cache.
        output: ``pooled`` or ``map``.
        progress: progress callback of the search for copies.
        **options: fields of `FitConfig` that select features, or select and label rows:
            ``features``, ``views``, ``task``, ``labels``, ….

    Raises:
        FerError: there is no such option, or the cache does not hold what is asked for.
    """
    dataset = load_dataset(cache, make_config(FitConfig, "fit", options), progress=progress)
    X = read_features(dataset, output)
    return LabelledFeatures(X, dataset.y, dataset.groups.linked, dataset.task.class_names)


def read_features(dataset: Dataset, output: str) -> NDArray[Any]:
    """Features of all rows, ``pooled`` float32 (N, C) or ``map`` float16 (N, h, w, C).

    Raises:
        FerError: the cache does not hold them, or they cannot be concatenated.
    """
    if output not in dataset.features:
        check_features(dataset, output)
        dataset.features[output] = _read(dataset, output)
    return dataset.features[output]


def check_features(dataset: Dataset, output: str) -> None:
    """Check that the cache holds the features of all rows, and that they can be concatenated.

    Raises:
        FerError: features are missing, or maps are of different sizes.
    """
    cache, shapes = dataset.cache, dataset.cache.shapes()
    sizes = set()
    for name in (f"{layer}/{output}" for layer in dataset.layers):
        for view in (name, *(f"{name}_{view}" for view in dataset.views)):
            if not cache.done((view,))[dataset.rows].all():
                raise FerError(
                    f"{cache.path} does not hold {view} of all {len(dataset.rows):,} rows",
                    hint=f"it holds {', '.join(cache.features)}; fer extract with the same "
                    "task and --layer, --output and --views adds more",
                )
        sizes.add(shapes[name][1:-1])
    if len(sizes) > 1:
        raise FerError(
            f"maps of {' and '.join(' × '.join(map(str, size)) for size in sorted(sizes))} places "
            "cannot be joined",
            hint="join layers of one size, or take a head on pooled features",
        )


def _read(dataset: Dataset, output: str) -> NDArray[Any]:
    cache, rows = dataset.cache, dataset.rows
    if len(dataset.layers) == 1 and not dataset.views:
        return cache.read(dataset.layers[0], output, rows)
    shapes = [cache.shapes()[f"{layer}/{output}"] for layer in dataset.layers]
    joined = (*shapes[0][1:-1], sum(shape[-1] for shape in shapes))
    out = np.empty((len(rows), *joined), "f4" if output == "pooled" else "f2")
    for start in range(0, len(rows), _BLOCK):  # maps are large: one float32 block at a time
        block = slice(start, start + _BLOCK)
        means = [_mean_of_views(dataset, layer, output, rows[block]) for layer in dataset.layers]
        np.concatenate(means, axis=-1, out=out[block], casting="same_kind")
    return out


def _mean_of_views(
    dataset: Dataset, layer: str, output: str, rows: NDArray[np.int64]
) -> NDArray[Any]:
    mean = dataset.cache.read(layer, output, rows).astype(np.float32)
    for view in dataset.views:
        mean += dataset.cache.read(layer, f"{output}_{view}", rows)
    return mean / (1 + len(dataset.views))
