"""The only home of defaults: what the commands take."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The seven classes in FER2013's order: an emotion's code is its place here."""

USAGES = ("Training", "PublicTest", "PrivateTest")
"""FER2013's official parts: a usage's code is its place here, -1 where the source names none."""

OUTPUTS = ("pooled", "map")
"""What is kept of a layer: its mean over places, and all places."""

VIEWS = ("flip",)
"""Views of an image besides the image as it is: ``flip``, its mirror image."""

CACHE_DIR = Path("cache")
RUNS_DIR = Path("runs")
SEED = 0
MAX_SEED = 2**32 - 1
"""The largest seed that NumPy and scikit-learn take."""

TWINS = "twins"
"""What `--drop` calls rows of a part that have a twin in a later one, which the split finds."""

LEARNT = "learnt"
"""What `--drop` calls validation and test rows of which any backbone that was extracted into the
same folder has learnt a copy, so that all backbones are scored on the same rows."""

SEEN_COPIES = "copies of learnt images"
"""What a run calls validation and test rows that are left out because the weights have learnt from
a copy of them."""

NEAR = 0.92
"""Images whose pixels correlate more than this are near twins.

Of pairs of FER2013 at 0.92 to 0.93 ten of ten looked at were the same photograph, cut or printed
otherwise, and of its 21 mirrored pairs above 0.92 all but two; at 0.90 to 0.92 some were two
people. One group too large costs a split nothing, one too small makes it leak."""


REGISTERED = 0.84
"""Images whose middles, aligned and without the light, correlate more than this are copies.

Looked at on FER2013, pairs that are not near copies: of 100 drawn above 0.82 all were one
photograph, and so were 80 of 80 at 0.84 to 0.88 as they are. Of 100 mirrored ones above 0.84 two
were two people, and four were placeholders of text. At 0.80 to 0.82 about one in five is wrong."""


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """What `fer extract` does; its flags and their defaults.

    Attributes:
        data: ``sample``, a ``fer2013.csv`` or a folder.
        backbone: the network's name.
        weights: ``imagenet``, ``random:SEED`` or a file; None for ImageNet's, or for none where
            the backbone is no network.
        task: ``binary``, ``seven`` or a TOML file.
        per_class: images of each class; None for the task's default, ``"all"`` for every row.
        size: height and width that images are resized to; None for the backbone's own.
        preprocess: ``keras`` or ``raw``.
        layers: layers to keep; empty for the backbone's default.
        outputs: ``pooled``, ``map``, or both.
        views: views to keep besides the images as they are: ``flip`` for their mirror images.
        engine: ``keras``, ``openvino`` or ``auto``.
        precision: ``float32``, ``bfloat16`` or ``auto``.
        batch_size: images that go through the network at once; None for the engine's own.
        compression: ``none``, ``gzip`` or ``zstd``; None for that of the cache that is there.
        seed: seed of the choice of rows.
        cache_dir: where caches are kept.
        skip_bad: leave bad rows out instead of stopping at the first.
        ignore: names of classes of the data that are left out.
        classes: for names of classes of the data, the name of the emotion that they count as.
    """

    data: str = "sample"
    backbone: str = "inception_resnet_v2"
    weights: str | None = None
    task: str = "binary"
    per_class: int | str | None = None
    size: int | None = None
    preprocess: str = "keras"
    layers: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("pooled", "map")
    views: tuple[str, ...] = ()
    engine: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    compression: str | None = None
    seed: int = SEED
    cache_dir: Path = CACHE_DIR
    skip_bad: bool = False
    ignore: tuple[str, ...] = ()
    classes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """What `fer pretrain` does; its flags and their defaults.

    Attributes:
        data: ``sample``, a ``fer2013.csv`` or a folder.
        backbone: the network's name.
        task: ``binary``, ``seven`` or a TOML file.
        ferplus: the file of FER+'s votes, which are then learnt too, beside the labels.
        out: where the weights go; while it lasts, its checkpoint is beside it.
        epochs: how often all images are seen.
        batch_size: images of one step.
        learning_rate: the highest of the one-cycle schedule.
        warm_up: the part of the training in which it rises.
        weight_decay: what a step takes off the kernels, times the learning rate.
        smoothing: the part of each label that all classes share.
        average: momentum of the moving average of the weights, which is what is kept.
        votes_weight: how much the votes count beside the labels.
        precision: ``float32``, ``bfloat16`` or ``auto``.
        seed: seed of everything that is drawn.
        test: score the test part too, when all is done.
        skip_bad: leave bad rows out instead of stopping at the first.
        ignore: names of classes of the data that are left out.
        classes: for names of classes of the data, the name of the emotion that they count as.
    """

    data: str = "sample"
    backbone: str = "fernet"
    task: str = "seven"
    ferplus: Path | None = None
    out: Path = Path("fernet.h5")
    epochs: int = 40
    batch_size: int = 128
    learning_rate: float = 0.12
    warm_up: float = 0.2
    weight_decay: float = 0.005
    smoothing: float = 0.1
    average: float = 0.998
    votes_weight: float = 0.5
    precision: str = "auto"
    seed: int = SEED
    test: bool = False
    skip_bad: bool = False
    ignore: tuple[str, ...] = ()
    classes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """What `fer fit` does; its flags and their defaults.

    Attributes:
        cache: the cache file; None for the one that was extracted or asked for last.
        heads: names of the heads to fit; ``("all",)`` for every one that the cache has features
            for.
        split: ``grouped``, ``reference`` or ``usage``; None for ``grouped``, or for ``usage`` with
            twins removed where the weights have learnt from some of the images.
        task: ``binary``, ``seven`` or a TOML file; None for the cache's own.
        per_class: images of each class, when another task than the cache's own is asked for.
        features: cached layers to put side by side, as ``a+b``; None for the only one, or the last.
        views: ``flip`` averages each image's features with its mirror image's.
        labels: ``original``, ``ferplus`` (the voters' majority) or ``soft`` (that, with the votes'
            shares to train on).
        ferplus: the file of FER+'s votes.
        drop: rows to leave out: ``notface``, ``constant``, ``conflict``, ``twins``, ``learnt``.
        allow_seen: score images that the weights have learnt from, too.
        seed: seed of the choice of rows, the split and the heads.
        seeds: how many seeds are tried, from `seed` on, each with a split of its own.
        cv: folds of a cross-validation over training and validation rows; 0 for none.
        sizes: also fit to parts of the training rows, for a learning curve.
        calibrate: ``platt`` or ``isotonic``, on the validation rows; None leaves probabilities as
            the head gives them.
        operate: ``("precision", 0.9)``, say: choose the threshold that gives that on validation.
        params: parameters of the heads, over their defaults, by ``name`` or ``head.name``.
        cache_dir: where to look for the cache.
        runs_dir: where runs are written.
        jobs: processes or threads for parallel work; -1 for one each core.
    """

    cache: Path | None = None
    heads: tuple[str, ...] = ("dense",)
    split: str | None = None
    task: str | None = None
    per_class: int | str | None = None
    features: str | None = None
    views: tuple[str, ...] = ()
    labels: str = "original"
    ferplus: Path | None = None
    drop: tuple[str, ...] = ()
    allow_seen: bool = False
    seed: int = SEED
    seeds: int = 1
    cv: int = 0
    sizes: bool = False
    calibrate: str | None = None
    operate: tuple[str, float] | None = None
    params: dict[str, Any] = field(default_factory=dict)
    cache_dir: Path = CACHE_DIR
    runs_dir: Path = RUNS_DIR
    jobs: int = -1


@dataclass(frozen=True, kw_only=True)
class SpeedConfig:
    """What `fer bench speed` does; its flags and their defaults.

    Attributes:
        backbone: the network's name.
        weights: ``imagenet``, ``random:SEED`` or a file; the speed does not depend on them.
        size: height and width that images are resized to; None for the backbone's own.
        batch_size: images that go through the network at once, but for the usual recipe, which
            takes 32; None for each contender's own.
        engines: which of this package's engines are measured; empty for all.
        images: images of each contender's round, made whole batches; None for what takes about
            three seconds.
        rounds: how often each contender is measured.
        peer: another project's network to measure beside ours, ``timm``; None for none.
        peer_python: the Python that has the peer's packages; None for this one.
        cache_dir: where exported graphs are kept.
    """

    backbone: str = ExtractConfig.backbone
    weights: str = "random:0"
    size: int | None = None
    batch_size: int | None = None
    engines: tuple[str, ...] = ()
    images: int | None = None
    rounds: int = 5
    peer: str | None = None
    peer_python: Path | None = None
    cache_dir: Path = CACHE_DIR


@dataclass(frozen=True, kw_only=True)
class WholeConfig:
    """What `fer bench extract` does; its flags and their defaults.

    Attributes:
        extract: the extraction; its `cache_dir` is only where graphs and temporary files are.
        rounds: how often it is measured, each time in fresh processes.
    """

    extract: ExtractConfig = field(default_factory=lambda: ExtractConfig(weights="random:0"))
    rounds: int = 3


@dataclass(frozen=True, kw_only=True)
class HeadsConfig:
    """What `fer bench heads` does; its flags and their defaults.

    Attributes:
        cache: a cache whose pooled features are measured on; None for drawn ones.
        heads: names of heads on pooled features.
        rounds: how often each head is measured.
        stock: whether scikit-learn's own are measured beside them, in each thread setting.
        stock_rounds: how often those are, which take minutes.
        rows: drawn rows to fit to; a third as many each to choose on and to predict.
        features: numbers of a drawn row.
        seed: seed of the drawn features and of the heads.
    """

    cache: Path | None = None
    heads: tuple[str, ...] = ("logreg", "svm", "ridge", "ensemble")
    rounds: int = 3
    stock: bool = True
    stock_rounds: int = 1
    rows: int = 10_200
    features: int = 1536
    seed: int = SEED


@dataclass(frozen=True, kw_only=True)
class PrecisionConfig:
    """What `fer bench precision` does; its flags and their defaults.

    Attributes:
        extract: the extraction; its precision is set in turn.
        heads: names of the heads to fit.
        split: ``grouped``, ``reference`` or ``usage``; None as in `FitConfig`.
        seeds: how many seeds each head is fitted with, from 0 on.
    """

    extract: ExtractConfig = field(default_factory=ExtractConfig)
    heads: tuple[str, ...] = ("logreg", "svm", "dense")
    split: str | None = FitConfig.split
    seeds: int = 1
