"""An extraction in one piece against its shards, one after the other or on Ray, and their merge."""

from __future__ import annotations

import filecmp
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.config import ShardsConfig
from benchmarks.machine import describe_machine
from benchmarks.whole import build_graph_of, check_extraction, extract_alone
from benchmarks.worker import Worker
from fer_features.cache import GRAPHS
from fer_features.config import ExtractConfig
from fer_features.runtime.console import print_message, table
from fer_features.runtime.progress import show_progress


@dataclass(frozen=True)
class Pair:
    """Both ways once, each extraction in a fresh process.

    Attributes:
        whole_s: the extraction in one piece.
        whole_cpu_s: processor seconds of its process, of all threads together.
        whole_peak_bytes: the most memory of its process.
        shards_s: the shards, one after the other; or on Ray, with its start.
        shards_cpu_s: processor seconds of the shards' processes and the merge's; None on Ray.
        start_s: of that, the starts of the processes and their imports.
        prepare_s: of that, checking, scanning the data and making the network.
        shard_peak_bytes: the most memory of a shard's process; on Ray, of the driver's.
        merge_s: their merge.
        merge_peak_bytes: the most memory of the merge's process.
        file_bytes: the size of the merged file.
        equal: whether both made the same bytes.
    """

    whole_s: float
    whole_cpu_s: float
    whole_peak_bytes: int
    shards_s: float
    shards_cpu_s: float | None
    start_s: float
    prepare_s: float
    shard_peak_bytes: int
    merge_s: float
    merge_peak_bytes: int
    file_bytes: int
    equal: bool

    @property
    def ratio(self) -> float:
        """Time in shards, merge included, over that in one piece."""
        return (self.shards_s + self.merge_s) / self.whole_s

    @property
    def cpu_ratio(self) -> float | None:
        """The same of processor time; None on Ray."""
        return None if self.shards_cpu_s is None else self.shards_cpu_s / self.whole_cpu_s


@dataclass(frozen=True)
class MeasuredShards:
    """All pairs.

    Attributes:
        rows: requested rows.
        shards: how many shards.
        engine: what ran the network.
        machine: the machine, field by field.
        pairs: in their order.
    """

    rows: int
    shards: int
    engine: str
    machine: dict[str, Any]
    pairs: list[Pair]

    @property
    def ratio(self) -> float:
        """The median of the pairs'."""
        return median(one.ratio for one in self.pairs)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types."""
        pairs = [{**asdict(one), "ratio": one.ratio} for one in self.pairs]
        return {**vars(self), "pairs": pairs, "ratio": self.ratio}


def measure_shards(config: ShardsConfig) -> MeasuredShards:
    """Extract in one piece and in shards, in turn, in temporary folders beside the caches.

    With ``config.on`` the shards are extracted there, else one after the other.

    Raises:
        FerError: the data or the configuration cannot be used, or a process died.
    """
    alone = replace(config.extract, on=None, shards=None)
    check_extraction(alone)
    folder = Path(config.cache_dir)
    (folder / GRAPHS).mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    print_message("preparing the network ...")
    about, _ = build_graph_of(alone, folder)
    chosen = replace(alone, engine=about["kind"], precision=about["precision"])
    pairs, rows = [], 0
    with show_progress("measuring", config.rounds, "pairs") as advance:
        for place in range(config.rounds):
            pair, rows = _pair(
                chosen, config.shards, folder, on=config.on, shards_first=place % 2 == 1
            )
            pairs.append(pair)
            advance(1)
    return MeasuredShards(rows, config.shards, about["engine"], machine, pairs)


def _pair(
    config: ExtractConfig, count: int, folder: Path, *, on: str | None, shards_first: bool
) -> tuple[Pair, int]:
    """Both ways once, and how many rows they extract."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=folder) as temporary:
        target = Path(temporary)
        (target / "shards").mkdir()
        for one in (target, target / "shards"):
            (one / GRAPHS).symlink_to((folder / GRAPHS).resolve())
        config = replace(config, cache_dir=target)
        about, whole_s = (None, 0.0) if shards_first else extract_alone(config)
        extract_shards = _in_turn if on is None else _on_ray
        in_shards, merged = extract_shards(replace(config, on=on), count, target / "shards")
        if about is None:
            about, whole_s = extract_alone(config)
        whole = next(target.glob("*.h5"))
        pair = Pair(
            whole_s=whole_s,
            whole_cpu_s=about["cpu_s"],
            whole_peak_bytes=about["peak_bytes"],
            **in_shards,
            file_bytes=merged.stat().st_size,
            equal=filecmp.cmp(whole, merged, shallow=False),
        )
    return pair, about["rows"]


def _in_turn(config: ExtractConfig, count: int, folder: Path) -> tuple[dict[str, Any], Path]:
    """What a `Pair` says of the shards, one after the other, and of their merge; and its file."""
    parts = [
        extract_alone(replace(config, shard=f"{number}/{count}", cache_dir=folder))
        for number in range(1, count + 1)
    ]
    merged = folder / "merged.h5"
    with Worker("the merge", {"kind": "merge", "folder": str(folder), "out": str(merged)}) as one:
        one.start()
        merging = one.run()
    found = {
        "shards_s": sum(seconds for _, seconds in parts),
        "shards_cpu_s": sum(one["cpu_s"] for one, _ in parts) + merging["cpu_s"],
        "start_s": sum(seconds - one["seconds"] for one, seconds in parts),
        "prepare_s": sum(one["clocks"]["prepare"] for one, _ in parts),
        "shard_peak_bytes": max(one["peak_bytes"] for one, _ in parts),
        "merge_s": merging["seconds"],
        "merge_peak_bytes": merging["peak_bytes"],
    }
    return found, merged


def _on_ray(config: ExtractConfig, count: int, folder: Path) -> tuple[dict[str, Any], Path]:
    """As `_in_turn`, on Ray."""
    answer, seconds = extract_alone(replace(config, shards=count, cache_dir=folder))
    merge_s = answer["clocks"]["write"]
    found = {
        "shards_s": seconds - merge_s,
        "shards_cpu_s": None,
        "start_s": seconds - answer["seconds"],
        "prepare_s": answer["clocks"]["prepare"],
        "shard_peak_bytes": answer["peak_bytes"],
        "merge_s": merge_s,
        "merge_peak_bytes": answer["peak_bytes"],
    }
    return found, next(folder.glob("*.h5"))


def show_shards(measured: MeasuredShards) -> None:
    """Print a line for each pair, and the median ratio."""
    rows = [
        [
            str(place),
            f"{one.whole_s:.2f}",
            f"{one.whole_cpu_s:.1f}",
            f"{one.whole_peak_bytes / 2**20:,.0f}",
            f"{one.shards_s:.2f}",
            "–" if one.shards_cpu_s is None else f"{one.shards_cpu_s:.1f}",
            f"{one.start_s:.2f}",
            f"{one.prepare_s:.2f}",
            f"{one.shard_peak_bytes / 2**20:,.0f}",
            f"{one.merge_s:.2f}",
            f"{one.merge_peak_bytes / 2**20:,.0f}",
            f"{one.file_bytes / 1e6:,.0f}",
            f"{one.ratio:.3f}",
            "–" if one.cpu_ratio is None else f"{one.cpu_ratio:.3f}",
            "yes" if one.equal else "no",
        ]
        for place, one in enumerate(measured.pairs, start=1)
    ]
    columns = ["pair", "one piece s", "CPU s", "MiB", f"{measured.shards} shards s", "CPU s"]
    columns += [
        "start s",
        "prepare s",
        "MiB",
        "merge s",
        "MiB",
        "file MB",
        "ratio",
        "of CPU",
        "same",
    ]
    title = f"{measured.rows:,} rows; {measured.engine}; median ratio {measured.ratio:.3f}"
    table(columns, rows, title=title)
