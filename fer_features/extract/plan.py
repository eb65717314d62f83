"""What is to be extracted: a configuration checked and resolved, and what of it is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import Backbone, Weights, get_backbone, resolve_weights, seen_images
from fer_features.backbones.backbone import PREPROCESSING
from fer_features.backbones.weights import learnt_from
from fer_features.backbones.weights_file import Seen
from fer_features.cache import (
    IMAGE,
    OF_NO_NETWORK,
    SEEN,
    SUFFIX,
    Cache,
    Header,
    RowSelection,
    check_same,
    filters,
)
from fer_features.config import OUTPUTS, VIEWS, DataChoice, ExtractConfig, FeatureSpec, cache_key
from fer_features.data import IMAGE_SIZE, BadRow, FaceSource, open_faces
from fer_features.data.tasks import choose_rows, load_task
from fer_features.engines import PRECISIONS, EngineChoice, GraphSpec, choose_for
from fer_features.engines.engine import check_batch
from fer_features.errors import FerError


@dataclass(frozen=True)
class Plan:
    """A configuration, checked and resolved: what is wanted, and where it goes.

    `seen` are the images that the weights have learnt from, None where that is not known.
    """

    source: FaceSource
    backbone: Backbone
    weights: Weights
    spec: FeatureSpec
    choice: RowSelection
    engine: EngineChoice
    path: Path
    compression: str | None
    bad: tuple[BadRow, ...]
    notes: tuple[str, ...]
    seen: Seen | None

    @property
    def repacks(self) -> bool:
        """Whether the cache that is there is to be packed in another way."""
        if self.compression is None or not self.path.exists():
            return False
        with Cache(self.path) as cache:
            return cache.compression != self.compression

    @property
    def header(self) -> Header:
        """What the cache says of itself."""
        return Header(
            spec=self.spec.to_dict(),
            dataset={"name": self.source.name, "sha256": self.source.digest()},
            key=cache_key(self.spec, self.source.digest()),
        )


@dataclass(frozen=True)
class Work:
    """One pass of the images through the network: rows that lack the same features of one view.

    Attributes:
        view: empty for the images as they are, or one of `VIEWS`.
        features: the names of what is missing.
        rows: int64, ascending numbers of the source's rows.
        engine: what runs it, for people; empty before it has been made.
        weights: what a person calls the weights; ``none`` where there are none.
        precision: the arithmetic's type.
        why: why this engine and this precision, where that was left to the program.
    """

    view: str
    features: tuple[str, ...]
    rows: NDArray[np.int64]
    engine: str = ""
    weights: str = ""
    precision: str = ""
    why: str = ""

    @property
    def computed(self) -> tuple[str, ...]:
        """Those of the features that the network computes: all but what is known of the images."""
        return tuple(name for name in self.features if name not in OF_NO_NETWORK)


def plan_extraction(config: ExtractConfig) -> Plan:
    """Check and resolve a configuration, without decoding an image or building a network.

    Raises:
        FerError: the data, the weights or the configuration cannot be used.
    """
    backbone = get_backbone(config.backbone)
    weights = resolve_weights(config.weights, backbone)
    task = load_task(config.task)
    known = (("preprocess", PREPROCESSING), ("outputs", OUTPUTS), ("views", VIEWS))
    for name, allowed in known:
        asked = getattr(config, name)
        for one in (asked,) if isinstance(asked, str) else asked:
            if one not in allowed:
                raise FerError(f"no such {name}: {one}", hint=f"known are {', '.join(allowed)}")
    if config.compression is not None:
        filters(config.compression)
    if backbone.descriptors is not None and config.preprocess != ExtractConfig.preprocess:
        raise FerError(f"{backbone.name} is not preprocessed", hint="leave --preprocess out")
    engine = choose_for(backbone, config.engine, config.precision)
    spec = FeatureSpec(
        backbone=backbone.name,
        weights=weights.label,
        weights_sha256=weights.sha256,
        size=config.size or backbone.default_size,
        preprocess=config.preprocess,
        precision=engine.precision,
        learnt_from=learnt_from(weights),
    )
    features = _names(config, backbone)
    graph_spec(backbone, weights, spec, features)  # says what is wrong with layers and size
    check_batch(config.batch_size, size=spec.size)
    seen = seen_images(weights)
    about = (IMAGE,) if seen is None else (IMAGE, SEEN)
    source = open_faces(
        config.data, skip_bad=config.skip_bad, ignore=config.ignore, classes=config.classes
    )
    index = source.index()
    places = choose_rows(task, index.emotion, per_class=config.per_class, seed=config.seed)
    how = DataChoice(
        task=task.to_dict(),
        per_class=config.per_class,
        seed=config.seed,
        skip_bad=config.skip_bad,
        source_rows=index.source_rows,
        ignore=config.ignore,
        classes=config.classes,
        notes=index.notes,
    )
    plan = Plan(
        source=source,
        backbone=backbone,
        weights=weights,
        spec=spec,
        choice=RowSelection(
            info=how.to_dict(), features=(*about, *features), rows=index.row[places]
        ),
        engine=engine,
        path=_path(config.cache_dir, source, spec),
        compression=config.compression,
        bad=index.bad,
        notes=index.notes,
        seen=seen,
    )
    return _in_another_precision(plan, config) or plan


def _names(config: ExtractConfig, backbone: Backbone) -> tuple[str, ...]:
    """The features asked for: layer by layer, the images as they are before their mirror images."""
    layers = dict.fromkeys(config.layers) or (backbone.default_layer,)
    outputs = [one for one in OUTPUTS if one in config.outputs]
    suffixes = ["", *(f"_{view}" for view in VIEWS if view in config.views)]
    return tuple(f"{layer}/{one}{end}" for layer in layers for end in suffixes for one in outputs)


def _path(folder: Path, source: FaceSource, spec: FeatureSpec) -> Path:
    words = [Path(source.name).name.split(".")[0], spec.backbone]
    words += [spec.weights, spec.precision] if spec.weights != "none" else []
    stem = "-".join(re.sub(r"[^A-Za-z0-9_]+", "", word) for word in words)
    return Path(folder) / f"{stem}-{cache_key(spec, source.digest())}{SUFFIX}"


def _in_another_precision(plan: Plan, config: ExtractConfig) -> Plan | None:
    """The plan that takes what is there in another precision, if any will do and this is whole."""
    if config.precision != "auto" or plan.path.exists():
        return None
    for precision in PRECISIONS:
        spec = replace(plan.spec, precision=precision)
        why = f"a cache in {precision} holds all that was asked for"
        other = replace(
            plan,
            spec=spec,
            engine=EngineChoice(plan.engine.engine, precision, why),
            path=_path(config.cache_dir, plan.source, spec),
        )
        if holds(other):
            return other
    return None


def holds(plan: Plan) -> bool:
    """Whether the cache holds all that is asked for, and knows that it was."""
    if not plan.path.exists():
        return False
    with Cache(plan.path) as cache:
        dataset = {"sha256": plan.source.digest()}
        check_same(cache, spec=plan.spec.identity, dataset=dataset)
        noted = [one for one in cache.selections if one.id == plan.choice.id]
        return (
            bool(noted)
            and plan.compression in (None, cache.compression)
            and set(plan.choice.features) <= set(noted[0].features)
            and bool(cache.done_of(plan.choice).all())
        )


def rows_there(plan: Plan) -> int:
    """How many of the rows asked for are there with all that was asked for."""
    if not plan.path.exists():
        return 0
    with Cache(plan.path) as cache:
        return int(cache.done_of(plan.choice).sum())


def missing_work(plan: Plan) -> Iterator[Work]:
    """What has to be computed: a pass for each view and each set of features that rows lack."""
    rows, features = plan.choice.rows, np.array(plan.choice.features)
    there = np.zeros((len(rows), len(features)), bool)
    if plan.path.exists():
        with Cache(plan.path) as cache:
            for column, name in enumerate(plan.choice.features):
                there[:, column] = cache.done_of(replace(plan.choice, features=(name,)))
    for view in ("", *VIEWS):
        columns = np.flatnonzero([_view(name) == view for name in features])
        lacking = ~there[:, columns]
        for pattern in np.unique(lacking, axis=0):
            if pattern.any():
                of_it = (lacking == pattern).all(axis=1)
                yield Work(view, tuple(features[columns[pattern]].tolist()), rows[of_it])


def _view(name: str) -> str:
    return next((view for view in VIEWS if name.endswith(f"_{view}")), "")


def plain_name(name: str) -> str:
    """What an engine calls a feature, whatever the view."""
    view = _view(name)
    return name.removesuffix(f"_{view}") if view else name


def graph_spec(
    backbone: Backbone, weights: Weights, spec: FeatureSpec, features: tuple[str, ...]
) -> GraphSpec:
    """The graph that computes `features`."""
    parts = [plain_name(name).split("/") for name in features]
    outputs = {output for _, output in parts}
    return GraphSpec(
        backbone=backbone,
        weights=weights,
        size=spec.size,
        preprocess=spec.preprocess,
        layers=tuple(dict.fromkeys(layer for layer, _ in parts)),
        outputs=tuple(one for one in OUTPUTS if one in outputs),
        image_shape=(IMAGE_SIZE, IMAGE_SIZE),
        precision=spec.precision,
    )
