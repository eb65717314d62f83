"""The `fer extract` that adds to a cache what a fit lacks."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fer_features.config import ExtractConfig
from fer_features.data.tasks import TASKS
from fer_features.fit.dataset import Dataset
from fer_features.runtime.flags import words_of
from fer_features.runtime.text import plain_text


def extract_command(dataset: Dataset, layers: Sequence[str], output: str) -> str:
    """The command that adds an output of some layers, of all rows and views of a data set.

    A cache knows its source by its file name only, and a task of the user's own by the task's name.

    Args:
        dataset: the rows, and the views that are used.
        layers: the layers.
        output: ``pooled``, ``grid3`` or ``map``.
    """
    cache, selection = dataset.cache, dataset.selection
    spec, info, task = cache.header.spec, selection.info, dataset.task
    selected = np.isin(dataset.rows, cache.places(selection)).all()
    same = selected and task.to_dict() == info["task"]
    config = ExtractConfig(
        skip_bad=info["skip_bad"],
        detect="detector" in cache.header.dataset,
        ignore=tuple(info.get("ignore", ())),
        classes=info.get("classes", {}),
        backbone=spec["backbone"],
        task=task.name if task.name in TASKS else f"{task.name}.toml",
        per_class=info["per_class"] if same else "all",
        preprocess=spec["preprocess"],
        layers=tuple(layers),
        outputs=(output,),
        views=dataset.views,
        seed=info["seed"] if same else ExtractConfig.seed,
        cache_dir=cache.path.parent,
    )
    if spec["weights"] != "none":
        network = {name: spec[name] for name in ("weights", "size", "precision")}
        config = replace(config, **network)
    source = str(cache.header.dataset["name"])
    return plain_text(shlex.join(["fer", "extract", source, *words_of(config, skip=("data",))]))
