"""A complete extraction by the clock, against the same network fed from memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.config import WholeConfig
from benchmarks.machine import describe_machine
from benchmarks.protocol import LeftOut, Message
from benchmarks.whole_child import config_to_job
from benchmarks.worker import Worker
from fer_features.backbones import get_backbone, resolve_weights
from fer_features.cache import GRAPHS
from fer_features.config import ExtractConfig
from fer_features.data import open_faces
from fer_features.data.tasks import load_task
from fer_features.errors import FerError
from fer_features.runtime.console import print_message
from fer_features.runtime.progress import show_progress

CLOCKS = ("prepare", "read", "run", "write")


@dataclass(frozen=True)
class WholeRound:
    """An extraction and then the network alone, each in a fresh process.

    Attributes:
        images: images that went through the network, in each of the two.
        clocks: the extraction's own clocks, in seconds.
        call_s: the call of `extract`.
        wall_s: the whole process, from its start to its end.
        network_s: the same number of images from memory, the features thrown away; like the
            extraction's `run` it holds the first batch, for which some engines still compile.
        peak_bytes: the most memory of the extraction.
        network_peak_bytes: the most memory of the network alone.
    """

    images: int
    clocks: dict[str, float]
    call_s: float
    wall_s: float
    network_s: float
    peak_bytes: int
    network_peak_bytes: int

    @property
    def cost_s(self) -> float:
        """What reading and writing added: the extraction after its preparation, less the network.

        Below 0 where it is less than the noise.
        """
        return self.call_s - self.clocks["prepare"] - self.network_s

    @property
    def share_of_wall(self) -> float:
        """The same as a share of the whole process's time."""
        return self.cost_s / self.wall_s

    @property
    def share_of_work(self) -> float:
        """The same as a share of the extraction after its preparation."""
        return self.cost_s / (self.call_s - self.clocks["prepare"])


@dataclass
class Whole:
    """All that `fer bench extract` measured.

    Attributes:
        data: the source of the images.
        rows: requested rows; copies go through the network once.
        engine: what ran the network.
        precision: the arithmetic's type.
        machine: the machine, field by field.
        building_s: what a first extraction takes longer, in which the network's graph is built.
        rounds: in their order.
    """

    data: str
    rows: int
    engine: str
    precision: str
    machine: dict[str, Any]
    building_s: float
    rounds: list[WholeRound]

    def median_of(self, number: Callable[[WholeRound], float]) -> float:
        """The median over the rounds of what `number` takes from each."""
        return median(number(one) for one in self.rounds)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types, each round too."""
        medians = {
            **{f"{name}_s": median(one.clocks[name] for one in self.rounds) for name in CLOCKS},
            "wall_s": self.median_of(lambda one: one.wall_s),
            "images_per_s": self.median_of(lambda one: one.images / one.wall_s),
            "rows_per_s": self.median_of(lambda one: self.rows / one.wall_s),
            "first_images_per_s": self.median_of(
                lambda one: one.images / (one.wall_s + self.building_s)
            ),
            "network_images_per_s": self.median_of(lambda one: one.images / one.network_s),
            "reading_and_writing_s": self.median_of(lambda one: one.cost_s),
            "share_of_wall": self.median_of(lambda one: one.share_of_wall),
            "share_of_work": self.median_of(lambda one: one.share_of_work),
            "peak_bytes": self.median_of(lambda one: one.peak_bytes),
            "network_peak_bytes": self.median_of(lambda one: one.network_peak_bytes),
        }
        return {**vars(self), "rounds": [asdict(one) for one in self.rounds], "medians": medians}


def measure_whole(config: WholeConfig) -> Whole:
    """Extract into a temporary folder beside the caches, and run the network alone, in turn.

    The graph is built once for all rounds, and its seconds are reported separately; it is left in
    the cache folder. Prints on stderr what it does.

    Raises:
        FerError: the data or the configuration cannot be used, or a process died.
    """
    check_extraction(config.extract)
    folder = Path(config.extract.cache_dir)
    (folder / GRAPHS).mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    print_message("preparing the network ...")
    about, building_s = build_graph_of(config.extract, folder)
    machine["gpu"] = about["device_name"] or None
    chosen = replace(config.extract, engine=about["kind"], precision=about["precision"])
    rounds, rows = [], 0
    # On the caches' own disk: what it costs to write there is a part of the answer.
    with (
        tempfile.TemporaryDirectory(prefix=".bench-", dir=folder) as temporary,
        show_progress("measuring", 2 * config.rounds, unit="runs") as advance,
    ):
        for place in range(config.rounds):
            target = Path(temporary) / str(place)
            target.mkdir()
            (target / GRAPHS).symlink_to((folder / GRAPHS).resolve())
            extracted, wall_s = extract_alone(replace(chosen, cache_dir=target))
            advance(1)
            shutil.rmtree(target)
            alone = _network(chosen, extracted["images"])
            advance(1)
            rows = extracted["rows"]
            rounds.append(_round(extracted, wall_s, alone))
    return Whole(
        data=config.extract.data,
        rows=rows,
        engine=about["engine"],
        precision=about["precision"],
        machine=machine,
        building_s=building_s,
        rounds=rounds,
    )


def check_extraction(config: ExtractConfig) -> None:
    """Raise for what can be seen to be wrong before anything is prepared."""
    backbone = get_backbone(config.backbone)
    backbone.check_size(config.size or backbone.default_size)
    resolve_weights(config.weights, backbone)
    load_task(config.task)
    source = open_faces(config.data, ignore=config.ignore, classes=config.classes)
    for text in source.index().notes:
        print_message(f"note: {text}")


def _round(extracted: Message, wall_s: float, alone: Message) -> WholeRound:
    return WholeRound(
        images=extracted["images"],
        clocks=extracted["clocks"],
        call_s=extracted["seconds"],
        wall_s=wall_s,
        network_s=alone["seconds"],
        peak_bytes=extracted["peak_bytes"],
        network_peak_bytes=alone["peak_bytes"],
    )


def build_graph_of(config: ExtractConfig, folder: Path) -> tuple[Message, float]:
    """Make the engine with no graph there, then with it; what it is, and the difference in s."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=folder) as temporary:
        built = Path(temporary) / GRAPHS
        built.mkdir()
        first = replace(config, cache_dir=Path(temporary))
        _, with_building_s = _prepare(first)
        about, without_s = _prepare(first)
        for graph in built.iterdir():
            if not (folder / GRAPHS / graph.name).exists():
                graph.rename(folder / GRAPHS / graph.name)
    return about, max(with_building_s - without_s, 0.0)


def _prepare(config: ExtractConfig) -> tuple[Message, float]:
    """Make the engine in its own process; its description, and the seconds of the process."""
    with Worker("the network", network_job(config, images=0)) as worker:
        try:
            about = worker.start()
        except LeftOut as reason:
            raise FerError(str(reason), hint="--engine auto --precision auto") from None
        return about, worker.finish()


def extract_alone(config: ExtractConfig) -> tuple[Message, float]:
    """Extract in a process of its own; what it answers, and the seconds of the process."""
    with Worker("the extraction", {"kind": "extract", "config": config_to_job(config)}) as worker:
        worker.start()
        answer = worker.run()
        return answer, worker.finish()


def _network(config: ExtractConfig, images: int) -> Message:
    with Worker("the network alone", network_job(config, images=images)) as worker:
        worker.start()
        return worker.run()


def network_job(config: ExtractConfig, *, images: int) -> Message:
    """The child's job: that extraction's network, on so many images from memory."""
    backbone = get_backbone(config.backbone)
    return {
        "kind": "engine",
        "engine": config.engine,
        "precision": config.precision,
        "backbone": backbone.name,
        "weights": config.weights,
        "size": config.size or backbone.default_size,
        "preprocess": config.preprocess,
        "batch_size": config.batch_size,
        "graphs": str(Path(config.cache_dir) / GRAPHS),
        "images": images,
        "cold": True,
    }
