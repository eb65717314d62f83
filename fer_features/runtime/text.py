"""Text from files, checked or escaped for titles, file names and terminals."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from fer_features.errors import FerError

LONGEST_NAME = 80
"""Characters of the name of a task, a class or a head."""

LONGEST_FILE_NAME = 255
"""Characters of a data set's or weights file's name: as many as file systems allow."""

_LONGEST_STEM = 160
"""Bytes of a file's name before its suffix; file systems allow 255."""

_JOINERS = "\u200c\u200d"
"""Zero-width (non-)joiners: invisible, but spelling in Persian, Hindi and others."""


def is_printable(text: str) -> bool:
    """Whether a text is one line without control, direction or other invisible characters."""
    return text.isprintable() or all(one.isprintable() or one in _JOINERS for one in text)


def checked_name(text: Any, what: str, *, longest: int = LONGEST_NAME) -> str:
    """A name that may stand in titles, tables and pages.

    It may still hold ``/`` and ``<``: `file_stem` makes a file's name of it, and pages escape.

    Args:
        text: what a file gives as the name.
        what: what it names, and where it stands, for the message.
        longest: how many characters it may have.

    Raises:
        FerError: it is no text, empty, too long, or not one printable line.
    """
    if not isinstance(text, str) or not text.strip():
        raise FerError(f"{what} must be a text that is not empty")
    if len(text) > longest:
        raise FerError(f"{what} has {len(text):,} characters", hint=f"at most {longest} are taken")
    if text != text.strip():
        raise FerError(f"{what} has blanks around it: {text!r}")
    if not is_printable(text):
        raise FerError(
            f"{what} holds characters that cannot be printed: {plain_text(text)}",
            hint="a name is one line of letters, digits, spaces and signs",
        )
    return text


def plain_text(text: str, *, keep: str = "") -> str:
    """The text on one line, with Python's escapes for what cannot be printed.

    Args:
        text: any text.
        keep: characters that are left as they are, such as line ends.
    """
    if is_printable(text):
        return text
    return "".join(
        one
        if one.isprintable() or one in _JOINERS or one in keep
        else one.encode("unicode_escape").decode()
        for one in text
    )


def counted(n: int, noun: str) -> str:
    """A number and what it counts, whose plural takes an ``s``: ``1 face``, ``2,000 faces``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def shortened(text: str, longest: int) -> str:
    """The text, cut to so many characters with an ellipsis at the end."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def file_stem(text: str) -> str:
    """A file's name, without its suffix, that stays in its folder on any system.

    Letters, digits, spaces, ``.``, ``_``, ``+`` and ``-`` stay; a text that has anything else, or
    is too long, gets eight hex digits of its SHA-256 at the end, so that different texts have
    different names.
    """
    stem = re.sub(r"[^\w .+-]+", "_", text).strip(" .")
    stem = stem.encode()[:_LONGEST_STEM].decode(errors="ignore").rstrip(" .")
    if stem and stem == text:
        return stem
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{stem}-{digest}".lstrip("-")
