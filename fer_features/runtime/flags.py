"""Flags of the command line as annotations of a configuration's fields, and their parsers."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from fer_features.errors import FerError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")


@dataclass(frozen=True)
class Flag:
    """How a field of a configuration stands on the command line.

    Attributes:
        help: its description.
        name: the option, if other than the field's name; the one in ``hidden`` is still accepted.
        metavar: what its value is called.
        min, max: bounds of a number, both included.
        parse: makes the field's value of the text, or of the texts if it can be given repeatedly.
        argument: it is a positional argument.
        verbatim: commas do not divide the texts of a repeatable option.
    """

    help: str
    name: str = ""
    hidden: str = ""
    metavar: str | None = None
    min: int | None = None
    max: int | None = None
    parse: Callable[[Any], Any] | None = None
    argument: bool = False
    verbatim: bool = False

    def option(self, field: str) -> str:
        """The option on the command line of the field with that name."""
        return self.name or f"--{field.replace('_', '-')}"


def flags_of(kind: type[DataclassInstance]) -> Iterator[tuple[Field[Any], Any, Flag]]:
    """Each field of a configuration, its type and its flag."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        wanted, flag = get_args(hints[field.name])
        yield field, wanted, flag


def words_of(
    config: DataclassInstance, *, skip: Collection[str] = (), path: Callable[[Path], str] = str
) -> list[str]:
    """Command-line words for the fields of a configuration that differ from their defaults.

    Args:
        config: the configuration.
        skip: fields to leave out.
        path: writes a path.
    """
    words, defaults = [], type(config)()
    for field, _, flag in flags_of(type(config)):
        value = getattr(config, field.name)
        if field.name in skip or value == getattr(defaults, field.name):
            continue
        option = flag.option(field.name)
        if value is True:
            words.append(option)
        else:
            texts = _texts(flag, value, path)
            words += [word for text in texts for word in (option, text)]
    return words


def _texts(flag: Flag, value: Any, path: Callable[[Path], str]) -> list[str]:
    """What an option is given, each time that it is given, to make a field's value."""
    match value:
        case Path():
            return [path(value)]
        case (Path(), *_):
            return list(map(path, value))
        case dict():
            return [_assignment(flag, key, one) for key, one in value.items()]
        case tuple() if flag.verbatim:
            return list(value)
        case tuple():
            return [("=" if flag.parse else ",").join(map(str, value))]
    return [str(value)]


def _assignment(flag: Flag, key: str, value: Any) -> str:
    """``key=value`` as the flag parses it; a text that looks like another literal is quoted."""
    text = f"{key}={value}"
    return text if flag.parse and flag.parse([text]) == {key: value} else f"{key}={value!r}"


def make_config(kind: type[C], caller: str, options: Mapping[str, Any]) -> C:
    """A configuration from keyword arguments, each checked against its field's type.

    Raises:
        FerError: there is no such option, or a value is of another type.
    """
    import msgspec

    known = set(kind.__dataclass_fields__)
    for name in options.keys() - known:
        raise FerError(
            f"{caller} has no option {name!r}", hint=f"its options are {', '.join(sorted(known))}"
        )
    lists = {one.name for one in fields(kind) if isinstance(one.default, tuple)}
    given = {  # one text stands for a list of one
        name: (value,) if name in lists and isinstance(value, str) else value
        for name, value in options.items()
    }
    try:
        return msgspec.convert(given, kind, dec_hook=lambda of, value: of(value))  # for paths
    except msgspec.ValidationError as error:
        raise FerError(
            f"{caller}: {error}", hint=f"the options are those of fer {caller} --help"
        ) from error


def parse_per_class(text: str) -> int | str:
    """The value of ``--per-class``: a number of images, or ``all``.

    Raises:
        FerError: it is neither.
    """
    if text == "all":
        return text
    if not (text.isascii() and text.isdigit() and text.strip("0") and len(text) < 19):
        raise FerError(
            f"--per-class {text}: neither a number of images, 1 or more, nor the word all",
            hint="--per-class 100, say",
        )
    return int(text)


def parse_class_map(pairs: Sequence[str]) -> dict[str, str]:
    """The value of ``--map``: emotion by the data's class.

    Raises:
        FerError: a text is not of the form CLASS=EMOTION, or a class is given twice.
    """
    classes: dict[str, str] = {}
    for pair in pairs:
        name, _, emotion = (part.strip() for part in pair.rpartition("="))
        if not (name and emotion):
            raise FerError(
                f"--map {pair}: not of the form CLASS=EMOTION", hint="--map contempt=disgust, say"
            )
        if name.lower() in (one.lower() for one in classes):
            raise FerError(f"--map: class {name} is mapped twice")
        classes[name] = emotion
    return classes


def parse_threshold(text: str) -> tuple[str, float]:
    """The value of ``--threshold-for``: a score, precision or recall, and its target.

    Raises:
        FerError: it is not of the form NAME=VALUE, or the value is not above 0 and at most 1.
    """
    name, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if name not in ("precision", "recall") or not 0 < value <= 1:
        raise FerError(
            f"--threshold-for {text}: not a target",
            hint="precision=0.9 or recall=0.9, above 0 and up to 1",
        )
    return name, value


def parse_faces(text: str) -> str:
    """The value of ``--faces``.

    Raises:
        FerError: it is neither ``found`` nor ``whole``.
    """
    if text not in ("found", "whole"):
        raise FerError(f"no such --faces: {text}", hint="found or whole")
    return text


def parse_region(text: str) -> tuple[int, int, int, int]:
    """The value of ``--region``: left, top, width and height in pixels.

    Raises:
        FerError: it is not of the form X,Y,W,H, or is empty.
    """
    try:
        x, y, w, h = (int(part) for part in text.split(","))
    except ValueError:
        x = y = w = h = 0
    if x < 0 or y < 0 or w < 1 or h < 1:
        raise FerError(
            f"--region {text}: not of the form X,Y,W,H",
            hint="left, top, width and height in pixels: --region 0,0,640,480, say",
        )
    return x, y, w, h


def parse_params(pairs: Sequence[str]) -> dict[str, Any]:
    """The value of ``--set``: values, Python literals or else text, by parameter.

    Raises:
        FerError: a text is not of the form NAME=VALUE.
    """
    words = {"true": "True", "false": "False", "none": "None"}
    params: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise FerError(
                f"--set {pair}: not of the form NAME=VALUE", hint="--set dense.epochs=20, say"
            )
        try:
            params[name] = ast.literal_eval(words.get(text, text))
        except (ValueError, SyntaxError):
            params[name] = text
    return params
