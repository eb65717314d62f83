"""The command that repeats a fit."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from fer_features.config import FitConfig
from fer_features.runtime.flags import words_of

_NOT_REPEATED = ("cache", "heads", "seed", "seeds", "cache_dir", "runs_dir", "jobs")
"""Fields that the command gives in another way, or that change no result."""


def command(
    config: FitConfig, head: str, cache: Path, *, seed: int, reused: Iterable[str] = ()
) -> str:
    """The command that repeats one head's fit: flags for all that differs from the defaults.

    Args:
        config: the configuration.
        head: the head's name.
        cache: the cache.
        seed: the run's seed.
        reused: heads of the same command that became members of the head; those with parameters of
            their own are fitted again with it.
    """
    given = {key.rpartition(".")[0] for key in config.params}
    heads = [one for one in reused if {one, ""} & given] + [head]
    own = {key: one for key, one in config.params.items() if key.rpartition(".")[0] in ("", *heads)}
    words = ["fer", "fit", str(cache), "--head", ",".join(heads)]
    words += words_of(replace(config, params=own), skip=_NOT_REPEATED)
    return shlex.join(words + ["--seed", str(seed)] * (seed > 0))
