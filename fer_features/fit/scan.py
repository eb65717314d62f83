"""Fit heads to each cached layer and pooling, scored on the validation rows only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.base import clone

from fer_features.config import POOLINGS, FitConfig
from fer_features.data.splits import Split
from fer_features.errors import FerError
from fer_features.fit.dataset import Dataset
from fer_features.fit.features import head_output, read_views
from fer_features.fit.fit import check_head, log_notes, make_heads, open_dataset
from fer_features.fit.record import command
from fer_features.fit.resample import predict_rows
from fer_features.fit.scoring import Ready, fit_best, ways_to_combine
from fer_features.fit.split import split_dataset
from fer_features.heads.base import EpochCallback
from fer_features.runtime.progress import Log, Progress, no_log, no_progress
from fer_features.runtime.text import plain_text


@dataclass(frozen=True, kw_only=True)
class ScannedLayer:
    """What a head reaches on one output of a layer.

    Attributes:
        layer: the layer.
        output: ``pooled``, ``grid3`` or ``map``.
        values: feature values per image.
        head: the head's name.
        accuracy: on the validation rows, 0 to 1.
        log_loss: on the validation rows, in nats.
        seconds: wall time of the fit.
        command: the command that fits this head to these features and writes its run.
    """

    layer: str
    output: str
    values: int
    head: str
    accuracy: float
    log_loss: float
    seconds: float
    command: str


def scan_layers(
    config: FitConfig,
    *,
    on_epoch: Callable[[str], EpochCallback] | None = None,
    log: Log = no_log,
    progress: Progress = no_progress,
) -> list[ScannedLayer]:
    """Fit each of the heads to each cached layer and output that it can use.

    As in a fit, but the test rows are not predicted and no run is written. Cross-validation,
    learning curve, calibration and threshold are left to the fit.

    Args:
        config: which heads, on which rows; `pooling` limits the scan to one.
        on_epoch: called with what is fitted before each fit; returns its callback per epoch.
        log: callback for lines of text: what is left out, how the data were read and split.
        progress: progress callback of the search for copies, if no earlier command has made it.

    Returns:
        The lowest validation log loss first.

    Raises:
        FerError: the cache or the configuration cannot be used, or there is nothing to scan.
    """
    for flag, given in (("--features", config.features), ("--seeds", config.seeds != 1)):
        if given:
            raise FerError(f"--scan-layers does not go with {flag}", hint=f"leave {flag} out")
    heads = make_heads(config)
    found: list[ScannedLayer] = []
    with open_dataset(config, log=log, progress=progress) as (dataset, config):
        dataset, split = split_dataset(dataset, config)
        log_notes(dataset, split, config.seeds, log)
        usable = _usable_heads(heads, dataset, config, log)
        total = sum(map(len, usable.values()))
        for (layer, output), names in usable.items():
            one = _of_layer(dataset, layer, output)
            ready: Ready = {}
            for name in names:
                head = clone(heads[name])
                title = f"{name} on {layer}/{output} ({len(found) + 1} of {total})"
                head.on_epoch = on_epoch(title) if on_epoch else None
                found.append(_fit(head, one, split, config, ready=ready))
    return sorted(found, key=lambda one: one.log_loss)


def _of_layer(dataset: Dataset, layer: str, output: str) -> Dataset:
    """The data set with the features of another layer, none of them read."""
    return replace(dataset, layers=(layer,), pooling=output, arrays={})


def _usable_heads(
    heads: dict[str, Any], dataset: Dataset, config: FitConfig, log: Log
) -> dict[tuple[str, str], list[str]]:
    """By cached layer and output, the names of the heads that can be fitted to it.

    Raises:
        FerError: there are none.
    """
    usable: dict[tuple[str, str], list[str]] = {}
    left_out = []
    for column in dataset.cache.features:
        layer, output = column.split("/")
        if output not in ("map", *([config.pooling] if config.pooling else POOLINGS)):
            continue  # mirror images go with the images, and --pooling chooses
        one = _of_layer(dataset, layer, output)
        for name, head in heads.items():
            if (head.needs == "map") != (output == "map"):
                continue
            try:
                check_head(head, one)
            except FerError as error:
                left_out.append(f"left out: {error.message}")
            else:
                usable.setdefault((layer, output), []).append(name)
    for text in dict.fromkeys(left_out):
        log(text)
    if not usable:
        cache = dataset.cache
        raise FerError(
            f"{cache.path}: none of its layers can be scanned with {', '.join(heads)}",
            hint=f"it holds {', '.join(cache.features)}; fer extract with the same task and "
            "--layer, --output and --views adds more",
        )
    return usable


def _fit(
    head: Any, dataset: Dataset, split: Split, config: FitConfig, *, ready: Ready
) -> ScannedLayer:
    """Fit a head to the training rows, as `fit_and_score` does, and score the validation rows."""
    output = head_output(dataset, head)
    ways = ways_to_combine(dataset, config)
    shapes = [view.shape for one in ways for view in read_views(one, output)]
    started = perf_counter()
    head, dataset, _ = fit_best(head, ways, split, ready)
    seconds = perf_counter() - started
    probability = predict_rows(head, dataset, split.validation).astype(np.float64)
    scores = dataset.score(split.validation, probability)
    (layer,) = dataset.layers
    pooling = None if output == "map" else output
    again = replace(config, features=layer, pooling=pooling)
    reused = head.chosen_.get("fitted_before", ())
    return ScannedLayer(
        layer=layer,
        output=output,
        values=math.prod(shapes[0][1:]),
        head=head.name,
        accuracy=scores.accuracy,
        log_loss=scores.log_loss,
        seconds=seconds,
        command=plain_text(command(again, head.name, dataset.cache.path, reused=reused)),
    )
