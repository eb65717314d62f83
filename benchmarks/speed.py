"""Images a second of stage 1's network: the usual recipe, this package's engines, and a peer."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.config import SpeedConfig
from benchmarks.machine import describe_machine
from benchmarks.protocol import LeftOut, Message
from benchmarks.results import NAIVE, Measured, Products, Round, Speed
from benchmarks.worker import Worker
from fer_features.backbones import Backbone, get_backbone, resolve_weights
from fer_features.cache import GRAPHS
from fer_features.engines import ENGINES, PRECISIONS
from fer_features.errors import FerError
from fer_features.runtime.console import print_message
from fer_features.runtime.progress import show_progress

PEERS = {"timm": ("torch", "timm")}
"""Peers, and the packages that each of them needs."""

PAUSE_S = 0.3
"""Before each turn: OpenMP's threads spin for up to 0.2 s when their work is done."""

_BY_PRECISION = tuple((one, {"precision": one}) for one in PRECISIONS)

_PEER_SCRIPT = Path(__file__).parent / "peers" / "timm_network.py"


@dataclass(frozen=True)
class Entry:
    """Something to be measured: its name, its job, and the program that does it (None: ours)."""

    name: str
    job: Message
    command: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Running:
    """An entry whose process is ready."""

    worker: Worker
    about: Message

    @property
    def is_product(self) -> bool:
        """Whether it multiplies matrices and is no contender."""
        return "library" in self.about


def measure_speed(config: SpeedConfig) -> Speed:
    """Measure all contenders in turn, round by round, each in its own process.

    Prints on stderr what it does.

    Raises:
        FerError: the configuration cannot be used, a peer's packages are missing, or a process
            died.
    """
    backbone = get_backbone(config.backbone)
    entries = list_entries(config, backbone)
    left_out: dict[str, str] = {}
    with ExitStack() as stack:
        running = _start(entries, stack, left_out)
        gpus = (one.about["device_name"] for one in running)
        machine = describe_machine(next(filter(None, gpus), ""))
        answers = take_turns([one.worker for one in running], rounds=config.rounds)
    size = config.size or backbone.default_size
    return Speed(
        backbone=backbone.name,
        size=size,
        gflop=backbone.gflop_at(size),
        exact=size == backbone.default_size,
        machine=machine,
        contenders=[
            _measured(one, rounds)
            for one, rounds in zip(running, answers, strict=True)
            if not one.is_product
        ],
        products=[
            product
            for one, rounds in zip(running, answers, strict=True)
            if one.is_product
            for product in _products(one, rounds)
        ],
        left_out=left_out,
    )


def list_entries(config: SpeedConfig, backbone: Backbone) -> list[Entry]:
    """All that is to be measured, the usual recipe first.

    Raises:
        FerError: the configuration cannot be used, or a peer's packages are missing.
    """
    size = config.size or backbone.default_size
    backbone.check_size(size)
    resolve_weights(config.weights, backbone)
    for engine in config.engines:
        if engine not in ENGINES:
            raise FerError(f"no such engine: {engine}", hint=f"known are {', '.join(ENGINES)}")
    common = {
        "backbone": backbone.name,
        "weights": config.weights,
        "size": size,
        "preprocess": "keras",
        "images": config.images,
        "batch_size": config.batch_size,
        "graphs": str(Path(config.cache_dir) / GRAPHS),
        "cold": False,
    }
    entries = [
        Entry(NAIVE if one == "float32" else f"{NAIVE} {one}", common | of | {"kind": "naive"})
        for one, of in _BY_PRECISION
    ]
    for engine in config.engines or ENGINES:
        for precision, of in _BY_PRECISION:
            job = common | of | {"kind": "engine", "engine": engine}
            entries.append(Entry(f"{engine} {precision}", job))
    libraries = ("openvino", "keras")
    products = [
        Entry(f"matrix products by {one}", {"kind": "matmul", "library": one}) for one in libraries
    ]
    if config.peer is not None:
        command = peer_command(config, backbone)
        entries += [
            Entry(f"{config.peer} {one}", common | of | {"kind": "network"}, command)
            for one, of in _BY_PRECISION
        ]
        products.append(Entry("matrix products by torch", {"kind": "matmul"}, command))
    elif config.peer_python is not None:
        raise FerError("--peer-python without --peer", hint="--peer timm measures timm's network")
    return entries + products


def peer_command(config: SpeedConfig, backbone: Backbone) -> tuple[str, ...]:
    """The program that runs the peer's network, once it is sure that it can.

    Raises:
        FerError: there is no such peer, it has no such network, or its packages are missing.
    """
    if config.peer not in PEERS:
        raise FerError(f"no such peer: {config.peer}", hint=f"known are {', '.join(PEERS)}")
    if backbone.name != "inception_resnet_v2":
        raise FerError(f"the peer {config.peer} is inception_resnet_v2, not {backbone.name}")
    python = str(config.peer_python or sys.executable)
    needed = PEERS[config.peer]
    code = f"from importlib.util import find_spec as f; print(*(p for p in {needed} if not f(p)))"
    try:
        found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise FerError(
            f"{python}: not a Python that runs: {error}",
            hint="--peer-python takes the path of a Python interpreter",
        ) from error
    if missing := found.stdout.split():
        raise FerError(
            f"the peer {config.peer} needs {' and '.join(missing)}, which {python} does not have",
            hint=f"pip install {' '.join(needed)}, or name another Python with --peer-python",
        )
    return (python, str(_PEER_SCRIPT))


def _start(entries: Sequence[Entry], stack: ExitStack, left_out: dict[str, str]) -> list[Running]:
    """Start the processes one after another; each is asleep before the next one starts."""
    running = []
    for place, entry in enumerate(entries, start=1):
        print_message(f"preparing {entry.name} ({place} of {len(entries)}) ...")
        worker = stack.enter_context(Worker(entry.name, entry.job, command=entry.command))
        try:
            running.append(Running(worker, worker.start()))
        except LeftOut as reason:
            left_out[entry.name] = str(reason)
            print_message(f"  left out: {reason}")
    return running


def take_turns(workers: Sequence[Worker], *, rounds: int) -> list[list[Message]]:
    """Each worker's answers, round by round; while one works, the others sleep.

    Raises:
        FerError: a process died.
    """
    answers: list[list[Message]] = [[] for _ in workers]
    with show_progress("measuring", rounds * len(workers), unit="turns") as advance:
        for _ in range(rounds):
            for worker, found in zip(workers, answers, strict=True):
                time.sleep(PAUSE_S)
                found.append(worker.run())
                advance(1)
    return answers


def _measured(one: Running, answers: Sequence[Message]) -> Measured:
    about = one.about
    return Measured(
        name=one.worker.name,
        engine=about["engine"],
        device=about["device"],
        precision=about["precision"],
        batch_size=about["batch_size"],
        tried=about.get("tried", {}),
        rounds=[Round(a["images"], a["seconds"], a["idle_cpu_s"]) for a in answers],
    )


def _products(one: Running, answers: Sequence[Message]) -> list[Products]:
    return [
        Products(
            library=one.about["library"],
            device=one.about["device"],
            precision=precision,
            side=one.about["side"],
            gflops=[answer["gflops"][precision] for answer in answers],
        )
        for precision in answers[0]["gflops"]
    ]
