"""The content of a report, as the template reads it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.report.charts import Chart
from fer_features.runs.record import RunRecord
from fer_features.runs.run import Run
from fer_features.runs.table import ComparisonTable

Cell = str | int | float | None
"""A table's cell: text, a count, a score, or None where there is no value."""

Rows = tuple[tuple[Cell, ...], ...]
"""A table's rows; the first cell names the row."""

LearningCurves = tuple[str, tuple[Chart, ...]]
"""A run's name and its learning curves."""


@dataclass(frozen=True)
class Face:
    """An image of the data set.

    Attributes:
        image: uint8 (H, W).
        emotion: the data set's own label.
        usage: the data set's own part; empty where it has none.
    """

    image: NDArray[np.uint8]
    emotion: str
    usage: str

    @cached_property
    def uri(self) -> str:
        """The image as a ``data:`` address of a PNG."""
        from PIL import Image

        out = io.BytesIO()
        Image.fromarray(self.image).save(out, "png", optimize=True)
        return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


FindFaces = Callable[[Run, NDArray[np.int64]], Mapping[int, Face]]
"""Called with a run and rows of its source; returns the faces by row, without unknown rows.

Raises `FerError` where the run's images are not available.
"""


@dataclass(frozen=True)
class Ranking:
    """Runs that may be ranked against each other, the best on validation first.

    Attributes:
        table: the comparison's table.
        rows: those of the table, by the keys of `runs.table.COLUMNS`.
        runs: each run's name and record.
        tied: number of runs with the first's validation accuracy, besides the first.
        verdict: whether the first is better than the others; empty without a verdict.
        drawn: names of the runs with curves; empty where no predictions are readable.
        readable: number of runs with readable predictions.
        roc: None where undefined.
        reliability: None where no bin has enough images.
    """

    table: ComparisonTable
    rows: tuple[Mapping[str, Any], ...]
    runs: tuple[tuple[str, RunRecord], ...]
    tied: int
    verdict: str
    drawn: tuple[str, ...]
    readable: int
    roc: Chart | None
    reliability: Chart | None


@dataclass(frozen=True)
class Mistake:
    """A misclassified test image.

    Attributes:
        row: its number in the source.
        probability: of the predicted class, 0 to 1.
        twin: whether it has a twin in training or validation.
        wrong: number of the first ranking's runs that misclassify it.
        face: None where the images are not available.
    """

    row: int
    true: str
    predicted: str
    probability: float
    twin: bool
    wrong: int
    face: Face | None


@dataclass(frozen=True)
class Images:
    """All runs on the same images with the same labels; the first ranking is the main one.

    Attributes:
        title: task, number of images and data set.
        labels: ``original``, ``ferplus`` or other.
        dropped: number of images left out, by reason.
        splits: names and, of cut validation parts, their origin (else empty); by ranking.
        class_counts: class, emotions, and images in the parts of the first split.
        samples: by class, some validation images with their rows.
        mistakes: the most confident of the first run; None where it has no readable predictions.
        no_faces: why no faces are shown; empty where they are.
        bounds: ends of the scale that all test intervals are drawn on.
    """

    title: str
    data_name: str
    positive: str | None
    labels: str
    dropped: Mapping[str, int]
    splits: tuple[tuple[str, str], ...]
    class_counts: Rows
    samples: tuple[tuple[str, tuple[tuple[int, Face], ...]], ...]
    mistakes: tuple[Mistake, ...] | None
    no_faces: str
    bounds: tuple[float, float]
    rankings: tuple[Ranking, ...]

    @property
    def rows_shown(self) -> set[int]:
        """Rows of the faces that are shown."""
        rows = {row for _, faces in self.samples for row, _ in faces}
        return rows | {one.row for one in self.mistakes or () if one.face}


@dataclass(frozen=True)
class Report:
    """A whole report.

    Attributes:
        runs: number of runs.
        random: number of runs on features of random weights.
        seen: number of runs scored on images that their weights have learnt from.
        unknown: number of runs whose weights' training images are unknown.
        seeds: heads with several seeds: head, features, title, seeds, validation and test.
        operating: run, target, threshold, and precision and recall on validation and test.
        calibrations: run, method, and log loss, Brier score and ECE before and after.
        leaked: ranking, test images, and those with an exact, near and registered copy.
        leak_effects: run, accuracy, and number and accuracy with and without a copy, difference.
        caches: a record of each cache.
        records: those of all runs, in the order of the tables.
    """

    images: tuple[Images, ...]
    runs: int
    random: int
    seen: int
    unknown: int
    seeds: Rows
    operating: Rows
    calibrations: Rows
    by_epoch: tuple[LearningCurves, ...]
    by_size: tuple[LearningCurves, ...]
    leaked: Rows
    leak_effects: Rows
    caches: tuple[RunRecord, ...]
    records: tuple[RunRecord, ...]
