"""Results of measurements in turn: pure arithmetic on rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

NAIVE = "naive"
"""The usual recipe; its name is followed by the precision where that is not float32."""


@dataclass(frozen=True)
class Spread:
    """Some numbers' median, least and greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True)
class Round:
    """One contender's turn.

    Attributes:
        images: images that were run.
        seconds: what they took.
        idle_cpu_s: the processor's seconds that the process took since its turn before.
    """

    images: int
    seconds: float
    idle_cpu_s: float = 0.0

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


@dataclass
class Measured:
    """A contender and its rounds.

    Attributes:
        name: what the table calls it.
        engine: what it runs on, for people.
        device: ``CPU`` or ``GPU``.
        precision: the arithmetic's type.
        batch_size: images that go through the network at once.
        rounds: its turns, in their order.
        tried: images a second by batch size, where the best of several was taken.
    """

    name: str
    engine: str
    device: str
    precision: str
    batch_size: int
    rounds: list[Round] = field(default_factory=list)
    tried: dict[str, float] = field(default_factory=dict)

    @property
    def rates(self) -> list[float]:
        """Images a second, round by round."""
        return [one.rate for one in self.rounds]


@dataclass
class Products:
    """Matrix products of one library in one precision: GFLOP/s, round by round."""

    library: str
    device: str
    precision: str
    side: int
    gflops: list[float] = field(default_factory=list)


def ratios(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Pair by pair: what slows a whole round slows both, and drops out.

    Raises:
        ValueError: they are not as many.
    """
    return [one / other for one, other in zip(values, base, strict=True)]


def best_products(products: Sequence[Products]) -> dict[tuple[str, str], Products]:
    """By device and precision, those with the highest median."""
    best: dict[tuple[str, str], Products] = {}
    for one in products:
        key = (one.device, one.precision)
        if key not in best or median(one.gflops) > median(best[key].gflops):
            best[key] = one
    return best


@dataclass(frozen=True)
class Line:
    """A contender's line of the table.

    Attributes:
        measured: the contender.
        rate: images a second.
        to_naive: how many times the usual recipe's in the same precision, pair by pair; None where
            that was not measured.
        across: how many times the usual recipe's in float32, pair by pair, for another precision;
            None for float32 itself.
        gflops: GFLOP/s; None where an image's operations have not been counted.
        share: of the rate of matrix products on the same device in the same precision, pair by
            pair; None where that is not known.
    """

    measured: Measured
    rate: Spread
    to_naive: Spread | None
    across: Spread | None
    gflops: float | None
    share: float | None


@dataclass
class Speed:
    """All that `fer bench speed` measured.

    Attributes:
        backbone: the network's name.
        size: height and width that images are resized to.
        gflop: about how many 10⁹ operations an image takes; None if not known.
        exact: whether that was counted at this very size.
        machine: the machine, field by field.
        contenders: the usual recipe first.
        products: matrix products by each library and precision.
        left_out: what cannot run here, and why.
    """

    backbone: str
    size: int
    gflop: float | None
    exact: bool
    machine: dict[str, Any]
    contenders: list[Measured]
    products: list[Products]
    left_out: dict[str, str]

    def lines(self) -> list[Line]:
        """The table: float32 beside float32, then bfloat16 beside bfloat16."""
        order = list(dict.fromkeys(["float32", *(one.precision for one in self.contenders)]))
        return [
            self._line(one)
            for one in sorted(self.contenders, key=lambda one: order.index(one.precision))
        ]

    def naive(self, precision: str) -> Measured | None:
        """The usual recipe in a precision; None where it was not measured."""
        recipes = (one for one in self.contenders if one.name.split()[0] == NAIVE)
        return next((one for one in recipes if one.precision == precision), None)

    def _line(self, one: Measured) -> Line:
        same, float32 = self.naive(one.precision), self.naive("float32")
        rates, products = one.rates, best_products(self.products)
        peak = products.get((one.device, one.precision))
        share = None
        if self.gflop is not None and peak is not None:
            share = median(ratios([rate * self.gflop for rate in rates], peak.gflops))
        return Line(
            measured=one,
            rate=Spread.of(rates),
            to_naive=None if same is None else Spread.of(ratios(rates, same.rates)),
            across=None
            if float32 is None or float32 is same
            else Spread.of(ratios(rates, float32.rates)),
            gflops=None if self.gflop is None else median(rates) * self.gflop,
            share=share,
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types, each round too."""
        return {
            "backbone": self.backbone,
            "size": self.size,
            "gflop_per_image": self.gflop,
            "gflop_is_exact": self.exact,
            "machine": self.machine,
            "contenders": [
                {
                    **asdict(line.measured),
                    "images_per_s": asdict(line.rate),
                    "to_naive": None if line.to_naive is None else asdict(line.to_naive),
                    "to_naive_float32_across_precisions": None
                    if line.across is None
                    else asdict(line.across),
                    "gflops": line.gflops,
                    "share_of_matrix_products": line.share,
                }
                for line in self.lines()
            ],
            "matrix_products": [
                {**asdict(one), "median_gflops": median(one.gflops)} for one in self.products
            ],
            "left_out": self.left_out,
        }
