"""The sections as one page, and the page as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from fer_features import __version__
from fer_features.errors import FerError, reason_of
from fer_features.report.curve_sections import curves, learning
from fer_features.report.data_sections import faces, question
from fer_features.report.error_sections import leak, mistakes
from fer_features.report.gather import Gathered
from fer_features.report.markup import Markup, join, tag
from fer_features.report.parts import score
from fer_features.report.provenance import provenance
from fer_features.report.score_sections import confusion, results
from fer_features.runs.published import PUBLISHED, PUBLISHED_MARK
from fer_features.runs.record import UNKNOWN
from fer_features.runtime.files import draft_of

SECTIONS = {
    "data": ("Data", question),
    "faces": ("Faces", faces),
    "results": ("Results", results),
    "confusion": ("Confusion", confusion),
    "curves": ("ROC", curves),
    "learning": ("Learning", learning),
    "mistakes": ("Mistakes", mistakes),
    "leak": ("Leak", leak),
    "provenance": ("Provenance", provenance),
}
"""The page's sections by their ids: a short name, and what writes it."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""What a browser lets the page do: show and run what it carries, and fetch nothing."""

_TITLE = "Facial expressions from frozen features"


@dataclass(frozen=True)
class Written:
    """A report that has been written.

    Attributes:
        path: the file.
        size: its length in bytes.
        runs: how many runs it shows.
        faces: how many faces it shows.
    """

    path: Path
    size: int
    runs: int
    faces: int


def write_report(gathered: Gathered, path: Path) -> Written:
    """Write the page, under a temporary name first.

    Raises:
        FerError: the file cannot be written.
    """
    content = page(gathered).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(path) as draft:
            draft.write_bytes(content)
    except OSError as error:
        raise FerError(
            f"{path} cannot be written: {reason_of(error)}",
            hint="make room there, or name another with --out",
        ) from error
    shown = sum(len(subject.faces) for subject in gathered.subjects)
    return Written(path, len(content), len(gathered.runs), shown)


def page(gathered: Gathered) -> str:
    """The whole page as HTML text; it makes no request to anywhere."""
    body = tag(
        "body",
        tag("a", "Skip to the results", href="#results", class_="skip"),
        _random_weights(gathered.random),
        _seen_images(gathered.seen),
        _unknown(gathered.unknown),
        tag("header", _bar(), _headline(gathered), class_="top"),
        tag("main", [write(gathered) for _, write in SECTIONS.values()]),
        tag("footer", tag("p", f"Written by fer_features {__version__}.")),
        tag("script", Markup(_resource("script.js"))),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", _TITLE),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(_resource("style.css"))),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _resource(name: str) -> str:
    return files("fer_features.report").joinpath(name).read_text(encoding="utf-8")


def _random_weights(runs: Sequence[str]) -> Markup | None:
    if not runs:
        return None
    return _banner(
        "RANDOM WEIGHTS",
        f"{len(runs)} of the runs shown use a network that has learned nothing: their numbers say "
        "nothing about trained weights.",
    )


def _seen_images(runs: Sequence[str]) -> Markup | None:
    if not runs:
        return None
    return _banner(
        "SEEN IMAGES",
        f"{len(runs)} of the runs shown are scored on images that their weights have learnt from: "
        "their numbers say nothing about new images.",
    )


def _unknown(runs: Sequence[str]) -> Markup | None:
    if not runs:
        return None
    return _banner(
        UNKNOWN,
        f"of {len(runs)} of the runs shown it is not known which images their weights have learnt "
        "from, or copies of these cannot be recognised: they may be among those scored.",
    )


def _banner(title: str, text: str) -> Markup:
    return tag(
        "div",
        tag("strong", title),
        f" {text}",
        role="note",
        aria_label=title.capitalize(),
        class_="banner",
    )


def _bar() -> Markup:
    links = [tag("li", tag("a", shown, href=f"#{name}")) for name, (shown, _) in SECTIONS.items()]
    toggle = tag("button", "Dark theme", type="button", id="theme", aria_pressed="false")
    return tag(
        "div",
        tag("nav", tag("ul", links), aria_label="Sections"),
        toggle,
        class_="bar",
    )


def _headline(gathered: Gathered) -> Markup:
    """The page's name, and the one number that a reader came for."""
    subject = gathered.subjects[0]
    table, record = subject.main, subject.record
    accuracy = record.test.accuracy
    low_high = record.intervals.get("accuracy")
    interval = f", 95 % interval {low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else ""
    verdict = subject.verdicts[0]
    tied = f", tied with {len(verdict.tied)} more" if verdict is not None and verdict.tied else ""
    chosen = f": the first of {len(table.runs)} on validation{tied}" if len(table.runs) > 1 else ""
    best = join(
        tag("p", score(accuracy), class_="figure"),
        tag(
            "p",
            f"of the test images are classified rightly by {table.names[0]}{interval}{chosen}.",
        ),
    )
    published = (
        tag(
            "p",
            "On validation ",
            tag("b", score(record.validation.accuracy)),
            f"; {PUBLISHED_MARK}: ",
            tag("b", score(PUBLISHED["accuracy"])),
            ".",
            class_="quiet",
        )
        if table.published
        else None
    )
    return join(
        tag("h1", _TITLE),
        tag("p", table.title, class_="subtitle"),
        tag("div", best, published, class_="headline"),
    )
