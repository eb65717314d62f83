"""The only home of defaults: what the commands take, and what a cache's key is made of."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from fer_features.runtime.flags import (
    Flag,
    parse_class_map,
    parse_faces,
    parse_params,
    parse_per_class,
    parse_region,
    parse_threshold,
)

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The seven classes in FER2013's order: an emotion's code is its place here."""

USAGES = ("Training", "PublicTest", "PrivateTest")
"""FER2013's official parts: a usage's code is its place here, -1 where the source names none."""

OUTPUTS = ("pooled", "grid3", "map")
"""What is kept of a layer: its mean over places, its means over a grid of 3 × 3, and all places."""

VIEWS = ("flip",)
"""Views of an image besides the image as it is: ``flip``, its mirror image."""

POOLINGS = ("pooled", "grid3")
"""Of these, the outputs that heads on vectors can be fitted to."""

GRID = 3
"""Rows and columns of the grid of ``grid3``."""


def grid_parts(length: int, size: int = GRID) -> list[tuple[int, int]]:
    """Start and end of each part of a map's side, as in PyTorch's adaptive average pooling.

    A place belongs to every part that it touches.
    """
    return [(k * length // size, -(-(k + 1) * length // size)) for k in range(size)]


COMBINE = ("features", "rows", "best")
"""How a head uses an image and its mirror image: the mean of their features; each as a row of its
own, with the mean of their probabilities; or whichever is better on validation."""

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

COPIES_INDEXED = (
    "registered copies were searched for through an index, which misses some 2 in 1,000"
)
"""Said where a data set is too large to compare all pairs of its images."""


_Precision = Annotated[str, Flag("float32, bfloat16 or auto: bfloat16 where the hardware has it.")]
_CacheDir = Annotated[Path, Flag("Folder of the feature caches.")]
_SkipBad = Annotated[
    bool, Flag("Leave bad rows out, and list them, instead of stopping at the first.")
]
_Ignore = Annotated[
    tuple[str, ...],
    Flag(
        "Leave a class of the data out, such as contempt; repeatable.",
        metavar="CLASS",
        verbatim=True,
    ),
]
_Classes = Annotated[
    dict[str, str],
    Flag(
        "Count a class of the data as one of the seven: contempt=disgust, say; repeatable.",
        name="--map",
        metavar="CLASS=EMOTION",
        parse=parse_class_map,
    ),
]
_MODEL = "[b]fernet[/b] or fernet-binary (built in), a model's file, or the folder of a run."
_Model = Annotated[str, Flag(_MODEL, argument=True)]
_ModelOption = Annotated[str, Flag(_MODEL, metavar="NAME|FILE|RUN")]


@dataclass(frozen=True)
class DataConfig:
    """Which images are read, and how their labels are understood."""

    data: Annotated[
        str,
        Flag(
            "[b]sample[/b] (built in), a fer2013.csv (also .gz, .xz, .zip, .tar.gz), a folder of "
            "class folders, or a Parquet file or folder of such.",
            argument=True,
        ),
    ] = "sample"
    _: KW_ONLY
    skip_bad: _SkipBad = False
    ignore: _Ignore = ()
    classes: _Classes = field(default_factory=dict)


@dataclass(frozen=True)
class ExtractConfig(DataConfig):
    """What `fer extract` does."""

    _: KW_ONLY
    backbone: Annotated[
        str,
        Flag(
            "inception_resnet_v2, efficientnet_lite0, fernet, resnet50 or another network of "
            "keras.applications, resnet50_vggface2, fernet_wide (with weights of fer train), or a "
            "descriptor: hog, lbp, pixels."
        ),
    ] = "inception_resnet_v2"
    weights: Annotated[
        str | None,
        Flag(
            "imagenet, shipped (fernet's own), random:SEED, or a .h5, .weights.h5 or .keras file; "
            "by default imagenet, or shipped; descriptors have none."
        ),
    ] = None
    task: Annotated[str, Flag("binary, seven, or a TOML file with your own classes.")] = "binary"
    per_class: Annotated[
        int | str | None,
        Flag(
            "Images of each class; by default 8500 for binary where there are that many, else as "
            "many as the smallest class has.",
            metavar="N|all",
            parse=parse_per_class,
        ),
    ] = None
    size: Annotated[
        int | None,
        Flag(
            "Height and width that images are resized to; by default those that fer train trained "
            "the weights on, or the network's own.",
            min=1,
        ),
    ] = None
    preprocess: Annotated[
        str, Flag("keras: the network's own; raw: grey levels 0 to 255 as they are.")
    ] = "keras"
    layers: Annotated[
        tuple[str, ...],
        Flag(
            "A layer to keep; repeatable; by default the one that `fer data layers` marks, as the "
            "last, or for hog hog_8, the best on FER2013's validation images.",
            name="--layer",
        ),
    ] = ()
    outputs: Annotated[
        tuple[str, ...],
        Flag(
            "pooled (mean), grid3 (means over a grid of 3 × 3), map, with commas between; by "
            "default what the backbone's features are best used as.",
            name="--output",
        ),
    ] = ()
    views: Annotated[
        tuple[str, ...],
        Flag("A view to keep besides the images as they are: flip, their mirror images."),
    ] = ()
    engine: Annotated[
        str,
        Flag("keras, openvino or auto: Keras on a GPU, OpenVINO on a CPU where it is installed."),
    ] = "auto"
    precision: _Precision = "auto"
    batch_size: Annotated[
        int | None,
        Flag("Images in a batch; by default the engine's own, 32 on a CPU.", min=1),
    ] = None
    compression: Annotated[
        str | None,
        Flag("none, gzip or zstd; by default that of the cache, none for a new one."),
    ] = None
    detect: Annotated[
        bool,
        Flag(
            "Find the largest face in each picture and cache its crop, as fer predict cuts it; "
            "otherwise the whole picture is the face."
        ),
    ] = False
    seed: Annotated[int, Flag("Random seed of the selection of rows.", min=0, max=MAX_SEED)] = SEED
    shard: Annotated[
        str | None,
        Flag(
            "Extract only the Kth of N parts of the rows, into a file of its own; fer cache merge "
            "joins the N files.",
            metavar="K/N",
        ),
    ] = None
    on: Annotated[
        str | None,
        Flag(
            "Extract on Ray: ray starts one on this machine, ray=auto or ray=HOST:PORT joins a "
            "cluster.",
            metavar="ray[=ADDRESS]",
        ),
    ] = None
    shards: Annotated[
        int | None,
        Flag("In how many parts --on divides the rows; by default by the cluster's size.", min=1),
    ] = None
    shards_dir: Annotated[
        str | None,
        Flag(
            "Folder or URI (s3://bucket/folder) of the shards of --on until they are merged; by "
            "default the folder of caches.",
            metavar="DIR|URI",
        ),
    ] = None
    cache_dir: _CacheDir = CACHE_DIR


@dataclass(frozen=True)
class TrainConfig(DataConfig):
    """What `fer train` does; None stands for `fer_features.training.recipe.RECIPES`."""

    data: Annotated[
        str,
        Flag(
            "What `fer extract` reads, or a cache of it with a layer's maps of both views: then "
            "what is behind that layer is trained on them.",
            argument=True,
        ),
    ] = "sample"
    _: KW_ONLY
    backbone: Annotated[
        str | None, Flag("A network of `fer extract`; by default fernet, or the cache's.")
    ] = None
    start: Annotated[
        str | None,
        Flag(
            "Weights to start from: scratch, or as --weights of `fer extract`, to fine-tune them; "
            "by default scratch, or the cache's.",
            name="--from",
            metavar="WEIGHTS",
        ),
    ] = None
    tail_from: Annotated[
        str | None,
        Flag(
            "Train only what is behind this layer; by default all, or what is behind the cache's "
            "last layer with maps.",
            metavar="LAYER",
        ),
    ] = None
    size: Annotated[
        int | None,
        Flag("Height and width that images are resized to; by default the network's own.", min=1),
    ] = None
    task: Annotated[str, Flag("seven, binary, or a TOML file with your own classes.")] = "seven"
    ferplus: Annotated[
        Path | None,
        Flag("FER+'s votes, a row for each of fer2013.csv's: learnt too.", metavar="FILE"),
    ] = None
    out: Annotated[
        Path | None,
        Flag(
            "The weights to write; the checkpoint is beside them. By default the backbone's name "
            "with .h5.",
            metavar="FILE",
        ),
    ] = None
    epochs: Annotated[
        int | None, Flag("Passes over all images: 40 from scratch, 12 to fine-tune, 8 on maps.")
    ] = None
    batch_size: Annotated[int, Flag("Images in a step.")] = 128
    learning_rate: Annotated[
        float | None,
        Flag("The maximum of the one-cycle schedule: 0.12 (SGD), or 0.001 (AdamW) to fine-tune."),
    ] = None
    layer_decay: Annotated[
        float | None,
        Flag(
            "Learning rate of the first layer as a share of the classifier's, above 0 to 1; layers "
            "between in equal ratios. The smaller, the nearer early layers stay to the "
            "weights started from. By default 1, or 0.1 to fine-tune."
        ),
    ] = None
    warm_up: Annotated[float, Flag("Share of the training in which the rate rises.")] = 0.2
    weight_decay: Annotated[
        float | None, Flag("Decoupled weight decay of the kernels: 0.005, or 0.05 to fine-tune.")
    ] = None
    smoothing: Annotated[float, Flag("Label smoothing.")] = 0.1
    dropout: Annotated[
        float | None, Flag("Dropout before the classifier: 0, or 0.3 to fine-tune.")
    ] = None
    mixup: Annotated[
        float,
        Flag(
            "Blend pairs of images and their labels by shares drawn from a Beta distribution with "
            "this for both parameters; 0.2 to 0.4 is usual, 0 for none."
        ),
    ] = 0.0
    augment: Annotated[
        float,
        Flag(
            "Strength of rotation, scale, shift, contrast and light; at 0 only the mirror and the "
            "hole are left."
        ),
    ] = 1.0
    balance: Annotated[
        float,
        Flag(
            "How much more images of rare classes count, 0 to 1: 0, all images count the same; 1, "
            "all classes do; 0.5 is between."
        ),
    ] = 0.0
    move_statistics: Annotated[
        bool,
        Flag("Let batch normalisation's statistics move in fine-tuning too, where they are fixed."),
    ] = False
    average: Annotated[
        float,
        Flag(
            "The weights kept are a moving average over the steps, and this is how slowly it "
            "follows, 0 to below 1: 0.998 averages over about the last 500 steps, 0 takes the last."
        ),
    ] = 0.998
    votes_weight: Annotated[float, Flag("Weight of FER+'s votes beside the labels.")] = 0.5
    teachers: Annotated[
        tuple[Path, ...],
        Flag(
            "Weights of fer train for the same classes, whose answers for the training images are "
            "learnt beside the labels (distillation); repeatable: their mean.",
            name="--teacher",
            metavar="FILE",
            verbatim=True,
        ),
    ] = ()
    teacher_weight: Annotated[
        float, Flag("Share of the teachers' answers in what is learnt; the rest is the label's.")
    ] = 0.5
    keep: Annotated[
        Literal["last", "best"],
        Flag(
            "The weights kept: of the last epoch, or of the one with the best validation loss.",
            metavar="last|best",
        ),
    ] = "last"
    keep_copies: Annotated[
        bool,
        Flag(
            "Learn from images with a copy in validation or test too, only to measure what that is "
            "worth."
        ),
    ] = False
    precision: _Precision = "auto"
    seed: Annotated[int, Flag("Random seed.", min=0, max=MAX_SEED)] = SEED
    test: Annotated[
        bool,
        Flag("Score the test part too and record it in the file; when nothing is left to choose."),
    ] = False
    cache_dir: Annotated[
        Path,
        Flag(
            "Folder where the copies found among the images are kept, so that the next training "
            "need not look for them: that of fer extract has them already."
        ),
    ] = CACHE_DIR


@dataclass(frozen=True)
class FitConfig:
    """What `fer fit` does."""

    cache: Annotated[
        Path | None, Flag("A cache file; by default the one extracted last.", argument=True)
    ] = None
    _: KW_ONLY
    heads: Annotated[
        tuple[str, ...],
        Flag(
            "dense, logreg, svm, mlp, ridge, ensemble, or all; repeatable.",
            name="--head",
            metavar="NAME",
        ),
    ] = ("dense",)
    split: Annotated[
        str | None,
        Flag(
            "grouped (copies on one side), reference (as published) or usage (FER2013's own); by "
            "default grouped, or usage with --drop twins if the weights have learnt from some "
            "images."
        ),
    ] = None
    features: Annotated[
        str | None,
        Flag("Cached layers to concatenate; by default the last.", metavar="LAYER[+LAYER]"),
    ] = None
    pooling: Annotated[
        str | None,
        Flag(
            "What heads on vectors are fitted to: pooled or grid3; by default grid3, where it was "
            "extracted."
        ),
    ] = None
    views: Annotated[
        tuple[str, ...], Flag("flip: also use each image's mirror image.", metavar="NAME")
    ] = ()
    combine: Annotated[
        str,
        Flag(
            "How an image and its mirror image are used: features averages their features; rows "
            "fits to each as a row of its own, and averages their probabilities; best takes what "
            "is better on validation."
        ),
    ] = "features"
    task: Annotated[
        str | None, Flag("Another task than the cache's: binary, seven or a TOML file.")
    ] = None
    per_class: Annotated[
        int | str | None,
        Flag(
            "Images of each class; by default as the cache's task has.",
            metavar="N|all",
            parse=parse_per_class,
        ),
    ] = None
    ferplus: Annotated[
        Path | None, Flag("FER+'s votes, a row for each of fer2013.csv's.", metavar="FILE")
    ] = None
    labels: Annotated[
        str,
        Flag("original; ferplus: the voters' majority; soft: that, training on their shares."),
    ] = "original"
    drop: Annotated[
        tuple[str, ...],
        Flag(
            "Rows to leave out, with commas between: constant, conflict, notface; twins (rows with "
            "a copy in a later part); learnt (validation and test rows of which any backbone in "
            "the folder of caches has learnt a copy).",
            metavar="NAMES",
        ),
    ] = ()
    allow_seen: Annotated[
        bool, Flag("Also evaluate on images that the weights have learnt from.")
    ] = False
    seed: Annotated[
        int, Flag("Random seed of the rows, the split and the heads.", min=0, max=MAX_SEED)
    ] = SEED
    seeds: Annotated[
        int, Flag("Repeat with N seeds from --seed on, each with its own split.", metavar="N")
    ] = 1
    cv: Annotated[int, Flag("Also cross-validate over K folds.", metavar="K")] = 0
    sizes: Annotated[
        bool, Flag("Also fit to parts of the training rows, for a learning curve.")
    ] = False
    calibrate: Annotated[
        str | None,
        Flag("platt or isotonic: calibrate the probabilities on the validation rows."),
    ] = None
    operate: Annotated[
        tuple[str, float] | None,
        Flag(
            "precision=0.9, say: choose the threshold that gives it on the validation rows.",
            name="--threshold-for",
            hidden="--operate",
            metavar="NAME=VALUE",
            parse=parse_threshold,
        ),
    ] = None
    params: Annotated[
        dict[str, Any],
        Flag(
            "A parameter of the heads, or of one (dense.epochs=20); repeatable.",
            name="--set",
            metavar="NAME=VALUE",
            parse=parse_params,
        ),
    ] = field(default_factory=dict)
    jobs: Annotated[int, Flag("Parallel jobs; by default -1, one per core.")] = -1
    cache_dir: _CacheDir = CACHE_DIR
    runs_dir: Annotated[Path, Flag("Folder of the runs.")] = RUNS_DIR


@dataclass(frozen=True)
class PredictConfig:
    """What `fer predict` does."""

    inputs: Annotated[
        tuple[str, ...],
        Flag(
            "Pictures, videos, and folders with pictures and videos.",
            metavar="INPUT",
            argument=True,
            verbatim=True,
        ),
    ]
    _: KW_ONLY
    model: _ModelOption = "fernet"
    out: Annotated[
        Path | None,
        Flag(
            "Write the rows to FILE, .csv or .jsonl; an interrupted one resumes. Else a table on "
            "a terminal, CSV into a pipe.",
            metavar="FILE",
        ),
    ] = None
    force: Annotated[bool, Flag("Replace --out's file.")] = False
    faces: Annotated[
        str,
        Flag("found: look for faces; whole: each picture is a face as it is.", parse=parse_faces),
    ] = "found"
    largest: Annotated[bool, Flag("Only the largest face of each picture.")] = False
    region: Annotated[
        tuple[int, int, int, int] | None,
        Flag(
            "Look only at this part of each picture, in pixels from the upper left.",
            metavar="X,Y,W,H",
            parse=parse_region,
        ),
    ] = None
    every: Annotated[
        str, Flag("Of a video, take each Nth frame, or one each so many seconds.", metavar="N|Ns")
    ] = "1"
    annotate: Annotated[
        Path | None,
        Flag("Write each picture and frame, with its faces marked, into DIR.", metavar="DIR"),
    ] = None


@dataclass(frozen=True)
class ServeConfig:
    """What `fer serve` does."""

    _: KW_ONLY
    model: _ModelOption = "fernet"
    host: Annotated[
        str, Flag("Address to listen on; other than loopback, others can reach the server.")
    ] = "127.0.0.1"
    port: Annotated[int, Flag("Port to listen on; 0 for any that is free.", min=0, max=65535)] = (
        8000
    )
    allow_host: Annotated[
        tuple[str, ...],
        Flag("A name by which the server may be called, besides localhost; repeatable."),
    ] = ()
    max_mib: Annotated[int, Flag("Largest picture file, in MiB.", min=1, max=1024)] = 20


@dataclass(frozen=True)
class EvaluateConfig:
    """What `fer evaluate` does."""

    model: _Model = "fernet"
    data: Annotated[
        str,
        Flag(
            "Labelled faces: a folder of class folders, a CSV file with the columns emotion and "
            "pixels, or a Parquet file.",
            argument=True,
        ),
    ] = "sample"
    _: KW_ONLY
    skip_bad: _SkipBad = False
    ignore: _Ignore = ()
    classes: _Classes = field(default_factory=dict)
    group: Annotated[
        str | None,
        Flag("Also score each group of faces, by this column of the CSV file.", metavar="COLUMN"),
    ] = None
    table: Annotated[
        Path | None,
        Flag(
            "For a folder of pictures: a CSV file with a column file, the path in the folder or "
            "the file's name, and the column of --group.",
            metavar="FILE",
        ),
    ] = None
    against: Annotated[
        str | None,
        Flag("Another model of the same classes, to compare with by a paired test.", metavar="M"),
    ] = None
    allow_seen: Annotated[bool, Flag("Also score faces that the model has learnt from.")] = False
    faces: Annotated[
        str,
        Flag(
            "whole: each picture is a face as it is; found: of each picture the largest face that "
            "is found.",
            parse=parse_faces,
        ),
    ] = "whole"


@dataclass(frozen=True)
class ExportConfig:
    """What `fer export` does."""

    model: _Model = "fernet"
    _: KW_ONLY
    format: Annotated[str, Flag("onnx, openvino or keras.")] = "onnx"
    out: Annotated[
        Path | None,
        Flag("The file to write; by default the model's name, in this folder.", metavar="FILE"),
    ] = None
