"""HTML that cannot be broken by what is written in it: all text is escaped unless it is `Markup`.

It is what a template engine with autoescape would be needed for; a page made of Python functions
needs no other language, and its parts are type-checked.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Union

Child = Union["Markup", str, int, None, Iterable["Child"]]
"""What may stand in an element: markup as it is, text escaped, None nothing, and many of these."""

_VOID = frozenset({"br", "img", "link", "meta"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """An HTML or SVG element.

    Args:
        name: the element's name.
        children: what stands in it.
        attributes: by their names, ``_`` for ``-`` and one ``_`` behind Python's own words
            (``class_``). True is an attribute without a value; None and False are left out.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        shown = key.rstrip("_").replace("_", "-")
        text = f"{value:g}" if isinstance(value, float) else str(value)
        parts.append(f" {shown}" if value is True else f' {shown}="{html.escape(text)}"')
    if name in _VOID:
        return Markup("".join([*parts, ">"]))
    return Markup("".join([*parts, ">", join(*children), f"</{name}>"]))


def join(*children: Child) -> Markup:
    """Several children, one behind the other."""
    return Markup("".join(_text(child) for child in children))


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int):
        return html.escape(str(child), quote=False)
    return "".join(_text(one) for one in child)
