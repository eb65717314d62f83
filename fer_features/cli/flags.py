"""Commands made from configurations: each field with a `Flag` becomes an option or an argument."""

from __future__ import annotations

import inspect
import os
import sys
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import OptionInfo

from fer_features.errors import FerError, hint_of
from fer_features.runtime.console import print_message
from fer_features.runtime.flags import Flag, flags_of
from fer_features.runtime.interrupt import INTERRUPTED

USAGE_ERROR = 2
PIPE_CLOSED = 141

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
CacheDir = Annotated[Path, typer.Option(help="Folder of the feature caches.")]
RunsDir = Annotated[Path, typer.Option(help="Folder of the runs.")]
CacheFile = Annotated[
    Path | None, typer.Argument(help="A cache file; by default the one extracted last.")
]
RunFolders = Annotated[
    list[Path] | None,
    typer.Argument(help="Folders of runs; by default all that are about the newest's images."),
]
Size = Annotated[
    int | None, typer.Option(min=1, help="Height and width that images are resized to.")
]

_METAVARS = {str: "TEXT", Path: "PATH", int: "N", float: "NUMBER"}


class _PlainHelp:
    """Help without Python's types: none for arguments and switches, whose texts say enough."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, with what their help calls their values."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for one in params:
            if one.param_type_name == "argument":
                one.display_type_rich = lambda ctx: None
            elif one.is_flag:
                one.metavar = ""
        return params


class PlainCommand(_PlainHelp, TyperCommand):
    """A command with plain help."""


class PlainGroup(_PlainHelp, TyperGroup):
    """A group of commands with plain help."""


def add_command(app: typer.Typer, function: Callable[..., None], *, name: str = "") -> None:
    """Add a function to a typer application as a command.

    A first parameter whose type is a configuration (a dataclass whose fields have a `Flag`) stands
    for an option or argument for each of its fields. Exceptions become lines on stderr: exit status
    2 for a `FerError` or `OSError`, 130 for an interruption; never a traceback.
    """
    own = list(inspect.signature(function, eval_str=True).parameters.values())
    config: Any = own[0].annotation if own else None
    flags = list(flags_of(config)) if hasattr(config, "__dataclass_fields__") else []

    def command(**values: Any) -> None:
        with _errors_as_lines():
            configs = [config(**_parsed(flags, values))] if flags else []
            function(*configs, **values)

    made = [parameter for one in flags for parameter in _parameters(*one)]
    parameters = made + [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own[bool(flags) :]
    ]
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    command.__doc__ = "\n\n".join(" ".join(one.split()) for one in paragraphs)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    for one in parameters:
        _name_value(one.annotation)
    app.command(name or function.__name__, cls=PlainCommand)(command)


def _name_value(annotation: Any) -> None:
    """Give an option a metavar by its type, if it has none."""
    kind, info = typing.get_args(annotation)
    if isinstance(info, OptionInfo) and info.metavar is None:
        info.metavar = next(filter(None, map(_METAVARS.get, _types(kind))), None)


def _types(kind: Any) -> Iterator[Any]:
    """A type and those in it: ``list[str] | None``, ``list[str]``, ``str``, ``None``."""
    yield kind
    for one in typing.get_args(kind):
        yield from _types(one)


@contextmanager
def _errors_as_lines() -> Iterator[None]:
    try:
        yield
    except FerError as error:
        print_message(f"error: {error.message}")
        if error.hint:
            print_message(f"hint: {error.hint}")
        raise typer.Exit(USAGE_ERROR) from None
    except KeyboardInterrupt:
        print_message("interrupted; no half-written file was left behind")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # for example `fer compare | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(PIPE_CLOSED) from None
    except OSError as error:  # a full disk, a folder that cannot be written
        place = f"{error.filename}: " if error.filename else ""
        print_message(f"error: {place}{error.strerror or error}")
        if hint := hint_of(error):
            print_message(f"hint: {hint}")
        raise typer.Exit(USAGE_ERROR) from None


def _is_repeatable(kind: Any) -> bool:
    return typing.get_origin(kind) in (tuple, dict)


def _parameters(field: Field[Any], kind: Any, flag: Flag) -> Iterator[inspect.Parameter]:
    """The parameters of a typer command for a field: one, and one for an option's old name."""
    default = field.default
    shown = default is not None and default is not False and default != -1
    if default is MISSING and field.default_factory is MISSING:
        kind, default, shown = list[str], inspect.Parameter.empty, False
    elif _is_repeatable(kind):
        kind, default, shown = list[str] | None, None, False
    elif flag.parse is not None:
        kind = str | None
    about: dict[str, Any] = {
        name: getattr(flag, name) for name in ("help", "metavar", "min", "max")
    }
    if isinstance(field.default, tuple) and field.default:
        about["help"] = f"{flag.help.rstrip('.')}; by default {', '.join(field.default)}."
    about["show_default"] = shown
    info: Any = (
        typer.Argument(**about) if flag.argument else typer.Option(flag.option(field.name), **about)
    )
    yield _keyword(field.name, default, Annotated[kind, info])
    if flag.hidden:
        old = typer.Option(flag.hidden, hidden=True)
        yield _keyword(_old(field.name), None, Annotated[kind, old])


def _keyword(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _old(name: str) -> str:
    return f"{name}_by_its_old_name"


def _parsed(
    flags: Sequence[tuple[Field[Any], Any, Flag]], values: dict[str, Any]
) -> dict[str, Any]:
    """Take the flags' values out of a command's values: what was given, as fields' values."""
    found = {}
    for field, kind, flag in flags:
        value = values.pop(field.name)
        if flag.hidden and (old := values.pop(_old(field.name))) is not None:
            value = old
        if value is None:  # not given
            continue
        if flag.parse is not None:
            value = flag.parse(value)
        elif _is_repeatable(kind):
            parts = [part.strip() for text in value for part in text.split(",")]
            of = Path if Path in typing.get_args(kind) else str
            value = tuple(map(of, value if flag.verbatim else parts))
        found[field.name] = value
    return found
