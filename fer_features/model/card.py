"""The model card: what a model is, how right it is, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Iterator

from fer_features.metrics import NUMBERS
from fer_features.model.record import Coverage, ModelRecord

EXPRESSION = (
    "It reads expressions, not feelings: what a face shows in one picture, as the people who "
    "labelled such pictures named it. What somebody feels, thinks or intends cannot be read from a "
    "face."
)
NOT_MEASURED = (
    "It has not been measured for fairness: its scores do not tell groups of age, sex, skin or "
    "origin apart, and faces of some groups may be read worse. fer evaluate --group measures it on "
    "labelled faces. Nothing about a person may be decided by it."
)
LAW = (
    "In the European Union the AI Act, Regulation (EU) 2024/1689, bans AI systems that infer "
    "emotions from faces at work and in education, except for medical or safety reasons "
    "(Article 5(1)(f)); elsewhere, who uses such a system must inform the people exposed to it "
    "(Article 50(3))."
)
WORDS = (EXPRESSION, NOT_MEASURED, LAW)
"""What is said beside every model's answers: on its card, and on the page of ``fer serve``."""


def card(record: ModelRecord) -> str:
    """The model card, as Markdown."""
    return "\n".join(_lines(record)) + "\n"


def _lines(record: ModelRecord) -> Iterator[str]:
    yield f"# {record.name}"
    yield ""
    yield from (f"- {one}" for one in facts(record))
    yield from ("", "## Scores", "")
    yield from (f"**{mark}**" for mark in record.marks)
    yield from scores(record)
    if record.uncertain:
        yield from ("", "## Uncertain answers", "")
        yield from uncertain(record)
    yield from ("", "## What it must not be used for", "")
    yield from (f"- {one}" for one in WORDS)


def facts(record: ModelRecord) -> list[str]:
    """What the model is, a sentence each."""
    spec, data = record.spec, record.data
    classes = "; ".join(
        one.name if one.emotions == [one.name] else f"{one.name} ({', '.join(one.emotions)})"
        for one in record.task.classes
    )
    averaged = "features" if record.combine == "features" else "probabilities"
    views = f", mean of the {averaged} of a face and its mirror image" if record.views else ""
    calibrated = record.calibrator.__struct_config__.tag if record.calibrator else "none"
    found = [
        f"classes: {classes}",
        f"features: {spec.backbone}, weights {spec.weights}, {'+'.join(record.layers)} "
        f"({record.output}) of {spec.size}×{spec.size} pixels, {spec.precision}{views}",
        f"head: {record.head_title or record.head}; calibration: {calibrated}",
        f"the backbone has learnt from {spec.learnt_from or 'an unknown source'}",
        f"the head was fitted on {data.name}, labels {data.labels}{_parts(record)}",
        f"weights SHA-256 {spec.weights_sha256 or 'unknown'}"
        + (", inside the file" if record.weights_file else ", not inside the file"),
        f"made {record.created}" + (f" by `{record.command}`" if record.command else ""),
    ]
    if record.threshold is not None:
        found.insert(1, f"{record.task.positive} from a probability of {record.threshold:.4f} on")
    return found


def _parts(record: ModelRecord) -> str:
    split = record.split
    if split is None:
        return ""
    return (
        f": {split.train:,} training, {split.validation:,} validation and {split.test:,} test "
        f"rows, split {split.name}"
    )


def scores(record: ModelRecord) -> list[str]:
    """The test scores with their 95 % intervals, as a table."""
    rows = [f"| test, {record.test.n:,} faces | | 95 % interval |", "| --- | ---: | ---: |"]
    for name in NUMBERS:
        value, interval = getattr(record.test, name), record.intervals.get(name)
        between = f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "–"
        if value is not None:
            rows.append(f"| {name.replace('_', ' ')} | {value:.4f} | {between} |")
    return rows


def uncertain(record: ModelRecord) -> list[str]:
    """Which answers are called uncertain, and the table of coverage."""
    found = record.uncertain
    if found is None:
        return []
    rule = "No answer is called uncertain."
    if found.below is not None:
        rule = f"An answer whose highest probability is below {found.below:g} is called uncertain."
    rows = ["| highest probability | share of faces | their accuracy |", "| ---: | ---: | ---: |"]
    return [f"{rule} Measured on {found.measured_on}:", "", *rows, *map(_row, found.table)]


def _row(one: Coverage) -> str:
    accuracy = "–" if one.accuracy is None else f"{one.accuracy:.4f}"
    return f"| at least {one.threshold:.2f} | {one.share:.1%} | {accuracy} |"
