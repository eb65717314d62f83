"""What a precision costs: features against float32's, and the heads' test accuracy on each."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.config import PrecisionConfig
from fer_features.cache import Cache, last_selection
from fer_features.config import FitConfig
from fer_features.engines import PRECISIONS, choose_engine
from fer_features.errors import FerError
from fer_features.extract.extract import extract
from fer_features.fit.fit import fit_each
from fer_features.heads.base import EpochCallback
from fer_features.runtime.progress import Log, no_log, no_progress
from fer_features.runtime.progress import Progress as ExtractProgress

EXACT = PRECISIONS[0]


Progress = Callable[..., EpochCallback]
"""Called with a head's name and ``cache=`` its cache; returns a callback per epoch."""


@dataclass(frozen=True)
class Cosine:
    """Of a row's pooled features with the same row's in float32: the least, and the median."""

    least: float
    median: float


@dataclass
class PrecisionCost:
    """All that `fer bench precision` found.

    Attributes:
        data: the source of the images.
        weights: the network's weights.
        engine: which engine.
        accuracies: test accuracy by head and precision, seed by seed.
        rows: how many images.
        test_rows: how many of them the accuracy is of.
        caches: the cache file by precision.
        cosines: by precision, without float32.
        left_out: precisions that are not available here, and why.
    """

    data: str
    weights: str
    engine: str
    accuracies: dict[str, dict[str, list[float]]]
    rows: int = 0
    test_rows: int = 0
    caches: dict[str, str] = field(default_factory=dict)
    cosines: dict[str, Cosine] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def differences(self, head: str, precision: str) -> list[float]:
        """Test accuracy less that on float32's features, seed by seed."""
        by = self.accuracies[head]
        return [one - exact for one, exact in zip(by[precision], by[EXACT], strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types."""
        heads = {
            head: {
                precision: {
                    "test_accuracy": values,
                    "mean": mean(values),
                    "mean_difference": mean(self.differences(head, precision)),
                }
                for precision, values in by.items()
            }
            for head, by in self.accuracies.items()
        }
        cosines = {name: vars(one) for name, one in self.cosines.items()}
        return {**vars(self), "cosines": cosines, "accuracies": heads}


def measure_precision(
    config: PrecisionConfig,
    *,
    progress: ExtractProgress = no_progress,
    on_epoch: Any = None,
    log: Log = no_log,
) -> PrecisionCost:
    """Extract in each precision, compare the features, and fit the heads on each.

    The caches stay; the runs do not.

    Args:
        config: what to extract, and which heads to fit.
        progress: as for `extract`.
        on_epoch: as for `fit`.
        log: as for `extract`, in the first precision.

    Raises:
        FerError: the data, the weights or the configuration cannot be used.
    """
    if config.seeds < 1:
        raise FerError(f"--seeds must be at least 1, not {config.seeds}")
    engine = choose_engine(config.extract.engine, "auto").engine
    cost = PrecisionCost(
        data=config.extract.data,
        weights=config.extract.weights or "imagenet",
        engine=engine,
        accuracies={head: {} for head in config.heads},
    )
    pooled: dict[str, NDArray[np.float32]] = {}
    for precision in PRECISIONS:
        try:
            choose_engine(engine, precision)
        except FerError as error:
            cost.left_out[precision] = error.message
            continue
        wanted = replace(config.extract, engine=engine, precision=precision)
        done = extract(wanted, progress=progress, log=no_log if cost.caches else log)
        cost.rows, cost.caches[precision] = done.rows, str(done.cache)
        pooled[precision] = _pooled(done.cache)
        # Now, while `fit` takes this cache's selection for the one requested last.
        _fit_heads(config, done.cache, precision, cost, on_epoch)
    cost.cosines = {
        name: cosine(features, pooled[EXACT]) for name, features in pooled.items() if name != EXACT
    }
    return cost


def cosine(features: NDArray[np.float32], exact: NDArray[np.float32]) -> Cosine:
    """Row by row, (N, C) with (N, C); two rows of zeros are the same."""
    one, other = features.astype(np.float64), exact.astype(np.float64)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    same = (one == other).all(axis=1)
    values = np.where(same, 1.0, (one * other).sum(axis=1) / np.where(norms == 0, 1.0, norms))
    return Cosine(float(values.min()), float(np.median(values)))


def _pooled(path: Path) -> NDArray[np.float32]:
    """Features of the selection requested last, in the order of the source's rows."""
    with Cache(path) as cache:
        choice = cache.selection(last_selection(path))
        return cache.read(choice.layers[-1], "pooled", cache.places(choice))


def _fit_heads(
    config: PrecisionConfig,
    cache: Path,
    precision: str,
    cost: PrecisionCost,
    on_epoch: Any,
) -> None:
    of_cache = functools.partial(on_epoch, cache=cache) if on_epoch else None
    for seed in range(config.seeds):
        with tempfile.TemporaryDirectory() as folder:
            wanted = FitConfig(
                cache=cache,
                heads=config.heads,
                split=config.split,
                seed=seed,
                runs_dir=Path(folder),
            )
            for run in fit_each(wanted, on_epoch=of_cache):
                by_precision = cost.accuracies[run.record.head.name]
                by_precision.setdefault(precision, []).append(run.record.test.accuracy)
                cost.test_rows = run.record.split.test
