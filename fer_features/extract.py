"""Stage 1: read, run, write. Images in, a feature cache out."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from fer_features import __version__
from fer_features.backbones import Backbone, Weights, get_backbone, resolve_weights
from fer_features.backbones.backbone import PREPROCESSING
from fer_features.config import DataChoice, ExtractConfig, FeatureSpec, cache_key
from fer_features.errors import FerError
from fer_features.faces import IMAGE_SIZE, BadRow, Faces, FaceSource, open_faces
from fer_features.progress import Advance
from fer_features.store import SUFFIX, Cache, CacheWriter, Header, Rows, check_same
from fer_features.tasks import Task, choose_rows, load_task

OUTPUTS = ("pooled", "map")


@dataclass
class Clocks:
    """Seconds spent in each part of an extraction."""

    prepare: float = 0.0
    read: float = 0.0
    run: float = 0.0
    write: float = 0.0


@dataclass(frozen=True)
class Extraction:
    """What an extraction did.

    Attributes:
        cache: the cache file.
        rows: how many images it holds.
        reused: whether it was there already and nothing had to be computed.
        engine: what ran the network; empty if nothing had to be run.
        clocks: where the time went.
        bad: rows of the source that were left out.
    """

    cache: Path
    rows: int
    reused: bool
    engine: str
    clocks: Clocks
    bad: tuple[BadRow, ...]

    @property
    def images_per_s(self) -> float | None:
        """Images a second while reading, running and writing; None if nothing was computed."""
        seconds = self.clocks.read + self.clocks.run + self.clocks.write
        return None if self.reused else self.rows / seconds


@dataclass(frozen=True)
class Plan:
    """A configuration, checked and resolved: what will be computed, and where it goes."""

    source: FaceSource
    backbone: Backbone
    weights: Weights
    task: Task
    spec: FeatureSpec
    choice: DataChoice
    path: Path


def extract(
    config: ExtractConfig,
    *,
    track: Callable[[int, str], AbstractContextManager[Advance]] | None = None,
) -> Extraction:
    """Compute the features of the chosen images once, and cache them.

    A cache of the same features of the same rows that is there already is taken as it is.

    Args:
        config: what to compute.
        track: called with the number of images and the engine's name before the network starts;
            returns a context manager that yields a function to be told of each batch's size
            (`fer_features.progress.track` makes one).

    Raises:
        FerError: the data, the weights or the configuration cannot be used.
    """
    clocks = Clocks()
    begun = time.perf_counter()
    plan = plan_extraction(config)
    if plan.path.exists():
        return _reuse(plan, clocks)
    index = plan.source.index()
    chosen = index.row[
        choose_rows(plan.task, index.emotion, per_class=config.per_class, seed=config.seed)
    ]
    from fer_features.engines import KerasEngine  # late: it imports Keras

    engine = KerasEngine(
        plan.backbone,
        plan.weights,
        size=plan.spec.size,
        preprocess=plan.spec.preprocess,
        layers=plan.spec.layers,
        outputs=plan.spec.outputs,
        image_shape=(IMAGE_SIZE, IMAGE_SIZE),
        batch_size=config.batch_size,
    )
    writer = CacheWriter(
        plan.path,
        n_rows=len(chosen),
        outputs={name: (one.shape, one.dtype) for name, one in engine.outputs().items()},
        header=_header(plan, engine.name),
    )
    clocks.prepare = time.perf_counter() - begun
    shown = track(len(chosen), engine.name) if track else nullcontext(_ignore)
    with writer, shown as advance:
        for faces in _timed(plan.source.read(chosen, batch_size=config.batch_size), clocks):
            started = time.perf_counter()
            features = engine.run(faces.images)
            ran = time.perf_counter()
            writer.write(_rows(faces), features)
            clocks.run += ran - started
            clocks.write += time.perf_counter() - ran
            advance(len(faces))
    return Extraction(plan.path, len(chosen), False, engine.name, clocks, index.bad)


def plan_extraction(config: ExtractConfig) -> Plan:
    """Check and resolve a configuration, without decoding an image or building a network.

    Raises:
        FerError: the data, the weights or the configuration cannot be used.
    """
    backbone = get_backbone(config.backbone)
    weights = resolve_weights(config.weights, backbone)
    task = load_task(config.task)
    for name, allowed in (("preprocess", PREPROCESSING), ("outputs", OUTPUTS)):
        asked = getattr(config, name)
        for one in (asked,) if isinstance(asked, str) else asked:
            if one not in allowed:
                raise FerError(f"no such {name}: {one}", hint=f"known are {', '.join(allowed)}")
    if config.batch_size < 1:
        raise FerError(f"--batch-size must be at least 1, not {config.batch_size}")
    spec = FeatureSpec(
        backbone=backbone.name,
        weights=weights.label,
        weights_sha256=weights.sha256,
        size=config.size or backbone.default_size,
        preprocess=config.preprocess,
        layers=tuple(dict.fromkeys(config.layers)) or (backbone.default_layer,),
        outputs=tuple(one for one in OUTPUTS if one in config.outputs),
    )
    source = open_faces(config.data, skip_bad=config.skip_bad)
    choice = DataChoice(
        name=source.name,
        sha256=source.digest(),
        task=task.to_dict(),
        per_class=config.per_class,
        seed=config.seed,
        skip_bad=config.skip_bad,
    )
    words = [Path(source.name).name.split(".")[0], backbone.name, weights.label, task.name]
    stem = "-".join(re.sub(r"[^A-Za-z0-9_]+", "", word) for word in words)
    path = Path(config.cache_dir) / f"{stem}-{cache_key(spec, choice)}{SUFFIX}"
    return Plan(source, backbone, weights, task, spec, choice, path)


def _reuse(plan: Plan, clocks: Clocks) -> Extraction:
    with Cache(plan.path) as cache:
        check_same(cache, spec=plan.spec.identity, dataset=plan.choice.identity)
        n_rows = len(cache)
    with suppress(OSError):  # a cache on a read-only disk serves as well
        os.utime(plan.path)  # so that `fer fit` knows which cache was asked for last
    return Extraction(plan.path, n_rows, True, "", clocks, ())


def _header(plan: Plan, engine: str) -> Header:
    software = {name: version(name) for name in ("keras", "numpy", "h5py")}
    return Header(
        spec=plan.spec.to_dict(),
        dataset=plan.choice.to_dict(),
        key=cache_key(plan.spec, plan.choice),
        software={
            "fer_features": __version__,
            "python": platform.python_version(),
            "engine": engine,
            **software,
        },
    )


def _rows(faces: Faces) -> Rows:
    return Rows(emotion=faces.emotion, usage=faces.usage, sha256=faces.sha256, source_row=faces.row)


def _ignore(n: int) -> None:
    """Nobody watches."""


def _timed(batches: Iterator[Faces], clocks: Clocks) -> Iterator[Faces]:
    """The same batches; the time spent waiting for them goes to the reading clock."""
    while True:
        begun = time.perf_counter()
        faces = next(batches, None)
        clocks.read += time.perf_counter() - begun
        if faces is None:
            return
        yield faces
