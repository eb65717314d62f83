"""The parts of the run record."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from fer_features.metrics.scores import Count, Share
from fer_features.runtime.text import LONGEST_FILE_NAME, LONGEST_NAME

_BARE = r"^\S(.*\S)?\Z"
Name = Annotated[str, Meta(max_length=LONGEST_NAME, pattern=_BARE)]
Title = Annotated[str, Meta(max_length=LONGEST_FILE_NAME, pattern=_BARE)]
FileName = Annotated[str, Meta(max_length=LONGEST_FILE_NAME, pattern=r"^\w[\w.-]*\Z")]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the record. Unknown keys are allowed; fields with a default may be missing."""


class Spec(Record, frozen=True, kw_only=True):
    """How the features were computed, as in the cache; see `config.FeatureSpec`."""

    backbone: str
    weights: str
    precision: str
    weights_sha256: str = ""
    size: Count = 0
    preprocess: str = ""
    resize: str = ""
    learnt_from: str = ""


class Dataset(Record, frozen=True, kw_only=True):
    """Name and SHA-256 of the source of the images."""

    name: str
    sha256: str = ""


class CacheRecord(Record, frozen=True, kw_only=True):
    """The cache that the head was fitted on."""

    path: str = ""
    key: str
    spec: Spec
    dataset: Dataset | None = None


class Provenance(Record, frozen=True, kw_only=True):
    """Whether it is known which images the weights have learnt from.

    Attributes:
        state: ``known`` or ``unknown``.
        exact: rows recognised by their pixels; None where they were not looked for.
        copies: rows recognised as copies; None where they were not looked for.
    """

    state: str
    exact: Count | None = None
    copies: Count | None = None


class Data(Record, frozen=True, kw_only=True):
    """The rows: `dropped` and `seen` (learnt from) are counts by reason and by part."""

    name: Title
    rows: Count
    digest: str
    labels: str
    dropped: dict[str, Count]
    seen: dict[str, Count] | None = None
    fer2013: bool | None = None
    provenance: Provenance | None = None
    counts: dict[str, list[Count]] = {}


class TaskClass(Record, frozen=True, kw_only=True):
    """A class, and the emotions that make it."""

    name: Name
    emotions: Annotated[list[str], Meta(min_length=1)]


class Task(Record, frozen=True, kw_only=True):
    """The classes; `positive` is the one that precision and recall are about, if any."""

    name: Name
    classes: Annotated[list[TaskClass], Meta(min_length=2)]
    positive: str | None


class Leaked(Record, frozen=True, kw_only=True):
    """Test rows with a copy in training or validation; None where it was not looked for."""

    exact: Count
    near: Count
    registered: Count | None = None


class Split(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The split, and the number of rows of each part.

    `copies_indexed`: registered copies were searched for through an index, which misses a few.
    """

    name: str
    seed: Count | None
    train: Count
    validation: Count
    test: Count
    leaked: Leaked
    validation_from: str = ""
    copies_indexed: bool = False


class HeadRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The head, its parameters, and what it chose on the validation rows.

    Of `combine`, how views were used, and `combined`, the validation log loss of each way, only
    what is not the default is written.
    """

    name: Name
    title: str = ""
    features: str = ""
    layers: list[str]
    views: list[str]
    combine: Name = "features"
    combined: dict[str, float] | None = None
    params: dict[str, Any]
    chosen: dict[str, Any]


class Leak(Record, frozen=True, kw_only=True):
    """Test accuracy on rows with a copy in training or validation, and on the others."""

    test_twins: Annotated[int, Meta(ge=1, le=10**12)]
    accuracy_on_twins: Share
    accuracy_on_others: Share | None


class Losses(Record, frozen=True, kw_only=True):
    """The scores that calibration changes."""

    log_loss: float
    brier: float
    ece: float


class BothLosses(Record, frozen=True, kw_only=True):
    """`Losses` by part."""

    validation: Losses | None = None
    test: Losses


class Calibration(Record, frozen=True, kw_only=True):
    """How probabilities were calibrated, and their losses before."""

    method: str
    before: BothLosses
    calibrator: dict[str, Any] = {}


class Operating(Record, frozen=True, kw_only=True):
    """Scores at a threshold."""

    precision: Share
    recall: Share
    accuracy: Share | None = None


class Operate(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The threshold for a `target` (precision or recall) of `value`, chosen on validation.

    It is None where no threshold reaches the value; `unmet` says so in words.
    """

    target: str = msgspec.field(name="wish")
    value: float
    threshold: float | None
    unmet: str = ""
    validation: Operating | None = None
    test: Operating | None = None

    def __post_init__(self) -> None:
        """Refuse a threshold without scores."""
        if self.threshold is not None and not (self.validation and self.test):
            raise ValueError("a threshold without its scores")


class CrossValidation(Record, frozen=True, kw_only=True):
    """Scores over the folds, by name."""

    folds: Count
    values: dict[str, list[float | None]] = {}
    mean: dict[str, float | None]
    std: dict[str, float | None]

    def __post_init__(self) -> None:
        """Refuse to be without the scores that are shown."""
        if None in [one.get(name) for one in (self.mean, self.std) for name in ("accuracy", "f1")]:
            raise ValueError("accuracy or f1 is missing")


class Size(Record, frozen=True, kw_only=True):
    """One point of the learning curve by training rows."""

    rows: Annotated[int, Meta(ge=1, le=10**12)]
    train_accuracy: Share
    validation_accuracy: Share
    validation_log_loss: float | None = None


class Seconds(Record, frozen=True, kw_only=True):
    """Wall time of each step."""

    read: float = 0.0
    fit: float
    predict: float
