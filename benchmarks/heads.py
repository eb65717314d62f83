"""Seconds that heads take: this package's, and scikit-learn's own over the same candidates."""

from __future__ import annotations

import operator
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from benchmarks.config import HeadsConfig
from benchmarks.machine import describe_machine
from benchmarks.protocol import LeftOut, Message
from benchmarks.results import Spread, ratios
from benchmarks.speed import PAUSE_S
from benchmarks.worker import Worker
from fer_features.errors import FerError
from fer_features.heads import head_class
from fer_features.runtime.console import print_message
from fer_features.runtime.progress import show_progress

Measure = Literal["fit_s", "fit_cpu_s"]

_OURS = "as the head does"


@dataclass(frozen=True)
class Setting:
    """How many threads scikit-learn's own may use.

    Attributes:
        blas_threads: threads of one matrix product.
        fits_at_once: candidates, or folds, that are fitted side by side.
    """

    blas_threads: int
    fits_at_once: int

    def __str__(self) -> str:
        """In words, for the table."""
        threads = "1 BLAS thread" if self.blas_threads == 1 else f"{self.blas_threads} BLAS threads"
        return threads if self.fits_at_once == 1 else f"{self.fits_at_once} fits at once"


def stock_settings(cores: int) -> tuple[Setting, ...]:
    """The thread settings that scikit-learn's own is measured in; its best one counts."""
    if cores == 1:
        return (Setting(1, 1),)
    return Setting(1, 1), Setting(cores, 1), Setting(1, cores)


@dataclass(frozen=True)
class HeadRound:
    """One turn: the seconds of a fit, choice included, and of predicting the test part.

    Attributes:
        solver: by what it was fitted.
        fit_s: seconds of the fit.
        fit_cpu_s: processor seconds of the fit, of all threads together.
        predict_s: seconds of the predictions.
        validation: accuracy on the rows that the choice was made on.
        test: accuracy on the rows predicted.
        peak_bytes: the most memory that its process has held so far.
        idle_cpu_s: the processor's seconds that the process took since its turn before.
    """

    solver: str
    fit_s: float
    fit_cpu_s: float
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
        setting: how its threads were set, in words; all have the same cores.
        rounds: its turns, in their order.
    """

    head: str
    stock: bool
    setting: str
    rounds: tuple[HeadRound, ...]

    @property
    def fit(self) -> Spread:
        """Seconds of a fit."""
        return Spread.of([one.fit_s for one in self.rounds])

    @property
    def fit_cpu(self) -> Spread:
        """Processor seconds of a fit."""
        return Spread.of([one.fit_cpu_s for one in self.rounds])

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
        contenders: each head, followed by scikit-learn's own, once for each thread setting, where
            that was measured.
        left_out: what was not measured, and why.
    """

    data: str
    rows: tuple[int, ...]
    features: int
    machine: dict[str, Any]
    contenders: tuple[MeasuredHead, ...]
    left_out: dict[str, str]

    def best_stock(self, head: str, measure: Measure = "fit_s") -> MeasuredHead | None:
        """Scikit-learn's own in the thread setting with the lowest median; None if not measured."""
        stock = [one for one in self.contenders if one.head == head and one.stock]
        key = operator.attrgetter(measure)
        return min(stock, key=lambda one: median(map(key, one.rounds)), default=None)

    def times_stock(self, one: MeasuredHead, measure: Measure = "fit_s") -> Spread | None:
        """How many times as much scikit-learn's own fit takes, paired by round; None without.

        The wall time is compared with scikit-learn's fastest thread setting, the processor time
        with the setting that takes the least of it: neither ratio can be had by a bad setting.
        """
        other = None if one.stock else self.best_stock(one.head, measure)
        if other is None:
            return None
        pairs, key = min(len(one.rounds), len(other.rounds)), operator.attrgetter(measure)
        theirs, own = (list(map(key, each.rounds[:pairs])) for each in (other, one))
        return Spread.of(ratios(theirs, own))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types, each round too."""
        contenders = []
        for one in self.contenders:
            wall, cpu = self.times_stock(one), self.times_stock(one, "fit_cpu_s")
            contenders.append(
                {
                    **asdict(one),
                    "fit_s": asdict(one.fit),
                    "fit_cpu_s": asdict(one.fit_cpu),
                    "predict_s": asdict(one.predict),
                    "times_stock": None if wall is None else asdict(wall),
                    "times_stock_cpu": None if cpu is None else asdict(cpu),
                    "fastest_stock": one is self.best_stock(one.head),
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
    setting: Setting | None
    about: Message
    turns: int


def measure_heads(config: HeadsConfig) -> HeadsSpeed:
    """Measure all contenders in turn, round by round, each in its own process.

    Prints on stderr what it does.

    Raises:
        FerError: the configuration or the cache cannot be used, or a process died.
    """
    for name in config.heads:
        if head_class(name).needs != "pooled":
            raise FerError(f"{name} is no head on pooled features", hint="leave it out")
    left_out: dict[str, str] = {}
    machine = describe_machine()
    settings = (None, *stock_settings(machine["cores"])) if config.stock else (None,)
    with ExitStack() as stack:
        ready = _start(config, settings, stack, left_out)
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
            MeasuredHead(
                head=one.head,
                stock=one.setting is not None,
                setting=_OURS if one.setting is None else str(one.setting),
                rounds=tuple(HeadRound(**answer) for answer in found),
            )
            for one, found in zip(ready, answers, strict=True)
        ),
        left_out=left_out,
    )


def _start(
    config: HeadsConfig,
    settings: Sequence[Setting | None],
    stack: ExitStack,
    left_out: dict[str, str],
) -> list[_Ready]:
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
        for setting in settings:
            name = head if setting is None else f"scikit-learn's {head}"
            print_message(f"preparing {name} ({setting or _OURS}) ...")
            job = {**common, "head": head, "stock": None if setting is None else asdict(setting)}
            worker = stack.enter_context(Worker(name, job))
            try:
                about = worker.start()
            except LeftOut as reason:
                left_out[name] = str(reason)
                continue
            turns = config.rounds if setting is None else min(config.stock_rounds, config.rounds)
            ready.append(_Ready(worker, head, setting, about, turns))
    return ready


def _take_turns(ready: Sequence[_Ready]) -> list[list[Message]]:
    """Each one's answers; while one works, the others sleep."""
    answers: list[list[Message]] = [[] for _ in ready]
    with show_progress("measuring", sum(one.turns for one in ready), unit="turns") as advance:
        for place in range(max(one.turns for one in ready)):
            for one, found in zip(ready, answers, strict=True):
                if place < one.turns:
                    time.sleep(PAUSE_S)
                    found.append(one.worker.run())
                    advance(1)
    return answers
