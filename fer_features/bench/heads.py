"""Seconds that heads take: this package's, and scikit-learn's own over the same candidates."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from fer_features.bench.machine import describe_machine
from fer_features.bench.protocol import LeftOut, Message
from fer_features.bench.results import Spread, ratios
from fer_features.bench.speed import PAUSE_S
from fer_features.bench.worker import Worker
from fer_features.config import HeadsConfig
from fer_features.console import tell
from fer_features.errors import FerError
from fer_features.heads import head_class
from fer_features.progress import track


@dataclass(frozen=True)
class HeadRound:
    """One turn: the seconds of a fit, choice included, and of predicting the test part.

    Attributes:
        solver: by what it was fitted.
        fit_s: seconds of the fit.
        predict_s: seconds of the predictions.
        validation: accuracy on the rows that the choice was made on.
        test: accuracy on the rows predicted.
        peak_bytes: the most memory that its process has held so far.
        idle_cpu_s: the processor's seconds that the process took since its turn before.
    """

    solver: str
    fit_s: float
    predict_s: float
    validation: float
    test: float
    peak_bytes: int
    idle_cpu_s: float


@dataclass(frozen=True)
class MeasuredHead:
    """A contender and its rounds.

    Attributes:
        head: the head's name.
        stock: whether it is scikit-learn's own.
        rounds: its turns, in their order.
    """

    head: str
    stock: bool
    rounds: tuple[HeadRound, ...]

    @property
    def fit(self) -> Spread:
        """Seconds of a fit."""
        return Spread.of([one.fit_s for one in self.rounds])

    @property
    def predict(self) -> Spread:
        """Seconds of predicting the test part."""
        return Spread.of([one.predict_s for one in self.rounds])


@dataclass(frozen=True)
class HeadsSpeed:
    """All that `fer bench heads` measured.

    Attributes:
        data: what it was measured on, in words.
        rows: rows to fit to, to choose on, and to predict.
        features: numbers of a row.
        machine: the machine, field by field.
        contenders: each head, followed by scikit-learn's own where that was measured.
        left_out: what was not measured, and why.
    """

    data: str
    rows: tuple[int, ...]
    features: int
    machine: dict[str, Any]
    contenders: tuple[MeasuredHead, ...]
    left_out: dict[str, str]

    def times_stock(self, one: MeasuredHead) -> Spread | None:
        """How many times as long scikit-learn's own fit takes, paired by round; None without."""
        for other in self.contenders:
            if other.head == one.head and other.stock and not one.stock:
                pairs = min(len(one.rounds), len(other.rounds))
                own, theirs = (
                    [turn.fit_s for turn in each.rounds[:pairs]] for each in (one, other)
                )
                return Spread.of(ratios(theirs, own))
        return None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types, each round too."""
        contenders = []
        for one in self.contenders:
            times = self.times_stock(one)
            contenders.append(
                {
                    **asdict(one),
                    "fit_s": asdict(one.fit),
                    "predict_s": asdict(one.predict),
                    "times_stock": None if times is None else asdict(times),
                }
            )
        return {
            "data": self.data,
            "rows": list(self.rows),
            "features": self.features,
            "machine": self.machine,
            "contenders": contenders,
            "left_out": self.left_out,
        }


@dataclass(frozen=True)
class _Ready:
    """A process that is ready, and how many turns it takes."""

    worker: Worker
    head: str
    stock: bool
    about: Message
    turns: int


def measure_heads(config: HeadsConfig) -> HeadsSpeed:
    """Measure all contenders in turn, round by round, each in a process of its own.

    Tells on stderr what it does.

    Raises:
        FerError: the configuration or the cache cannot be used, or a process died.
    """
    for name in config.heads:
        if head_class(name).needs != "pooled":
            raise FerError(f"{name} is no head on pooled features", hint="leave it out")
    left_out: dict[str, str] = {}
    with ExitStack() as stack:
        ready = _start(config, stack, left_out)
        machine = describe_machine()
        answers = _take_turns(ready)
    first = ready[0].about
    data = "synthetic features" if config.cache is None else str(config.cache)
    return HeadsSpeed(
        data=data,
        rows=tuple(first["rows"]),
        features=first["features"],
        machine=machine,
        contenders=tuple(
            MeasuredHead(one.head, one.stock, tuple(HeadRound(**answer) for answer in told))
            for one, told in zip(ready, answers, strict=True)
        ),
        left_out=left_out,
    )


def _start(config: HeadsConfig, stack: ExitStack, left_out: dict[str, str]) -> list[_Ready]:
    """Start the processes one after another."""
    ready = []
    common = {
        "kind": "head",
        "cache": None if config.cache is None else str(config.cache),
        "rows": config.rows,
        "features": config.features,
        "seed": config.seed,
    }
    for head in config.heads:
        for stock in (False, True)[: 1 + config.stock]:
            name = f"scikit-learn's {head}" if stock else head
            tell(f"preparing {name} ...")
            worker = stack.enter_context(Worker(name, {**common, "head": head, "stock": stock}))
            try:
                about = worker.start()
            except LeftOut as reason:
                left_out[name] = str(reason)
                continue
            turns = min(config.stock_rounds, config.rounds) if stock else config.rounds
            ready.append(_Ready(worker, head, stock, about, turns))
    return ready


def _take_turns(ready: Sequence[_Ready]) -> list[list[Message]]:
    """Each one's answers; while one works, the others sleep."""
    answers: list[list[Message]] = [[] for _ in ready]
    with track("measuring", sum(one.turns for one in ready), unit="turns") as advance:
        for place in range(max(one.turns for one in ready)):
            for one, told in zip(ready, answers, strict=True):
                if place < one.turns:
                    time.sleep(PAUSE_S)
                    told.append(one.worker.run())
                    advance(1)
    return answers
