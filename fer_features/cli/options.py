"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fer_features.config import MAX_SEED
from fer_features.errors import FerError

Data = Annotated[
    str,
    typer.Argument(
        help="[b]sample[/b] (built in), a fer2013.csv (also .gz, .xz, .zip, .tar.gz), or a folder "
        "of class folders."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave bad rows out, and list them, instead of stopping.")
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CLASS",
        help="Leave a class of the data out, such as contempt; can be given several times.",
    ),
]
MapClass = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="CLASS=EMOTION",
        help="Count a class of the data as one of the seven: contempt=disgust, say; can be given "
        "several times.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of everything that is drawn.")]
CacheDir = Annotated[Path, typer.Option(help="Where feature caches are kept.")]
RunsDir = Annotated[Path, typer.Option(help="Where runs are kept.")]
CacheFile = Annotated[
    Path | None, typer.Argument(help="A cache file; by default the one asked for last.")
]
FerPlus = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="FER+'s votes, a row for each of fer2013.csv's."),
]
PerClass = Annotated[
    str | None,
    typer.Option(
        metavar="N|all",
        help="Images of each class; by default 8500 for binary where there are that many, else "
        "as many as the smallest class has.",
    ),
]


def per_class_number(text: str | None) -> int | str | None:
    """What ``--per-class`` means: a number of images, ``all``, or None for the default.

    Raises:
        FerError: it means nothing.
    """
    if text is None or text == "all":
        return text
    if not (text.isascii() and text.isdigit() and text.strip("0") and len(text) < 19):
        raise FerError(f"--per-class {text}: neither a number of images nor the word all")
    return int(text)


def class_map(pairs: Sequence[str] | None) -> dict[str, str]:
    """What ``--map`` means: the emotion that each class counts as, by the class's name.

    Raises:
        FerError: one is not of the form CLASS=EMOTION, or a class stands twice.
    """
    classes: dict[str, str] = {}
    for pair in pairs or ():
        name, _, emotion = (part.strip() for part in pair.rpartition("="))
        if not (name and emotion):
            raise FerError(f"--map {pair}: not of the form CLASS=EMOTION")
        if name.lower() in (one.lower() for one in classes):
            raise FerError(f"--map: class {name} is mapped twice")
        classes[name] = emotion
    return classes
