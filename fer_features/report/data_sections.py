"""What was asked, of which images, and what they look like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fer_features.report.album import picture
from fer_features.report.gather import Gathered, Subject
from fer_features.report.markup import Markup, tag
from fer_features.report.parts import data_table, listed, log, section, subject_heading
from fer_features.runs.record import RunRecord
from fer_features.runs.schema import Split

_LABELS = {
    "original": "The labels are the data set's own.",
    "ferplus": "The labels are what most of FER+'s ten voters say.",
    "soft": "The labels are what most of FER+'s ten voters say; heads that can are trained on the "
    "shares of their votes.",
}
_DROPPED = {
    "notface": "images that the voters call no face",
    "constant": "images of one grey level",
    "conflict": "images whose identical copies have other labels",
    "twins": "images with a twin in a later part",
    "no label": "images whose voters' majority is in no class",
}


def question(gathered: Gathered) -> Markup:
    """The question and the data."""
    parts = [
        (subject_heading(gathered.subjects, subject), _question(subject))
        for subject in gathered.subjects
    ]
    return section("data", "The question and the data", *parts)


def _question(subject: Subject) -> list[Markup | None]:
    record = subject.record
    data, task = record.data, record.task
    names = [one.name for one in task.classes]
    positive = f" Precision, recall and F1 are about “{task.positive}”." if task.positive else ""
    asked = (
        f"Which of {len(names)} classes does a face belong to: {listed(names, 'or')}? Each "
        "image is turned into features once, by a network or a descriptor that learns nothing "
        f"here; a light head learns the classes from them.{positive}"
    )
    return [
        tag("p", asked, class_="lead"),
        _counts(subject),
        tag("p", _labels(data.labels), " ", _dropped(data.dropped)),
        tag("p", _splits(subject)),
    ]


def _labels(labels: str) -> str:
    if labels.endswith("soft"):
        return _LABELS["soft"]
    return _LABELS.get(labels, f"The labels are {labels}.")


def _dropped(dropped: dict[str, int]) -> str:
    if not dropped:
        return "No image was left out."
    gone = [f"{n:,} {_DROPPED.get(name, name)}" for name, n in dropped.items()]
    return f"Left out: {listed(gone)}."


def _counts(subject: Subject) -> Markup:
    """Images by class and part; what a record does not say of training is only summed."""
    record, split = subject.record, subject.record.split
    rows: list[list[str | None]] = []
    by_part = {
        part: np.sum(getattr(record, part).confusion, axis=1) for part in ("validation", "test")
    }
    for code, one in enumerate(record.task.classes):
        counts = [f"{by_part[part][code]:,}" for part in by_part]
        rows.append([one.name, listed(one.emotions), "–", *counts])
    totals = [f"{getattr(split, part):,}" for part in ("train", "validation", "test")]
    rows.append(["all", "", *totals])
    caption = f"Images of {record.data.name} by class and part, split {split.name}"
    columns = ["class", "emotions", "training", "validation", "test"]
    if (train := _training_counts(record)) is not None:
        for row, count in zip(rows, train, strict=False):
            row[2] = f"{count:,}"
    return data_table(caption, columns, rows, text=["emotions"])


def _training_counts(record: RunRecord) -> Sequence[int] | None:
    return record.data.counts.get("train")


_SPLITS = {
    "grouped": "grouped keeps identical and nearly identical images on one side",
    "reference": "reference is drawn as in the published project, twins wherever they fall",
    "usage": "usage is FER2013's own Training, PublicTest and PrivateTest",
}


def _splits(subject: Subject) -> str:
    splits = [table.runs[0].record.split for table in subject.tables]
    told = "; ".join(dict.fromkeys(_split(split) for split in splits))
    return (
        "Training images teach a head, validation images choose between heads and their settings, "
        f"test images are scored once, at the end. Of the splits shown, {told}."
    )


def _split(split: Split) -> str:
    if origin := split.validation_from:
        return f"usage is the data's own parts, with validation cut from {origin}"
    return _SPLITS.get(split.name, split.name)


def faces(gathered: Gathered) -> Markup:
    """Faces of each class."""
    intro = tag(
        "p",
        "Some of the validation images. The number is the image's row in the source, counted "
        "from 0.",
    )
    parts = [
        (subject_heading(gathered.subjects, subject), _faces(subject))
        for subject in gathered.subjects
    ]
    return section("faces", "Faces of each class", intro, *parts)


def _faces(subject: Subject) -> Markup | list[Markup]:
    if not subject.samples or not subject.faces:
        why = subject.why_no_faces or "the predictions of no run can be read"
        return log(f"There are no faces to show: {why}.")
    names = [one.name for one in subject.record.task.classes]
    out = []
    for name, rows in zip(names, subject.samples, strict=True):
        shown = [
            tag(
                "li",
                picture(subject.faces[row], alt=f"row {row}, {subject.faces[row].emotion}"),
                tag("span", row),
            )
            for row in rows
            if row in subject.faces
        ]
        out.append(tag("figure", tag("figcaption", name), tag("ul", shown, class_="faces")))
    return out
