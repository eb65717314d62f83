"""What the labels of a CSV file mean: emotions as numbers or names, left out, or mapped."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence

from fer_features.config import EMOTIONS
from fer_features.data.record import SPELLINGS
from fer_features.errors import FerError

IGNORED = -2
"""The code of a label whose rows are to be left out."""

_SPELLED = {name: code for code, names in enumerate(SPELLINGS) for name in names}
_NUMBER = re.compile(r"\+?([0-9]{1,9})(\.0*)?")  # also what pandas makes of whole numbers
_LONGEST = 40  # of a label that is named in advice


class RowError(ValueError):
    """Why a row cannot be used.

    Args:
        reason: what is wrong with this row.
        remedy: what to do where all rows have this fault; the same for the same kind of fault.
        hint: what to do about this row; empty if there is nothing better than to skip it.
    """

    def __init__(self, reason: str, *, remedy: str, hint: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy
        self.hint = hint


class Labels:
    """Turns labels into emotion codes, and counts those that are left out.

    A label is a number from 0 to 6 (also ``3.0``), a place in `EMOTIONS`, or one of `SPELLINGS`
    in any case.

    Args:
        ignore: labels whose rows are left out.
        classes: for other labels the emotion that they count as.

    Raises:
        FerError: a label is both, or counts as something that is no emotion.
    """

    def __init__(
        self, ignore: Sequence[str] = (), classes: Mapping[str, str] | None = None
    ) -> None:
        self._rules: dict[int | str, int] = {_key(name): IGNORED for name in ignore}
        self._names = {_key(name): name for name in (*ignore, *(classes or {}))}
        for name, emotion in (classes or {}).items():
            code = _key(emotion)
            if not isinstance(code, int):
                raise FerError(
                    f"--map {name}={emotion}: no such emotion: {emotion}",
                    hint=f"known are {', '.join(EMOTIONS)}",
                )
            if self._rules.get(_key(name), code) != code:
                raise FerError(
                    f"the label {name} is left out or mapped in two ways",
                    hint="name it once, with --ignore or with --map",
                )
            self._rules[_key(name)] = code
        self._codes: dict[bytes, tuple[int, int | str | None]] = {}
        self._used: Counter[int | str] = Counter()

    @property
    def ignored(self) -> int:
        """How many rows have been left out."""
        return sum(n for key, n in self._used.items() if self._rules[key] == IGNORED)

    def code(self, label: bytes) -> int:
        """The emotion's code, or `IGNORED`.

        Raises:
            RowError: the label is none that is known.
        """
        found = self._codes.get(label)
        if found is None:
            found = self._codes[label] = self._find(label)
        code, rule = found
        if rule is not None:
            self._used[rule] += 1
        return code

    def _find(self, label: bytes) -> tuple[int, int | str | None]:
        text = label.decode("utf-8", "backslashreplace")
        key = _key(text)
        if key in self._rules:
            return self._rules[key], key
        if isinstance(key, int):
            return key, None
        shown = repr(label[:20].decode("utf-8", "backslashreplace"))
        named = any(character.isalpha() for character in text)
        wanted = f"none of {', '.join(EMOTIONS)}" if named else "not a whole number from 0 to 6"
        hint = ""
        if key and text.isprintable() and len(text) <= _LONGEST:
            ignore, mapped = shlex.quote(str(key)), shlex.quote(f"{key}=disgust")
            hint = f"leave such rows out: --ignore {ignore}; or count them as another emotion: "
            hint += f"--map {mapped}, say; or skip all bad rows: --skip-bad"
        raise RowError(
            f"emotion is {shown}, {wanted}",
            remedy=f"labels must be 0 to 6 for {', '.join(EMOTIONS)}, or these names",
            hint=hint,
        )

    def notes(self, source: str) -> tuple[str, ...]:
        """What was left out and mapped, a line for each rule.

        Raises:
            FerError: no row has a label that a rule names, as one that is misspelt.
        """
        lines = []
        for key, code in self._rules.items():
            name, rows = self._names[key], self._used[key]
            if not rows:
                raise FerError(
                    f"no row of {source} has the label {name}",
                    hint="--ignore and --map take labels as they stand in the file",
                )
            if code == IGNORED:
                lines.append(f"left out by --ignore {name}: {rows:,} rows")
            else:
                lines.append(f"the label {name} is read as {EMOTIONS[code]}")
        return tuple(lines)

    def digest(self, text: str) -> str:
        """The digest of a text, changed by the rules that some of its labels have met."""
        used = sorted((str(key), self._rules[key]) for key in self._used)
        return hashlib.sha256((text + json.dumps(used)).encode()).hexdigest() if used else text


def _key(label: str) -> int | str:
    """An emotion's code, or the label in the one form in which it is compared."""
    text = label.strip().lower()
    number = _NUMBER.fullmatch(text)
    if number is None:
        return _SPELLED.get(text, text)
    value = int(number[1])
    return value if value < len(EMOTIONS) else str(value)
