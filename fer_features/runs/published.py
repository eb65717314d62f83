"""The published result, which stands beside runs on the same task."""

from __future__ import annotations

from typing import Any

from fer_features.config import SEEN_COPIES, TWINS
from fer_features.metrics import NUMBERS
from fer_features.runs.record import IMAGENET, RunRecord

PUBLISHED_MARK = "published, not re-run"

PUBLISHED: dict[str, Any] = {
    "n": 3400,
    "accuracy": 0.7944,
    "precision": 0.8065,
    "recall": 0.7747,
    "f1": 0.7903,
    "confusion": [[1384, 316], [383, 1317]],
}
"""Validation scores of the published project on the binary task; computed from its confusion
matrix (TN 1384, FP 316, FN 383, TP 1317; positive is happy)."""

PUBLISHED_ROWS = 17000
"""Images of the published task, half of them happy."""

PUBLISHED_CLASSES = {"not happy": ["angry", "fear", "sad"], "happy": ["happy"]}

PUBLISHED_ROW = {
    "head": PUBLISHED_MARK,
    "features": "inception_resnet_v2 imagenet",
    "learnt from": IMAGENET,
    **{f"validation {name}": value for name, value in PUBLISHED.items() if name in NUMBERS},
}
"""The row of a comparison, by the keys of its columns."""

PUBLISHED_FINE_TUNED = (
    ("resnet50", "VGGFace2", 0.7125),
    ("inception_resnet_v2", "ImageNet", 0.6500),
    ("inception_v3", "ImageNet", 0.6386),
)
"""Published accuracy on FER2013's seven classes of networks that were fine-tuned to them: the
network, what its weights had learnt from before, and the accuracy. None was run again."""


def is_published_task(record: RunRecord) -> bool:
    """Whether a run is about the published task: 8,500 images of each class of FER2013."""
    data = record.data
    still_rows = (TWINS, SEEN_COPIES)  # rows that the split leaves out of its parts
    dropped = sum(n for name, n in data.dropped.items() if name not in still_rows)
    return (
        data.fer2013 is True
        and {one.name: one.emotions for one in record.task.classes} == PUBLISHED_CLASSES
        and data.labels == "original"
        and data.rows + dropped == PUBLISHED_ROWS
    )
