"""The parts of the run record about the cache and its rows."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from fer_features.cache import Cache
from fer_features.data.splits import Split
from fer_features.data.summary import is_fer2013
from fer_features.fit.dataset import Dataset
from fer_features.fit.split import PARTS, seen_by_part
from fer_features.runs import schema as runs
from fer_features.runs.record import has_known_weights
from fer_features.runtime.text import plain_text


def cache_record(cache: Cache) -> runs.CacheRecord:
    """The cache that a head is fitted on."""
    header = cache.header
    return runs.CacheRecord(
        path=plain_text(str(cache.path)),
        key=header.key,
        spec=msgspec.convert(header.spec, runs.Spec),
        dataset=msgspec.convert(header.dataset, runs.Dataset),
    )


def data_record(dataset: Dataset, split: Split) -> runs.Data:
    """The rows that a head is fitted to and scored on."""
    cache, header = dataset.cache, dataset.cache.header
    return runs.Data(
        name=plain_text(header.dataset["name"]),
        rows=len(dataset.rows),
        digest=dataset.digest,
        labels=dataset.labels,
        dropped=dataset.dropped,
        seen=seen_by_part(dataset, split),
        fer2013=is_fer2013(dataset.metadata.sha256),
        provenance=provenance(str(header.spec["weights"]), cache.seen(dataset.rows)),
        counts={
            part: np.bincount(
                dataset.y[getattr(split, part)], minlength=len(dataset.task.classes)
            ).tolist()
            for part in PARTS
        },
    )


def provenance(weights: str, marks: NDArray[np.uint8] | None) -> runs.Provenance:
    """Whether it is known which images the weights have learnt from.

    It is for weights that have learnt from no labelled faces (descriptors, random, ImageNet's), and
    for a file with signatures of its images. A file with keys alone must recognise some image.

    Args:
        weights: the weights' name in the cache.
        marks: (N, 1 or 2), the marks of the rows (`Seen.marks`); None where the weights have none.
    """
    exact = copies = None
    if marks is not None:
        exact = int(marks[:, 0].sum())
        if marks.shape[1] > 1:
            copies = int(marks[:, 1].sum())
            exact -= copies
    known = has_known_weights(weights) or copies is not None or bool(exact)
    return runs.Provenance(state="known" if known else "unknown", exact=exact, copies=copies)
