"""The command line. Each command is a file here: flags, one call, and what it prints.

Everything heavy is imported inside the commands, so that ``fer --help`` is quick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from fer_features import __version__
from fer_features.cli import (
    audit,
    bench,
    cache,
    compare,
    data,
    evaluate,
    export,
    extract,
    fit,
    model,
    predict,
    report,
    serve,
    train,
)
from fer_features.cli.flags import PlainGroup, add_command
from fer_features.runtime.console import print_line

app = typer.Typer(
    help="Facial-expression classification in two stages: features cached once, heads in seconds.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    cls=PlainGroup,
)
_GROUPS: dict[str, tuple[str, tuple[Callable[..., None], ...]]] = {
    "data": (
        "Look at a source of faces.",
        (data.info, data.show, audit.audit, audit.twins, data.layers),
    ),
    "cache": (
        "Look at feature caches, verify, merge and delete them.",
        (cache.list_caches, cache.info, cache.verify, cache.merge, cache.remove),
    ),
    "model": ("Save a run's model as one file, and show a model's card.", (model.save, model.show)),
}


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print_line(__version__)
        raise typer.Exit


for _name, (_help, _functions) in _GROUPS.items():
    _group = typer.Typer(help=_help, no_args_is_help=True, cls=PlainGroup)
    app.add_typer(_group, name=_name)
    for _function in _functions:
        add_command(_group, _function, name=_function.__name__.partition("_")[0])

_COMMANDS: tuple[Callable[..., None], ...] = (
    extract.extract,
    train.train,
    train.pretrain,
    fit.fit,
    compare.compare,
    report.report,
    predict.predict,
    evaluate.evaluate,
    serve.serve,
    export.export,
    bench.bench,
)
for _function in _COMMANDS:
    add_command(app, _function)
