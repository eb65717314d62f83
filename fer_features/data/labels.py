"""Labels and class names of a source: the emotion of each, ``--ignore`` and ``--map``."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence

from fer_features.config import EMOTIONS
from fer_features.errors import FerError
from fer_features.runtime.text import counted, plain_text

SPELLINGS = (
    ("angry", "anger"),
    ("disgust", "disgusted"),
    ("fear", "fearful"),
    ("happy", "happiness"),
    ("sad", "sadness"),
    ("surprise", "surprised"),
    ("neutral",),
)
"""Names of each of `EMOTIONS` in labels and folder names; case does not matter."""

KNOWN = f"known are {', '.join(name for names in SPELLINGS for name in names)}, and 0 to 6"
"""Hint that lists the labels that need no ``--map``."""

ORDER = ", ".join(f"{code} {emotion}" for code, emotion in enumerate(EMOTIONS))
"""FER2013's order of the emotions, for messages."""

PARTS = {
    **dict.fromkeys(("train", "training"), 0),
    **dict.fromkeys(("val", "valid", "validation", "publictest"), 1),
    **dict.fromkeys(("test", "testing", "privatetest"), 2),
}
"""The usage's code of each name of a part, in lower case."""

IGNORED = -2
"""Code of a label whose rows are left out."""

_CODES = {name: str(code) for code, names in enumerate(SPELLINGS) for name in names}
_NUMBER = re.compile(r"\+?([0-9]{1,9})(\.0*)?")  # pandas writes whole numbers as 3.0
_LONGEST = 40  # of a label that is quoted in a hint
_LISTED = 20  # classes that are listed in a hint


class Labels:
    """The emotion's code of each label or class name.

    A label is a number from 0 to 6 (``3.0`` too), an index into `EMOTIONS`, or one of `SPELLINGS`.

    Args:
        ignore: labels whose rows are left out.
        classes: the emotion that other labels count as, by label.

    Raises:
        FerError: a label is both ignored and mapped, or mapped to something that is no emotion.
    """

    def __init__(
        self, ignore: Sequence[str] = (), classes: Mapping[str, str] | None = None
    ) -> None:
        rules = [(name, IGNORED) for name in ignore]
        for name, emotion in (classes or {}).items():
            code = Labels().code(emotion)
            if code is None:
                raise FerError(f"--map {name}={emotion}: no such emotion: {emotion}", hint=KNOWN)
            rules.append((name, code))
        self._names: dict[str, str] = {}
        self._rules: dict[str, int] = {}
        for name, code in rules:
            if self._rules.setdefault(_key(name), code) != code:
                raise FerError(
                    f"{name} is both ignored and mapped, or mapped to two emotions",
                    hint="name it once, with --ignore or with --map",
                )
            self._names.setdefault(_key(name), name)

    def code(self, label: str) -> int | None:
        """The emotion's code, `IGNORED`, or None for an unknown label."""
        key = _key(label)
        known = int(key) if key in _CODES.values() else None
        return self._rules.get(key, known)

    def has_rule(self, label: str) -> bool:
        """Whether a label is ignored or mapped."""
        return _key(label) in self._rules

    def notes(self, counts: Mapping[str, int], *, source: str, unit: str) -> tuple[str, ...]:
        """What was ignored and mapped, one sentence for each rule.

        Args:
            counts: number of rows of each label found.
            source: the source's name.
            unit: what a row is.

        Raises:
            FerError: a rule's label is not in the source.
        """
        found: Counter[str] = Counter()
        for label, count in counts.items():
            found[_key(label)] += count
        notes = []
        for key, code in self._rules.items():
            name = plain_text(self._names[key])
            if key not in found:
                names = sorted(plain_text(one) for one in counts)
                more = ", …" if len(names) > _LISTED else ""
                raise FerError(
                    f"--{'ignore' if code == IGNORED else 'map'} {name}: {source} has no class or "
                    f"label {name}",
                    hint=f"it has {', '.join(names[:_LISTED])}{more}",
                )
            rule = f"left out (--ignore {name})"
            if code != IGNORED:
                rule = f"read as {EMOTIONS[code]} (--map {name}={EMOTIONS[code]})"
            notes.append(f"{rule}: {counted(found[key], unit)}")
        return tuple(notes)

    def digest(self, content: str) -> str:
        """Hex digest of a CSV file's hex digest and the rules; `content` itself without rules."""
        if not self._rules:
            return content
        rules = json.dumps(sorted(self._rules.items()))
        return hashlib.sha256((content + rules).encode()).hexdigest()

    def folder_digest(self, content: str) -> str:
        """The same for a folder; it hashes names as given, as existing caches' names depend on."""
        if not self._rules:
            return content
        given = {self._names[key].strip().lower(): code for key, code in self._rules.items()}
        ignored = sorted(name for name, code in given.items() if code == IGNORED)
        mapped = sorted((name, code) for name, code in given.items() if code != IGNORED)
        return hashlib.sha256(json.dumps([content, ignored, mapped]).encode()).hexdigest()


def rule_hint(label: str) -> str:
    """The flags that ignore or map an unknown label; empty for one that is no short text."""
    key = _key(label)
    if not key or not key.isprintable() or len(key) > _LONGEST:
        return ""
    ignore, mapped = shlex.quote(key), shlex.quote(f"{key}=disgust")
    return f"leave it out: --ignore {ignore}; or map it to an emotion, for example: --map {mapped}"


def _key(label: str) -> str:
    """An emotion's number, or the label in lower case."""
    text = label.strip().lower()
    number = _NUMBER.fullmatch(text)
    return str(int(number[1])) if number else _CODES.get(text, text)
