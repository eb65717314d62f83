"""Layout of line charts, which the template draws as inline SVG.

SVG in the page takes its colours from the page's CSS: charts follow the theme and print well, text
stays text, and a chart is a few kilobytes. Lines differ in dashes and markers as well as in colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

STYLES = 6
"""Number of line styles: ``s0`` to ``s5`` in the style sheet."""

MOST_MARKED = 25
"""Learning curves with more epochs are drawn without markers, which would hide the line."""

CLOSEST = 0.16
"""Shares of an axis between two ticks whose labels do not touch."""

Numbers = Sequence[float] | NDArray[np.float64] | NDArray[np.int64]


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        x: its points, in the axis' units.
        y: as many values.
        style: 0 to `STYLES` - 1.
        marked: draw a marker at each point.
    """

    x: Numbers
    y: Numbers
    style: int
    marked: bool = False


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`; `format` is how a tick is written."""

    label: str
    low: float
    high: float
    ticks: Numbers
    logarithmic: bool = False
    format: str = "{:g}"

    def places(self, values: Numbers) -> NDArray[np.float64]:
        """Positions of values between the ends, 0 to 1."""
        low, high, at = self.low, self.high, np.asarray(values, float)
        if self.logarithmic:
            low, high, at = np.log(low), np.log(high), np.log(at)
        out: NDArray[np.float64] = (at - low) / (high - low)
        return out


@dataclass(frozen=True)
class Chart:
    """Lines in a frame of 320 × 264 units.

    Attributes:
        title: its accessible name.
        description: what it shows, for readers who do not see it.
        diagonal: draw a thin line where x and y are equal.
        mark_x: draw a thin vertical line there.
    """

    title: str
    description: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    diagonal: bool = False
    mark_x: float | None = None

    left, right, top, bottom = 42, 302, 10, 224

    def across(self, values: Numbers) -> list[float]:
        """Horizontal positions."""
        places = self.left + self.x.places(values) * (self.right - self.left)
        return [float(place) for place in places.round(1)]

    def up(self, values: Numbers) -> list[float]:
        """Vertical positions."""
        places = self.bottom - self.y.places(values) * (self.bottom - self.top)
        return [float(place) for place in places.round(1)]

    def points(self, line: Line) -> list[tuple[float, float]]:
        """Positions of a line's points."""
        return list(zip(self.across(line.x), self.up(line.y), strict=True))

    def path(self, line: Line) -> str:
        """The line as SVG path data, in whole units where no marker shows the points."""
        digits = 1 if line.marked else 0
        points = dict.fromkeys(f"{x:.{digits}f} {y:.{digits}f}" for x, y in self.points(line))
        return f"M{'L'.join(points)}" if points else ""

    def x_ticks(self) -> list[tuple[str, float]]:
        """Labels below and their positions."""
        labels = map(self.x.format.format, self.x.ticks)
        return list(zip(labels, self.across(self.x.ticks), strict=True))

    def y_ticks(self) -> list[tuple[str, float]]:
        """Labels on the left and their positions."""
        labels = map(self.y.format.format, self.y.ticks)
        return list(zip(labels, self.up(self.y.ticks), strict=True))

    def guides(self) -> list[tuple[list[float], list[float]]]:
        """Ends of the thin lines: two horizontal and two vertical positions each."""
        out = []
        if self.diagonal:
            ends = [max(self.x.low, self.y.low), min(self.x.high, self.y.high)]
            out.append((self.across(ends), self.up(ends)))
        if self.mark_x is not None:
            out.append((self.across([self.mark_x] * 2), self.up([self.y.low, self.y.high])))
        return out


def unit_axis(label: str, low: float = 0) -> Axis:
    """An axis from `low`, 0 or 0.5, to 1."""
    return Axis(label, low, 1, np.linspace(low, 1, 6 if low else 5))


def nice_axis(label: str, values: Numbers) -> Axis:
    """An axis with round ticks that includes all values."""
    low, high = float(np.min(values)), float(np.max(values))
    raw = max(high - low, 1e-6 * max(1, abs(low), abs(high))) / 4
    power = 10 ** np.floor(np.log10(raw))
    step = float(next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * (1 - 1e-9)))
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    ticks = np.arange(first, max(last, first + 1) + 1) * step
    return Axis(label, float(ticks[0]), float(ticks[-1]), ticks)


def spaced(ticks: Sequence[int], axis: Axis) -> list[int]:
    """The ticks whose labels do not touch, from the last to the left."""
    kept: list[int] = []
    for tick in reversed(ticks):
        if not kept or axis.places([kept[-1]])[0] - axis.places([tick])[0] >= CLOSEST:
            kept.append(tick)
    return kept[::-1]


def epoch_chart(name: str, history: Mapping[str, Sequence[float]], value: str) -> Chart:
    """Training and validation values by epoch, and the epoch of the lowest validation loss.

    Args:
        name: the run's.
        history: one number an epoch by name: ``loss``, ``val_loss``, and so on.
        value: ``loss`` or ``accuracy``.
    """
    train, held_out = history[value], history[f"val_{value}"]
    n, best = len(train), int(np.argmin(history["val_loss"])) + 1
    last = max(n, 2)
    epochs, marked = np.arange(1, n + 1), n <= MOST_MARKED
    return Chart(
        title=f"{value} by epoch of {name}",
        description=f"validation {value} ends at {held_out[-1]:.3f}; best epoch {best} of {n}",
        x=Axis("epoch", 1, last, np.arange(1, last + 1, -(-(last - 1) // 5))),
        y=nice_axis(value, [*train, *held_out]),
        lines=(Line(epochs, train, 0, marked), Line(epochs, held_out, 1, marked)),
        mark_x=best,
    )


def size_chart(
    name: str, rows: Sequence[int], train: Sequence[float], held_out: Sequence[float]
) -> Chart:
    """Training and validation accuracy by the number of training images, which ascends."""
    high = rows[-1] if rows[-1] > rows[0] else rows[0] + 1
    axis = Axis("training images", rows[0], high, rows, logarithmic=True, format="{:,.0f}")
    values = (f"{n:,} images: validation {one:.3f}" for n, one in zip(rows, held_out, strict=True))
    return Chart(
        title=f"accuracy by training images of {name}",
        description="; ".join(values),
        x=replace(axis, ticks=spaced(rows, axis)),
        y=nice_axis("accuracy", [*train, *held_out]),
        lines=(Line(rows, train, 0, marked=True), Line(rows, held_out, 1, marked=True)),
    )


def unit_chart(
    title: str, description: str, lines: Sequence[Line], labels: tuple[str, str], low: float = 0
) -> Chart | None:
    """Lines on axes to 1, x from `low`, with the diagonal; None without any point."""
    if not any(len(line.x) for line in lines):
        return None
    x, y = unit_axis(labels[0], low), unit_axis(labels[1])
    return Chart(title, description, x, y, tuple(lines), diagonal=True)
