"""The rooms of the package: which there are, what each may import, and how large they may be."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fer_features"

MAY_IMPORT = {
    "serve": {"model", "detect"},
    "model": {"engines", "backbones", "heads", "detect", "data", "metrics", "runs"},
    "detect": {"engines", "backbones", "data"},
    "report": {"runs"},
    "extract": {"engines", "backbones", "cache", "data", "detect"},
    "fit": {"heads", "cache", "data", "runs", "metrics"},
    "training": {"engines", "backbones", "cache", "data", "metrics"},
    "runs": {"metrics"},
    "heads": {"metrics"},
    "engines": {"backbones"},
    "cache": set(),
    "backbones": set(),
    "data": set(),
    "metrics": set(),
    "runtime": set(),
}
"""What each room may import beside itself, `config`, `errors` and `runtime`."""

EVERYTHING = {"cli", "__init__", "__main__"}
"""What may import every room."""

FOR_ALL = {"config", "errors", "runtime"}
TOP_LEVEL = {"__init__", "__main__", "config", "errors"}

MODULES_IN_A_ROOM = 18
LINES_OF_A_MODULE = 300
LINES_OF_A_FUNCTION = 50
LISTS_OF_FLAGS = {"config.py"}
"""Modules that are lists of flags, which may be longer."""


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def name_of(path: Path) -> str:
    parts = ("fer_features", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


@cache
def modules() -> dict[str, Path]:
    return {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path) -> set[str]:
    """The package's modules that a module imports, at any place in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: imports are absolute"
            for one in node.names:
                inner = f"{node.module}.{one.name}"
                found.add(inner if inner in modules() else node.module)
    return {one for one in found if one.split(".")[0] == "fer_features"}


def test_there_are_these_rooms_and_no_others() -> None:
    rooms = {room_of(path) for path in modules().values()}
    assert rooms == {*MAY_IMPORT, "cli", *TOP_LEVEL}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    allowed = {room, *MAY_IMPORT[room], *FOR_ALL}
    if room == "runtime":
        allowed = {"runtime", "errors"}
    wrong = [
        f"{name} imports {one}"
        for name, path in modules().items()
        if room_of(path) == room
        for one in imports(path)
        if one != "fer_features" and room_of(modules()[one]) not in allowed
    ]
    assert not wrong


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name: imports(path) - {name, "fer_features"} for name, path in modules().items()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1]))


@pytest.mark.parametrize("room", [*MAY_IMPORT, "cli"])
def test_a_room_has_few_modules(room: str) -> None:
    assert len([path for path in modules().values() if room_of(path) == room]) <= MODULES_IN_A_ROOM


def test_modules_and_functions_are_short() -> None:
    long = []
    for name, path in modules().items():
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > LINES_OF_A_MODULE and path.name not in LISTS_OF_FLAGS:
            long.append(f"{name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and not _lists_flags(node):
                lines = _length(node)
                if lines > LINES_OF_A_FUNCTION:
                    long.append(f"{name}.{node.name}: {lines} lines")
    assert not long


def _length(node: ast.FunctionDef) -> int:
    """Lines of a function without its docstring."""
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


def _lists_flags(node: ast.FunctionDef) -> bool:
    """Whether a function's parameters are flags or parameters of a head, each a line or more."""
    arguments = [*node.args.args, *node.args.kwonlyargs]
    return len(arguments) >= 8 and (node.end_lineno or 0) - node.body[0].lineno < 50


def test_no_two_test_modules_have_one_name() -> None:
    """Pytest imports them by their names alone."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
