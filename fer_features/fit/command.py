"""The command that repeats a fit."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from fer_features.config import FitConfig
from fer_features.runtime.flags import Flag, parse_params

_NOT_REPEATED = ("cache", "heads", "seed", "seeds", "cache_dir", "runs_dir", "jobs")
"""Fields that the command gives in another way, or that change no result."""


def command(config: FitConfig, head: str, cache: Path, *, seed: int) -> str:
    """The command that repeats one head's fit: flags for all that differs from the defaults."""
    words, defaults = ["fer", "fit", str(cache), "--head", head], FitConfig()
    types = get_type_hints(FitConfig, include_extras=True)
    for name in (one.name for one in fields(FitConfig) if one.name not in _NOT_REPEATED):
        value, flag = getattr(config, name), types[name].__metadata__[0]
        option = flag.name or f"--{name.replace('_', '-')}"
        if value == getattr(defaults, name):
            continue
        if value is True:
            words.append(option)
        else:
            words += [word for text in _texts(flag, value, head) for word in (option, text)]
    return shlex.join(words + ["--seed", str(seed)] * (seed > 0))


def _texts(flag: Flag, value: Any, head: str) -> list[str]:
    """What an option is given, each time that it is given, to make a field's value."""
    match value:
        case dict():
            own = [key for key in value if key.rpartition(".")[0] in ("", head)]
            return [_assignment(key, value[key]) for key in own]
        case tuple():
            return [("=" if flag.parse else ",").join(map(str, value))]
    return [str(value)]


def _assignment(key: str, value: Any) -> str:
    """A parameter's value as ``--set`` parses it: a text that looks like a number in quotes."""
    text = f"{key}={value}"
    return text if parse_params([text]) == {key: value} else f"{key}={value!r}"
