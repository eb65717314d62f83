"""One whole extraction in the child, as `fer extract` does it, or the merge of its shards."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.contenders import peak_bytes
from benchmarks.protocol import Message
from fer_features.cache.merge import merge_shards
from fer_features.config import ExtractConfig
from fer_features.extract.run import run_extraction


def config_to_job(config: ExtractConfig) -> Message:
    """A configuration in plain JSON types."""
    return {**asdict(config), "cache_dir": str(config.cache_dir)}


def config_from_job(job: Message) -> ExtractConfig:
    """The configuration that `config_to_job` made it of."""
    lists = {name: tuple(value) for name, value in job.items() if isinstance(value, list)}
    return ExtractConfig(**{**job, **lists, "cache_dir": Path(job["cache_dir"])})


class WholeExtraction:
    """A contender that extracts once.

    Args:
        job: ``config``, as `config_to_job` makes it.
    """

    def __init__(self, job: Message) -> None:
        self._config = config_from_job(job["config"])

    def describe(self) -> Message:
        """What it is: nothing is known before it runs."""
        return {}

    def run(self) -> Message:
        """Extract; the clocks' seconds and those of the whole call."""
        begun = time.perf_counter()
        done = run_extraction(self._config)
        return {
            "images": done.computed,
            "rows": done.rows,
            "seconds": time.perf_counter() - begun,
            "clocks": done.seconds,
            "cpu_s": time.process_time(),
            "peak_bytes": peak_bytes(),
        }


class Merging:
    """A contender that merges the shards of a folder once.

    Args:
        job: ``folder`` of the shards, and the file ``out``.
    """

    def __init__(self, job: Message) -> None:
        self._folder, self._out = Path(job["folder"]), Path(job["out"])

    def describe(self) -> Message:
        """What it is: nothing is known before it runs."""
        return {}

    def run(self) -> Message:
        """Merge; the seconds of the call."""
        begun = time.perf_counter()
        merged = merge_shards([self._folder], self._out)
        seconds = time.perf_counter() - begun
        return {
            "rows": merged.rows,
            "seconds": seconds,
            "cpu_s": time.process_time(),
            "peak_bytes": peak_bytes(),
        }
