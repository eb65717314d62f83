"""The command that repeats a fit."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from fer_features.config import FitConfig
from fer_features.runtime.flags import words_of

_NOT_REPEATED = ("cache", "heads", "seeds", "cache_dir", "runs_dir", "jobs")
"""Fields that the command gives in another way, or that change no result."""


def command(config: FitConfig, head: str, cache: Path) -> str:
    """The command that repeats one head's fit: flags for all that differs from the defaults."""
    own = {key: one for key, one in config.params.items() if key.rpartition(".")[0] in ("", head)}
    words = ["fer", "fit", str(cache), "--head", head]
    words += words_of(replace(config, params=own), skip=_NOT_REPEATED)
    return shlex.join(words)
