"""Stage 1: images in, a feature cache out; nothing computed twice, nothing lost."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features import __version__
from fer_features.backbones import Backbone, Weights, get_backbone, resolve_weights
from fer_features.backbones.backbone import PREPROCESSING
from fer_features.config import DataChoice, ExtractConfig, FeatureSpec, cache_key
from fer_features.engines import (
    PRECISIONS,
    Engine,
    EngineChoice,
    GraphSpec,
    choose_engine,
    make_engine,
)
from fer_features.errors import FerError
from fer_features.faces import IMAGE_SIZE, BadRow, FaceSource, open_faces
from fer_features.pipeline import Clocks, make_batches, run_pipeline
from fer_features.progress import Advance
from fer_features.store import (
    GRAPHS,
    SUFFIX,
    Cache,
    Choice,
    Header,
    JournalWriter,
    Opening,
    check_same,
    filters,
    fold,
    free_bytes,
    journal_of,
    only_writer,
    remember,
)
from fer_features.tasks import choose_rows, load_task

OUTPUTS = ("pooled", "map")
VIEWS = ("flip",)

Track = Callable[["Work"], AbstractContextManager[Advance]]
"""Called with what is to be done before the network is run; yields what is told of progress."""


@dataclass(frozen=True)
class Plan:
    """A configuration, checked and resolved: what is wanted, and where it goes."""

    source: FaceSource
    backbone: Backbone
    weights: Weights
    spec: FeatureSpec
    choice: Choice
    engine: EngineChoice
    path: Path
    compression: str | None
    bad: tuple[BadRow, ...]

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
        precision: the arithmetic's type.
        why: why this engine and this precision, where that was left to the program.
    """

    view: str
    features: tuple[str, ...]
    rows: NDArray[np.int64]
    engine: str = ""
    precision: str = ""
    why: str = ""


@dataclass
class Extraction:
    """What an extraction did.

    Attributes:
        cache: the cache file.
        rows: how many rows were asked for.
        computed: how many images went through the network, each view counted.
        found: how many rows were there before, with all that was asked for.
        engine: what ran the network; empty if nothing had to be run.
        precision: the arithmetic's type.
        why: why this engine and this precision, where that was left to the program.
        clocks: where the time went.
        bad: rows of the source that were left out.
    """

    cache: Path
    rows: int
    precision: str
    why: str
    bad: tuple[BadRow, ...]
    computed: int = 0
    found: int = 0
    engine: str = ""
    clocks: Clocks = field(default_factory=Clocks)

    @property
    def reused(self) -> bool:
        """Whether nothing had to be computed."""
        return not self.engine

    @property
    def images_per_s(self) -> float | None:
        """Images a second while reading, running and writing; None if nothing was computed."""
        seconds = self.clocks.read + self.clocks.run + self.clocks.write
        return self.computed / seconds if self.computed else None


def extract(
    config: ExtractConfig,
    *,
    track: Track | None = None,
    note: Callable[[str], None] | None = None,
) -> Extraction:
    """Compute the features of the chosen images, and cache them.

    What a cache of the same kind of features of the same data holds already is not computed
    again, nor what an interrupted extraction has left. Identical images are computed once.
    Killed at any moment, the same call goes on where it stopped.

    Args:
        config: what to compute.
        track: called with each pass before its network starts; returns a context manager that
            yields a function to be told of each batch's rows.
        note: told, in a few words, of what takes long before that.

    Raises:
        FerError: the data, the weights or the configuration cannot be used, another extraction
            writes the same cache, or the disk is full.
    """
    begun = time.perf_counter()
    plan = plan_extraction(config)
    done = Extraction(
        cache=plan.path,
        rows=len(plan.choice.rows),
        precision=plan.spec.precision,
        why=plan.engine.why,
        bad=plan.bad,
    )
    done.clocks.prepare = time.perf_counter() - begun
    if not _holds(plan):
        with only_writer(plan.path):
            _take_up(plan)  # what an interrupted extraction has left
            passes = list(_missing(plan))
            done.found = _rows_there(plan)
            for work in passes:
                _run(
                    plan,
                    work,
                    config,
                    done,
                    _untracked if track is None else track,
                    note or _ignore,
                )
            if not passes:
                _take_up(plan, also=[plan.choice])
    else:
        done.found = done.rows
        if journal_of(plan.path).exists():
            # Whoever is writing it takes it up; what is asked for is there already.
            with suppress(FerError), only_writer(plan.path):
                _take_up(plan)
    remember(plan.path, plan.choice)
    return done


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
    if config.batch_size is not None and config.batch_size < 1:
        raise FerError(f"--batch-size must be at least 1, not {config.batch_size}")
    engine = choose_engine(config.engine, config.precision)
    spec = FeatureSpec(
        backbone=backbone.name,
        weights=weights.label,
        weights_sha256=weights.sha256,
        size=config.size or backbone.default_size,
        preprocess=config.preprocess,
        precision=engine.precision,
    )
    features = _names(config, backbone)
    _graph_spec(backbone, weights, spec, features)  # says what is wrong with layers and size
    source = open_faces(config.data, skip_bad=config.skip_bad)
    index = source.index()
    places = choose_rows(task, index.emotion, per_class=config.per_class, seed=config.seed)
    how = DataChoice(
        task=task.to_dict(),
        per_class=config.per_class,
        seed=config.seed,
        skip_bad=config.skip_bad,
    )
    plan = Plan(
        source=source,
        backbone=backbone,
        weights=weights,
        spec=spec,
        choice=Choice(info=how.to_dict(), features=features, rows=index.row[places]),
        engine=engine,
        path=_path(config.cache_dir, source, spec),
        compression=config.compression,
        bad=index.bad,
    )
    return _in_another_precision(plan, config) or plan


def _take_up(plan: Plan, *, also: Sequence[Choice] = ()) -> None:
    """Put what the journal holds into the cache, if there is one."""
    fold(plan.path, journal_of(plan.path), also=also, compression=plan.compression)


def _names(config: ExtractConfig, backbone: Backbone) -> tuple[str, ...]:
    """The features asked for: layer by layer, the images as they are before their mirror images."""
    layers = dict.fromkeys(config.layers) or (backbone.default_layer,)
    outputs = [one for one in OUTPUTS if one in config.outputs]
    suffixes = ["", *(f"_{view}" for view in VIEWS if view in config.views)]
    return tuple(f"{layer}/{one}{end}" for layer in layers for end in suffixes for one in outputs)


def _path(folder: Path, source: FaceSource, spec: FeatureSpec) -> Path:
    words = [Path(source.name).name.split(".")[0], spec.backbone, spec.weights, spec.precision]
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
        if _holds(other):
            return other
    return None


def _holds(plan: Plan) -> bool:
    """Whether the cache holds all that is asked for, and knows that it was."""
    if not plan.path.exists():
        return False
    with Cache(plan.path) as cache:
        dataset = {"sha256": plan.source.digest()}
        check_same(cache, spec=plan.spec.identity, dataset=dataset)
        noted = [one for one in cache.choices if one.id == plan.choice.id]
        return (
            bool(noted)
            and set(plan.choice.features) <= set(noted[0].features)
            and bool(cache.done_of(plan.choice).all())
        )


def _rows_there(plan: Plan) -> int:
    """How many of the rows asked for are there with all that was asked for."""
    if not plan.path.exists():
        return 0
    with Cache(plan.path) as cache:
        return int(cache.done_of(plan.choice).sum())


def _missing(plan: Plan) -> Iterator[Work]:
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


def _plain(name: str) -> str:
    """What an engine calls a feature, whatever the view."""
    view = _view(name)
    return name.removesuffix(f"_{view}") if view else name


def _graph_spec(
    backbone: Backbone, weights: Weights, spec: FeatureSpec, features: tuple[str, ...]
) -> GraphSpec:
    """The graph that computes `features`."""
    parts = [_plain(name).split("/") for name in features]
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


def _run(
    plan: Plan,
    work: Work,
    config: ExtractConfig,
    done: Extraction,
    track: Track,
    note: Callable[[str], None],
) -> None:
    """One pass: read, run and write, then fold what was computed into the cache."""
    clocks, journal_path = done.clocks, journal_of(plan.path)
    begun = time.perf_counter()
    engine = make_engine(
        plan.engine.engine,
        _graph_spec(plan.backbone, plan.weights, plan.spec, work.features),
        batch_size=config.batch_size,
        graphs=Path(config.cache_dir) / GRAPHS,
        note=note,
    )
    done.engine = engine.name
    clocks.prepare += time.perf_counter() - begun
    known = _known_images(plan, work)
    before = len(known)
    told = replace(work, engine=engine.name, precision=plan.spec.precision, why=plan.engine.why)
    opening = _opening(plan, work, engine)
    _check_space(plan, work, opening)
    with closing(engine), track(told) as advance, JournalWriter(journal_path, opening) as journal:
        run_pipeline(
            make_batches(
                plan.source,
                work.rows,
                size=engine.batch_size,
                known=known,
                mirrored=work.view == "flip",
            ),
            engine,
            journal,
            names={_plain(name): name for name in work.features},
            clocks=clocks,
            advance=advance,
        )
    begun = time.perf_counter()
    _take_up(plan)
    clocks.write += time.perf_counter() - begun
    done.computed += len(known) - before


def _known_images(plan: Plan, work: Work) -> set[bytes]:
    """Hashes of images that the cache holds all of a pass's features of."""
    if not plan.path.exists():
        return set()
    with Cache(plan.path) as cache:
        return set(cache.rows.sha256[cache.done(work.features)].tolist())


def _opening(plan: Plan, work: Work, engine: Engine) -> Opening:
    shapes = engine.outputs()
    software = {name: version(name) for name in ("keras", "numpy", "h5py")}
    return Opening(
        header=plan.header,
        choice=plan.choice,
        outputs={name: shapes[_plain(name)] for name in work.features},
        software={
            "fer_features": __version__,
            "python": platform.python_version(),
            "engine": engine.name,
            **software,
        },
    )


def _check_space(plan: Plan, work: Work, opening: Opening) -> None:
    """Stop before the work if the disk has no room for it: the journal, and the cache that follows.

    Raises:
        FerError: it has not.
    """
    row_bytes = sum(
        int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in opening.outputs.values()
    )
    there = plan.path.stat().st_size if plan.path.exists() else 0
    needed = 2 * len(work.rows) * row_bytes + there
    free = free_bytes(plan.path.parent)
    if free < needed:
        raise FerError(
            f"{plan.path.parent}: about {needed / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are "
            "free",
            hint="make room, or take another folder with --cache-dir, or less with --output pooled",
        )


def _ignore(_: object) -> None:
    """Nobody watches."""


def _untracked(_: Work) -> AbstractContextManager[Advance]:
    return nullcontext(_ignore)
