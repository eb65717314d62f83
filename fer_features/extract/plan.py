"""What is to be extracted: a configuration checked and resolved, and what of it is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import Backbone, Weights, get_backbone, resolve_weights, seen_images
from fer_features.backbones.backbone import PREPROCESSING
from fer_features.backbones.weights import learnt_from, size_of
from fer_features.backbones.weights_file import Seen
from fer_features.cache import Cache, FeatureSpec, Header, RowSelection, cache_key, check_same
from fer_features.cache.folder import cache_path
from fer_features.cache.format import filters
from fer_features.cache.shard import Shard
from fer_features.config import OUTPUTS, VIEWS, ExtractConfig
from fer_features.data import IMAGE_SIZE, FaceIndex, FaceSource, open_source
from fer_features.data.summary import photograph_notes
from fer_features.data.tasks import Task, choose_rows, load_task
from fer_features.engines import PRECISIONS, EngineChoice, GraphSpec, choose_for
from fer_features.engines.engine import check_batch
from fer_features.errors import FerError
from fer_features.extract.detected import DetectedFaces
from fer_features.runtime.progress import Progress, no_progress


@dataclass(frozen=True)
class Plan:
    """A configuration, checked and resolved: what is requested, and where it goes.

    Attributes:
        config: the configuration.
        source: of the images.
        index: the source's labels and row numbers.
        backbone: the network or descriptor.
        weights: its weights.
        seen: the images that the weights were trained on; None if unknown.
        spec: all that changes a feature's value.
        engine: what runs the backbone, and why.
        selection: the rows and their features.
        path: the cache.
        complete: whether the cache holds all that is requested.
    """

    config: ExtractConfig
    source: FaceSource
    index: FaceIndex
    backbone: Backbone
    weights: Weights
    seen: Seen | None
    spec: FeatureSpec
    engine: EngineChoice
    selection: RowSelection
    path: Path
    complete: bool = False

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Remarks on how the source is read, for the user."""
        return (*self.index.notes, *photograph_notes(self.source, option="--detect"))

    @property
    def header(self) -> Header:
        """The cache's header."""
        return _header(self.source, self.spec)

    @property
    def columns(self) -> tuple[str, ...]:
        """All that is stored for a row: its image, perhaps its seen mark, and the features."""
        return ("image", *(["seen"] if self.seen else []), *self.selection.features)

    def graph(self, features: Iterable[str]) -> GraphSpec:
        """The graph that computes `features`.

        Raises:
            FerError: the backbone has no such layer, or does not take images of this size.
        """
        layers, outputs = zip(*(_split(name)[0].split("/") for name in features), strict=True)
        return GraphSpec(
            backbone=self.backbone,
            weights=self.weights,
            size=self.spec.size,
            preprocess=self.spec.preprocess,
            layers=tuple(dict.fromkeys(layers)),
            outputs=tuple(one for one in OUTPUTS if one in outputs),
            image_shape=(IMAGE_SIZE, IMAGE_SIZE),
            precision=self.spec.precision,
        )

    def found(self, cache: Cache | None) -> int:
        """How many of the rows are in the cache, with all that is requested."""
        rows = self.selection.rows
        return int(cache.holds(rows, self.columns).sum()) if cache is not None else 0

    def missing(self, cache: Cache | None) -> list[Pass]:
        """What has to be computed: a pass for each view and each set of columns that rows lack."""
        rows, columns = self.selection.rows, np.array(self.columns)
        lacking = np.ones((len(rows), len(columns)), bool)
        if cache is not None:
            lacking = ~np.stack([cache.holds(rows, [name]) for name in self.columns], axis=1)
        passes = []
        for view in ("", *VIEWS):
            of_view = np.flatnonzero([_split(name)[1] == view for name in self.columns])
            for pattern in np.unique(lacking[:, of_view], axis=0):
                if pattern.any():
                    where = (lacking[:, of_view] == pattern).all(axis=1)
                    names = tuple(columns[of_view[pattern]].tolist())
                    passes.append(Pass(view, names, rows[where]))
        return passes


@dataclass(frozen=True)
class Pass:
    """One pass over images: rows that lack the same columns of one view.

    Attributes:
        view: empty for the images as they are, or one of `VIEWS`.
        columns: names of the missing columns.
        rows: int64, row numbers in the source, ascending.
    """

    view: str
    columns: tuple[str, ...]
    rows: NDArray[np.int64]

    @property
    def features(self) -> dict[str, str]:
        """The columns that the engine computes, and the engine's names for them."""
        return {name: _split(name)[0] for name in self.columns if "/" in name}


def plan_extraction(config: ExtractConfig, *, progress: Progress = no_progress) -> Plan:
    """Check and resolve a configuration, without decoding an image or building a network.

    But with `ExtractConfig.detect` the faces that are not known yet are found.

    Args:
        config: what to compute.
        progress: progress callback, if faces have to be found.

    Raises:
        FerError: the data, the weights, the configuration, or the cache that is there cannot be
            used.
    """
    backbone = get_backbone(config.backbone)
    weights = resolve_weights(config.weights, backbone)
    task = load_task(config.task)
    _check_names(config, backbone)
    engine = choose_for(backbone, config.engine, config.precision)
    spec = FeatureSpec(
        backbone=backbone.name,
        weights=weights.label,
        weights_sha256=weights.sha256,
        size=config.size or size_of(weights) or backbone.default_size,
        preprocess=config.preprocess,
        precision=engine.precision,
        learnt_from=learnt_from(weights),
    )
    backbone.check_size(spec.size)
    check_batch(config.batch_size, size=spec.size)
    source = open_source(config)
    if config.detect:
        source = DetectedFaces(source, config.cache_dir, config.skip_bad, progress=progress)
    index = source.index()
    rows = index.row[choose_rows(task, index.emotion, per_class=config.per_class, seed=config.seed)]
    info = _selection_info(config, task, index)
    plan = Plan(
        config=config,
        source=source,
        index=index,
        backbone=backbone,
        weights=weights,
        seen=seen_images(weights),
        spec=spec,
        engine=engine,
        selection=_shard(config, RowSelection(info, _feature_names(config, backbone), rows)),
        path=_path(config, source, spec),
    )
    plan.graph(plan.selection.features)  # checks the layers
    return _find_complete(plan)


def plan_shard(whole: Plan, shard: Shard, folder: Path) -> Plan:
    """The plan of a shard of a whole, whose precision is resolved, in a folder."""
    part = replace(
        whole,
        config=replace(whole.config, shard=str(shard)),
        selection=shard.part(whole.selection),
        path=shard.path(folder / whole.path.name),
    )
    return replace(part, complete=_is_complete(part))


def _check_names(config: ExtractConfig, backbone: Backbone) -> None:
    known = (
        ("preprocess", [config.preprocess], PREPROCESSING),
        ("outputs", config.outputs, OUTPUTS),
        ("views", config.views, VIEWS),
    )
    for option, names, allowed in known:
        for name in sorted(set(names) - set(allowed)):
            raise FerError(f"no such {option}: {name}", hint=f"known are {', '.join(allowed)}")
    if config.compression is not None:
        filters(config.compression)
    if config.shard is not None:
        Shard.parse(config.shard)
    if backbone.descriptors is not None and config.preprocess != ExtractConfig.preprocess:
        raise FerError(f"{backbone.name} is not preprocessed", hint="leave --preprocess out")


def _feature_names(config: ExtractConfig, backbone: Backbone) -> tuple[str, ...]:
    """The requested features: layer by layer, the images as they are before their mirror images."""
    layers = dict.fromkeys(config.layers) or (backbone.default_layer,)
    outputs = [one for one in OUTPUTS if one in (config.outputs or backbone.default_outputs)]
    suffixes = ["", *(f"_{view}" for view in VIEWS if view in config.views)]
    return tuple(f"{layer}/{one}{end}" for layer in layers for end in suffixes for one in outputs)


def _split(name: str) -> tuple[str, str]:
    """A column's name without the view, and the view."""
    view = next((one for one in VIEWS if name.endswith(f"_{one}")), "")
    return name.removesuffix(f"_{view}"), view


def _selection_info(config: ExtractConfig, task: Task, index: FaceIndex) -> dict[str, Any]:
    """How the rows were selected; without ignored classes, renamed ones and notes if none."""
    optional = {
        "source_rows": index.source_rows,
        "ignore": list(config.ignore),
        "classes": config.classes,
        "notes": list(index.notes),
    }
    return {
        "task": task.to_dict(),
        "per_class": config.per_class,
        "seed": config.seed,
        "skip_bad": config.skip_bad,
        **{name: value for name, value in optional.items() if value},
    }


def _shard(config: ExtractConfig, whole: RowSelection) -> RowSelection:
    return Shard.parse(config.shard).part(whole) if config.shard is not None else whole


def _header(source: FaceSource, spec: FeatureSpec) -> Header:
    digest = source.digest()
    dataset = {"name": source.name, "sha256": digest}
    if isinstance(source, DetectedFaces):
        dataset |= source.settings
    return Header(asdict(spec), dataset, cache_key(spec, digest))


def _path(config: ExtractConfig, source: FaceSource, spec: FeatureSpec) -> Path:
    whole = cache_path(config.cache_dir, _header(source, spec))
    return Shard.parse(config.shard).path(whole) if config.shard is not None else whole


def _find_complete(plan: Plan) -> Plan:
    """The plan; with precision ``auto``, that of another precision whose cache is complete."""
    if plan.path.exists() or plan.config.precision != "auto":
        return replace(plan, complete=_is_complete(plan))
    for precision in PRECISIONS:
        spec = replace(plan.spec, precision=precision)
        why = f"a cache in {precision} holds all that was requested"
        engine = EngineChoice(plan.engine.engine, precision, why)
        path = _path(plan.config, plan.source, spec)
        other = replace(plan, spec=spec, engine=engine, path=path)
        if _is_complete(other):
            return replace(other, complete=True)
    return plan


def _is_complete(plan: Plan) -> bool:
    """Whether the cache holds all that is requested, and the selection itself."""
    if not plan.path.exists():
        return False
    with Cache(plan.path) as cache:
        check_same(cache, spec=plan.spec.identity, dataset={"sha256": plan.source.digest()})
        return (
            any(
                one.id == plan.selection.id and set(plan.selection.features) <= set(one.features)
                for one in cache.selections
            )
            and plan.config.compression in (None, cache.compression)
            and plan.found(cache) == len(plan.selection.rows)
        )
