"""What ``model.json`` holds."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from fer_features.detect.crop import CROP_RULE
from fer_features.errors import UPDATE, FerError
from fer_features.metrics.scores import Count, Scores, Share
from fer_features.runs import schema
from fer_features.runs.record import check_values

FORMAT_VERSION = 1

THRESHOLDS = tuple(round(0.4 + 0.05 * step, 2) for step in range(12))
"""The thresholds of the table of coverage."""

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Entry(schema.Record, frozen=True, kw_only=True):
    """A file in the model's zip."""

    size: Count
    sha256: Digest


class Coverage(schema.Record, frozen=True, kw_only=True):
    """Of rows whose highest probability reaches `threshold`: their share, and their accuracy."""

    threshold: Share
    share: Share
    accuracy: Share | None


class Uncertain(schema.Record, frozen=True, kw_only=True):
    """Below which highest probability an answer is called uncertain, and what that costs.

    Attributes:
        below: the threshold; None where no answer is called uncertain.
        measured_on: the rows of the table, in a few words.
        table: by ascending threshold.
    """

    below: Share | None = None
    measured_on: str
    table: list[Coverage]


class Platt(schema.Record, frozen=True, kw_only=True, tag_field="method", tag="platt"):
    """A calibrator: logistic regression on log probabilities."""

    coef: list[list[float]]
    intercept: list[float]

    def check(self, n_classes: int) -> None:
        """Raise a `ValueError` if it is of another number of classes."""
        n = 1 if n_classes == 2 else n_classes
        if [len(row) for row in self.coef] != [n] * n or len(self.intercept) != n:
            raise ValueError("a calibrator of another number of classes")


class Isotonic(schema.Record, frozen=True, kw_only=True, tag_field="method", tag="isotonic"):
    """A calibrator: the knots of a curve for each class."""

    x: list[Annotated[list[float], Meta(min_length=1)]]
    y: list[Annotated[list[Share], Meta(min_length=1)]]

    def check(self, n_classes: int) -> None:
        """Raise a `ValueError` if it is of another number of classes, or no curves."""
        n = 1 if n_classes == 2 else n_classes
        if [len(self.x), len(self.y)] != [n, n]:
            raise ValueError("a calibrator of another number of classes")
        if [len(one) for one in self.x] != [len(one) for one in self.y]:
            raise ValueError("a calibrator whose curves have x and y of different lengths")
        if any(one != sorted(one) for one in self.x):
            raise ValueError("a calibrator whose knots do not ascend")


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All that ``model.json`` holds.

    Attributes:
        format_version: of the file.
        name: the model's name: a packaged model's, or the run's id.
        created: when it was made, ISO 8601.
        spec: backbone, weights and their SHA-256, size, preprocessing, and the precision of the
            features that the head was fitted to.
        layers: the backbone's layers whose features are concatenated.
        output: what the head takes of them.
        views: views of a face besides the face as it is.
        combine: ``features`` for the mean of the views' features, ``rows`` for that of their
            probabilities.
        head: the head's name.
        head_title: its name in tables.
        head_file: the name of its file in the zip.
        weights_file: the name of the backbone's weights in the zip, where they are inside.
        task: the classes, the emotions that make them, and the positive one.
        threshold: least probability of the positive class that is called positive; None for the
            most probable class.
        calibrator: the calibration of the head's probabilities.
        uncertain: which answers are called uncertain.
        crop: the rule by which faces are cut out of pictures.
        data: the rows that the head was fitted to and scored on.
        source_sha256: digest of the source that they are from; empty if unknown.
        split: their parts.
        validation: scores on the rows that choices were made on.
        test: scores on the test rows.
        intervals: of the test scores, low and high of the 95 % interval by name.
        marks: warnings that belong beside the scores, in capitals.
        command: the command that fitted the head.
        software: versions, by package.
        files: size and SHA-256 of every other file in the zip.
    """

    format_version: int = FORMAT_VERSION
    name: schema.Name
    created: str
    spec: schema.Spec
    layers: Annotated[list[schema.Name], Meta(min_length=1, max_length=1000)]
    output: Literal["pooled", "grid3", "map"]
    views: list[Literal["flip"]] = []
    combine: Literal["features", "rows"] = "features"
    head: schema.Name
    head_title: str = ""
    head_file: schema.FileName = ""
    weights_file: schema.FileName | None = None
    task: schema.Task
    threshold: Share | None = None
    calibrator: Platt | Isotonic | None = None
    uncertain: Uncertain | None = None
    crop: schema.Name = CROP_RULE
    data: schema.Data
    source_sha256: str = ""
    split: schema.Split | None = None
    validation: Scores | None = None
    test: Scores
    intervals: dict[str, tuple[float, float] | None] = {}
    marks: list[str] = []
    command: str = ""
    software: dict[str, str] = {}
    files: dict[schema.FileName, Entry] = {}

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        names = list(self.classes)
        if len(set(names)) < len(names):
            raise ValueError("two classes of one name")
        for part in (self.validation, self.test):
            if part is not None and part.classes != names:
                raise ValueError("scores of other classes than the task's")
        if self.task.positive is not None and self.task.positive not in names:
            raise ValueError("a positive class that is none of the classes")
        if self.threshold is not None and (self.task.positive is None or len(names) != 2):
            raise ValueError("a threshold without two classes, one of them positive")
        if self.calibrator is not None:
            self.calibrator.check(len(names))

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of the probabilities."""
        return tuple(one.name for one in self.task.classes)


def coverage(label: NDArray[np.int64], probability: NDArray[Any], *, measured_on: str) -> Uncertain:
    """The table of coverage of labelled rows.

    Args:
        label: int (N,), true class codes.
        probability: float (N, K), calibrated.
        measured_on: the rows, in a few words.
    """
    highest, right = probability.max(axis=1), probability.argmax(axis=1) == label
    table = []
    for threshold in THRESHOLDS:
        kept = highest >= threshold
        accuracy = float(right[kept].mean()) if kept.any() else None
        table.append(Coverage(threshold=threshold, share=float(kept.mean()), accuracy=accuracy))
    return Uncertain(measured_on=measured_on, table=table)


def encode_record(record: ModelRecord) -> bytes:
    """The content of ``model.json``."""
    return (json.dumps(msgspec.to_builtins(record), indent=1, allow_nan=False) + "\n").encode()


def decode_record(content: bytes) -> ModelRecord:
    """Check a ``model.json``, which anyone may have written.

    Raises:
        ValueError: what is wrong with it, and where.
        RecursionError: it is nested too deeply.
        FerError: a newer version has written it.
    """
    raw = json.loads(content, parse_constant=lambda _: math.nan)
    check_values(raw)
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if not isinstance(version, int) or version < 1:
        raise ValueError("its record has no version")
    if version > FORMAT_VERSION:
        raise FerError(
            f"a model of format {version}, where this version reads {FORMAT_VERSION}", hint=UPDATE
        )
    try:
        return msgspec.convert(raw, ModelRecord)
    except msgspec.ValidationError as error:  # a ValueError in newer versions of msgspec only
        raise ValueError(str(error)) from error
