"""The command that repeats a fit."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from fer_features.config import FitConfig

_NOT_REPEATED = ("cache", "heads", "seed", "seeds", "cache_dir", "runs_dir", "jobs")
"""Fields that the command gives in another way, or that change no result."""

_JOINED = {"drop": ",", "operate": "="}
"""Fields whose values are one word, by what stands between them."""


def command(config: FitConfig, head: str, cache: Path, *, seed: int) -> str:
    """The command that repeats one head's fit: flags for all that differs from the defaults."""
    words, defaults = ["fer", "fit", str(cache), "--head", head], FitConfig()
    for name in (one.name for one in fields(FitConfig) if one.name not in _NOT_REPEATED):
        value = getattr(config, name)
        if value != getattr(defaults, name):
            words += _flags(name, value, head)
    return shlex.join(words + ["--seed", str(seed)] * (seed > 0))


def _flags(name: str, value: Any, head: str) -> list[str]:
    """The words that give a field of the configuration a value."""
    flag = f"--{name.replace('_', '-')}"
    match value:
        case True:
            return [flag]
        case dict():
            owners = {key: key.rpartition(".")[0] for key in value}
            own = [key for key, owner in owners.items() if owner in ("", head)]
            return [word for key in own for word in ("--set", f"{key}={value[key]}")]
        case tuple() if name in _JOINED:
            return [flag, _JOINED[name].join(map(str, value))]
        case tuple():
            return [word for one in value for word in (flag, one)]
    return [flag, str(value)]
