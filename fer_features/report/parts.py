"""Pieces that several sections are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fer_features.report.gather import Subject
from fer_features.report.markup import Child, Markup, join, tag


def section(id_: str, heading: str, *children: Child) -> Markup:
    """A section with its heading, which the page's contents lead to."""
    title = tag("h2", heading, id=f"{id_}-heading")
    return tag("section", title, *children, id=id_, aria_labelledby=f"{id_}-heading")


def data_table(
    caption: Child,
    columns: Sequence[str],
    rows: Iterable[Sequence[Child]],
    *,
    text: Sequence[str] = (),
) -> Markup:
    """A plain table, whose first column names the rows; it scrolls in its own box.

    Args:
        caption: what it shows.
        columns: headings.
        rows: cells.
        text: headings of the columns, besides the first, that are set to the left.
    """
    kinds = ["text" if name in text or not at else "num" for at, name in enumerate(columns)]
    head = [
        tag("th", name, scope="col", class_=kind) for name, kind in zip(columns, kinds, strict=True)
    ]
    body = []
    for first, *rest in rows:
        cells = [tag("td", cell, class_=kind) for cell, kind in zip(rest, kinds[1:], strict=True)]
        body.append(tag("tr", tag("th", first, scope="row"), cells))
    return boxed(
        tag(
            "table",
            caption_of(caption),
            tag("thead", tag("tr", head)),
            tag("tbody", body),
        ),
        label=columns[0],
    )


def caption_of(*children: Child) -> Markup:
    """A table's caption, which stays in sight where the table is wider than its box."""
    return tag("caption", tag("span", *children))


def boxed(table: Markup, *, label: str) -> Markup:
    """A table in a box that scrolls sideways, by keyboard too."""
    return tag(
        "div", table, class_="scroll", tabindex=0, role="group", aria_label=f"Table: {label}"
    )


def subject_heading(subjects: Sequence[Subject], subject: Subject) -> Markup | None:
    """What images a part of a section is about, where there are several kinds."""
    if len(subjects) == 1:
        return None
    data = subject.record.data
    return tag("h3", f"{subject.record.task.name}: {data.rows:,} images of {data.name}")


def log(*children: Child) -> Markup:
    """A remark."""
    return tag("p", *children, class_="note")


def listed(words: Sequence[str], last: str = "and") -> str:
    """Words with commas between, and a word before the last."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def score(value: float | None) -> str:
    """A score as people read it."""
    return "–" if value is None else f"{value:.3f}"


def seconds(value: float) -> str:
    """Seconds by their size."""
    return f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"


def figure(caption: Child, *children: Child, class_: str = "") -> Markup:
    """A picture with its caption above it."""
    return tag("figure", tag("figcaption", caption), join(*children), class_=class_ or None)
