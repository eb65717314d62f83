"""What a source's own names of classes mean: an emotion, another one by choice, or left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from fer_features.data.record import SPELLINGS
from fer_features.errors import FerError

KNOWN = f"known are {', '.join(name for names in SPELLINGS for name in names)}, and 0 to 6"

_CODES = {name: code for code, names in enumerate(SPELLINGS) for name in (*names, str(code))}


class ClassNames:
    """The meaning of names of classes; upper and lower case are the same.

    Args:
        ignore: names of classes whose images are left out.
        classes: for names of classes, the name of the emotion that they count as.

    Raises:
        FerError: a name counts as no known emotion, or is left out and mapped at once.
    """

    def __init__(self, ignore: Sequence[str] = (), classes: Mapping[str, str] | None = None):
        self.ignored = frozenset(_plain(name) for name in ignore)
        self.mapped: dict[str, int] = {}
        for name, emotion in (classes or {}).items():
            code = _CODES.get(_plain(emotion))
            if code is None:
                raise FerError(f"--map {name}={emotion}: no emotion {emotion}", hint=KNOWN)
            self.mapped[_plain(name)] = code
        for name in sorted(self.ignored & set(self.mapped)):
            raise FerError(f"class {name} is both left out (--ignore) and mapped (--map)")

    def ignores(self, name: str) -> bool:
        """Whether a class is left out."""
        return _plain(name) in self.ignored

    def maps(self, name: str) -> bool:
        """Whether a class counts as an emotion by choice, and not by its name."""
        return _plain(name) in self.mapped

    def emotion(self, name: str) -> int | None:
        """The code of the emotion that a class counts as; None where it is not known."""
        plain = _plain(name)
        return self.mapped.get(plain, _CODES.get(plain))

    def check_found(self, names: Iterable[str], *, source: str) -> None:
        """Raise a `FerError` if a class that is left out or mapped is not one of `names`."""
        found = {_plain(name) for name in names}
        for flag, given in (("--ignore", self.ignored), ("--map", self.mapped)):
            for name in sorted(set(given) - found):
                raise FerError(
                    f"{flag} {name}: {source} has no class {name}",
                    hint=f"its classes are {', '.join(sorted(found))}",
                )

    def stamp(self, digest: str) -> str:
        """A source's digest together with this choice; the digest itself where nothing is chosen.

        Another choice makes other rows and labels, so that it must be another cache.
        """
        if not (self.ignored or self.mapped):
            return digest
        text = json.dumps([digest, sorted(self.ignored), sorted(self.mapped.items())])
        return hashlib.sha256(text.encode()).hexdigest()


def _plain(name: str) -> str:
    return name.strip().lower()
