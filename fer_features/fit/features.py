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
from fer_features.fit.extract_command import extract_command
from fer_features.runtime.flags import make_config
from fer_features.runtime.memory import new_array
from fer_features.runtime.progress import Progress, no_progress

_BLOCK = 2048


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """What a scikit-learn estimator is fitted on.

    Attributes:
        X: float32 (N, C) pooled features, (N, 9·C) grids, or float16 (N, h, w, C) maps.
        y: int64 (N,), class codes.
        groups: int64 (N,), equal for copies of one photograph, which must not be separated.
        classes: the classes' names, by code.
    """

    X: NDArray[Any]
    y: NDArray[np.int64]
    groups: NDArray[np.int64]
    classes: tuple[str, ...]


def labelled_features(
    cache: Cache, *, output: str | None = None, progress: Progress = no_progress, **options: Any
) -> LabelledFeatures:
    """Features, labels and groups of copies of the rows extracted last.

    Args:
        cache: an open cache.
        output: ``pooled``, ``grid3`` or ``map``; None for what heads on vectors are fitted to.
        progress: progress callback of the search for copies.
        **options: fields of `FitConfig` that select features, or select and label rows:
            ``features``, ``views``, ``task``, ``labels``, ….

    Raises:
        FerError: there is no such option, or the cache does not hold what is asked for.
    """
    dataset = load_dataset(cache, make_config(FitConfig, "fit", options), progress=progress)
    X = read_features(dataset, output or dataset.pooling)
    return LabelledFeatures(X, dataset.y, dataset.groups.linked, dataset.task.class_names)


def head_output(dataset: Dataset, head: Any) -> str:
    """What a head is fitted to: ``map``, or the data set's pooling for heads on vectors."""
    return "map" if head.needs == "map" else dataset.pooling


def read_views(dataset: Dataset, output: str) -> list[NDArray[Any]]:
    """The arrays that a head is fitted to: one, or one for each view if these are rows.

    Raises:
        FerError: as for `read_features`.
    """
    if not dataset.views or dataset.combine == "features":
        return [read_features(dataset, output)]
    return [read_features(dataset, output, view=view) for view in ("", *dataset.views)]


def read_features(dataset: Dataset, output: str, *, view: str | None = None) -> NDArray[Any]:
    """Features of all rows: float32 (N, C), or float16 (N, h, w, C) for ``map``.

    Args:
        dataset: the rows.
        output: ``pooled``, ``grid3`` or ``map``; None for what heads on vectors are fitted to.
        view: empty for the images as they are, or one of the views; None for the mean of all.

    Raises:
        FerError: the cache does not hold them, or they cannot be concatenated.
    """
    key = output, view
    if key not in dataset.arrays:
        check_features(dataset, output)
        views = ("", *dataset.views) if view is None else (view,)
        dataset.arrays[key] = _read(dataset, output, views)
    return dataset.arrays[key]


def check_features(dataset: Dataset, output: str) -> None:
    """Check that the cache holds the features of all rows, and that they can be concatenated.

    Raises:
        FerError: features are missing, or maps are of different sizes.
    """
    cache, shapes = dataset.cache, dataset.cache.shapes()
    missing = [
        (layer, name)
        for layer in dataset.layers
        for name in _names(layer, output, ("", *dataset.views))
        if not cache.done((name,))[dataset.rows].all()
    ]
    if missing:
        layers, names = zip(*missing, strict=True)
        raise FerError(
            f"{cache.path} does not hold {' and '.join(names)} of all {len(dataset.rows):,} rows",
            hint=f"it holds {', '.join(cache.features)}; to add it: "
            f"{extract_command(dataset, tuple(dict.fromkeys(layers)), output)}",
        )
    sizes = {shapes[f"{layer}/{output}"][1:-1] for layer in dataset.layers}
    if len(sizes) > 1:
        raise FerError(
            f"maps of {' and '.join(' × '.join(map(str, size)) for size in sorted(sizes))} places "
            "cannot be joined",
            hint="join layers of one size, or take a head on pooled features",
        )


def _read(dataset: Dataset, output: str, views: tuple[str, ...]) -> NDArray[Any]:
    cache, rows = dataset.cache, dataset.rows
    names = [_names(layer, output, views) for layer in dataset.layers]
    if len(names) == len(names[0]) == 1:
        return _column(cache, names[0][0], rows)
    shapes = [cache.shapes()[f"{layer}/{output}"] for layer in dataset.layers]
    joined = (*shapes[0][1:-1], sum(shape[-1] for shape in shapes))
    what = f"{len(rows):,} rows of {' and '.join(name for of_layer in names for name in of_layer)}"
    out = new_array((len(rows), *joined), "f2" if output == "map" else "f4", what)
    for start in range(0, len(rows), _BLOCK):  # maps are large: one float32 block at a time
        block = slice(start, start + _BLOCK)
        means = [_mean(cache, of_layer, rows[block]) for of_layer in names]
        np.concatenate(means, axis=-1, out=out[block], casting="same_kind")
    return out


def _names(layer: str, output: str, views: tuple[str, ...]) -> list[str]:
    """The cache's names of one output of a layer, by view."""
    return [f"{layer}/{output}_{view}" if view else f"{layer}/{output}" for view in views]


def _mean(cache: Cache, names: list[str], rows: NDArray[np.int64]) -> NDArray[Any]:
    mean = np.zeros((), np.float32)
    for name in names:
        mean = mean + _column(cache, name, rows).astype(np.float32)
    return np.asarray(mean / np.float32(len(names)))


def _column(cache: Cache, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
    layer, output = name.split("/")
    return cache.read(layer, output, rows)
