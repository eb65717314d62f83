"""What goes wrong: the surest mistakes, and what twins flatter."""

from __future__ import annotations

from fer_features.report.album import picture
from fer_features.report.gather import Gathered, Mistake, Subject
from fer_features.report.markup import Markup, tag
from fer_features.report.parts import (
    boxed,
    caption_of,
    data_table,
    log,
    score,
    section,
    subject_heading,
)
from fer_features.runs.repeats import TestPart


def mistakes(gathered: Gathered) -> Markup:
    """The test images that the best head is surest of, and wrong about."""
    parts = [
        (subject_heading(gathered.subjects, subject), _mistakes(subject, _prefix(place)))
        for place, subject in enumerate(gathered.subjects)
    ]
    return section("mistakes", "The most confident mistakes", *parts)


def _prefix(place: int) -> str:
    """What makes the ids of a page's rows differ where there are several sources."""
    return "row-" if place == 0 else f"row-{place + 1}-"


def _mistakes(subject: Subject, prefix: str) -> Markup | list[Markup | None]:
    table = subject.main
    run = table.runs[0]
    if run.path not in subject.predictions:
        return log(f"The predictions of {run.record.id} cannot be read.")
    if not subject.mistakes:
        return log(f"{table.names[0]} makes no mistake on the test images.")
    intro = tag(
        "p",
        f"Test images that {table.names[0]}, the first by validation accuracy, is surest of and "
        "wrong about: mislabelled faces, pictures that are no face, and faces that are hard. Each "
        "leads to its line in the list.",
    )
    gone = log(f"Without pictures: {subject.why_no_faces}.") if subject.why_no_faces else None
    shown = [_tile(one, subject, prefix) for one in subject.mistakes]
    return [intro, gone, tag("ul", shown, class_="tiles"), _list(subject, prefix)]


def _tile(one: Mistake, subject: Subject, prefix: str) -> Markup:
    face = subject.faces.get(one.row)
    drawn = picture(face, alt=f"row {one.row}") if face else None
    said = tag("span", "says ", one.said, " ", tag("b", f"{one.probability:.3f}"))
    true = tag("small", f"is {one.true}")
    return tag(
        "li",
        tag("a", drawn, tag("small", f"row {one.row}"), said, true, href=f"#{prefix}{one.row}"),
    )


def _list(subject: Subject, prefix: str) -> Markup:
    columns = ("row", "true", "said", "probability", "own label", "usage", "twin", "runs wrong")
    numbers = ("probability", "runs wrong")
    head = [
        tag("th", name, scope="col", class_="num" if name in numbers else "text")
        for name in columns
    ]
    heads = sum(run.path in subject.predictions for run in subject.main.runs)
    body = [_line(one, subject, prefix, heads) for one in subject.mistakes]
    drawn = tag(
        "table",
        caption_of("The same mistakes as a list; rows are counted from 0 in the source"),
        tag("thead", tag("tr", head)),
        tag("tbody", body),
    )
    return boxed(drawn, label="mistakes")


def _line(one: Mistake, subject: Subject, prefix: str, heads: int) -> Markup:
    face = subject.faces.get(one.row)
    cells = (
        (one.true, "text"),
        (one.said, "text"),
        (f"{one.probability:.4f}", "num"),
        (face.emotion if face else "–", "text"),
        ((face.usage if face else "") or "–", "text"),
        ("yes" if one.twin else "no", "text"),
        (f"{one.wrong} of {heads}", "num"),
    )
    drawn = [tag("td", text, class_=kind) for text, kind in cells]
    number = tag("th", one.row, scope="row", class_="text")
    return tag("tr", number, drawn, id=f"{prefix}{one.row}", tabindex=-1)


def leak(gathered: Gathered) -> Markup:
    """What leaked, and how much it flatters."""
    intro = tag(
        "p",
        "Data sets gathered from the web hold many photographs twice or more often. A copy of a "
        "test image among the training or validation images makes that test image easy: it "
        "flatters. “Exact” copies are equal in every pixel, “near” ones almost; “registered” ones "
        "fit when one is shifted, scaled or mirrored, and older versions did not look for them.",
    )
    return section("leak", "What leaked", intro, _leaked(gathered), _effects(gathered))


def _leaked(gathered: Gathered) -> Markup:
    rows = []
    for subject in gathered.subjects:
        for table in subject.tables:
            split = table.runs[0].record.split
            leaked = (split.leaked.exact, split.leaked.near, split.leaked.registered)
            counts = ["–" if n is None else f"{n:,}" for n in leaked]
            rows.append([table.title, f"{split.test:,}", *counts])
    columns = ["images and split", "test images", "exact copy", "near copy", "registered copy"]
    return data_table("Test images with a copy in training or validation", columns, rows)


def _effects(gathered: Gathered) -> Markup:
    rows, names = [], gathered.names
    for one in gathered.leaks:
        n = one.without_copy.n if one.without_copy else 0
        rows.append(
            [
                names[one.run.path],
                score(one.run.record.test.accuracy),
                f"{one.with_copy.n:,}",
                _accuracy(one.with_copy),
                f"{n:,}",
                _accuracy(one.without_copy),
                "–" if one.effect is None else f"{100 * one.effect:+.1f}",
            ]
        )
    if not rows:
        return log("No test image of these runs has a copy where it would flatter.")
    columns = ["run", "test", "with a copy", "accuracy on them", "without", "accuracy there"]
    return data_table(
        "Runs on splits that leak: test accuracy with and without a copy (95 % interval), and the "
        "points that images with a copy add to the whole",
        [*columns, "points"],
        rows,
    )


def _accuracy(part: TestPart | None) -> str:
    if part is None:
        return "–"
    low, high = part.interval
    return f"{score(part.accuracy)} [{low:.3f}, {high:.3f}]"
