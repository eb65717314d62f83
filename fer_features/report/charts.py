"""Small charts as inline SVG.

They are drawn here and not by a plotting library: colours come from the page's own CSS, so that a
chart follows the dark theme and the printed page, text stays text, and a chart is a few kilobytes.
A line is told from the next by its dashes as well as by its colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_features.report.markup import Markup, join, tag

STYLES = 6
"""How many lines one chart can tell apart; the styles ``s0`` to ``s5`` are the page's CSS."""

_WIDTH, _HEIGHT = 320, 264
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 18, 10, 40
_INNER_WIDTH = _WIDTH - _LEFT - _RIGHT
_INNER_HEIGHT = _HEIGHT - _TOP - _BOTTOM

Numbers = Sequence[float] | NDArray[np.float64] | NDArray[np.int64]


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: what it is, for the chart's description and legend.
        x: where its points are, in the axis's units.
        y: as many values.
        style: 0 to `STYLES` - 1.
        marked: whether its points are marked.
    """

    name: str
    x: Numbers
    y: Numbers
    style: int
    marked: bool = False


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        label: what it shows, and in which units.
        low: its lower end.
        high: its upper end.
        ticks: where it is labelled, from `low` to `high`.
        logarithmic: whether equal steps are equal factors.
        format: how a tick is written.
    """

    label: str
    low: float
    high: float
    ticks: Numbers
    logarithmic: bool = False
    format: str = "{:g}"

    def places(self, values: Numbers) -> NDArray[np.float64]:
        """Where values stand between the ends: 0 to 1."""
        low, high, at = self.low, self.high, np.asarray(values, float)
        if self.logarithmic:
            low, high, at = np.log(low), np.log(high), np.log(at)
        out: NDArray[np.float64] = (at - low) / (high - low)
        return out


UNIT_TICKS = (0, 0.25, 0.5, 0.75, 1)


def unit_axis(label: str) -> Axis:
    """An axis from 0 to 1."""
    return Axis(label, 0, 1, UNIT_TICKS)


def nice_axis(label: str, values: Numbers) -> Axis:
    """An axis with round ticks that holds all of the values."""
    low, high = float(np.min(values)), float(np.max(values))
    raw = max(high - low, 1e-6 * max(1, abs(low), abs(high))) / 4
    power = 10 ** np.floor(np.log10(raw))
    step = float(next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * (1 - 1e-9)))
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    ticks = np.arange(first, max(last, first + 1) + 1) * step
    return Axis(label, float(ticks[0]), float(ticks[-1]), ticks)


def apart(ticks: Sequence[int], axis: Axis, *, least: float = 0.16) -> list[int]:
    """Those of the ticks whose labels do not touch: the last, and from there to the left."""
    kept: list[int] = []
    for tick in reversed(ticks):
        if not kept or axis.places([kept[-1]])[0] - axis.places([tick])[0] >= least:
            kept.append(tick)
    return kept[::-1]


def line_chart(
    lines: Sequence[Line],
    *,
    x: Axis,
    y: Axis,
    title: str,
    description: str,
    diagonal: bool = False,
    mark_x: float | None = None,
) -> Markup:
    """Lines in a frame.

    Args:
        lines: at most `STYLES`.
        x: the axis below.
        y: the axis on the left.
        title: the chart's name, for those who do not see it.
        description: what it shows, for them.
        diagonal: draw a thin line where x and y are equal.
        mark_x: draw a thin upright line there.
    """
    across, up = _across(x), _up(y)
    guides = []
    if diagonal:
        ends = [max(x.low, y.low), min(x.high, y.high)]
        guides.append(_segment(across(ends), up(ends), class_="guide"))
    if mark_x is not None:
        guides.append(_segment(across([mark_x] * 2), up([y.low, y.high]), class_="guide"))
    drawn = [_line(line, across, up) for line in lines]
    children = (*_grid(x, y, across, up), *guides, *drawn)
    return _svg(_WIDTH, _HEIGHT, *children, title=title, description=description, class_="chart")


def legend(names: Sequence[str], *, first_style: int = 0) -> Markup:
    """What each line is: its look and its name."""
    entries = []
    for style, name in enumerate(names, first_style):
        look = tag("line", x1=1, y1=6, x2=33, y2=6, class_=f"line s{style}")
        marker = _marker(style, 17, 6)
        drawn = tag("svg", look, marker, viewBox="0 0 34 12", aria_hidden="true", class_="swatch")
        entries.append(tag("li", drawn, tag("span", name)))
    return tag("ul", entries, class_="legend")


def interval_bar(value: float, low: float, high: float, *, bounds: tuple[float, float]) -> Markup:
    """A value and its interval on a line from one bound to the other."""
    start, end = bounds
    width, middle = 120, 8

    def at(number: float) -> float:
        return round(4 + (number - start) / (end - start) * (width - 8), 1)

    return _svg(
        width,
        16,
        tag("line", x1=4, y1=middle, x2=width - 4, y2=middle, class_="track"),
        tag("line", x1=at(low), y1=middle, x2=at(high), y2=middle, class_="whisker"),
        [tag("line", x1=at(p), y1=4, x2=at(p), y2=12, class_="whisker") for p in (low, high)],
        tag("circle", cx=at(value), cy=middle, r=4, class_="dot"),
        title=f"{value:.3f}, 95 % interval {low:.3f} to {high:.3f}",
        description=f"on a line from {start:g} to {end:g}",
        class_="interval",
    )


_Scale = Callable[[Numbers], NDArray[np.float64]]


def _across(axis: Axis) -> _Scale:
    return lambda values: _LEFT + axis.places(values) * _INNER_WIDTH


def _up(axis: Axis) -> _Scale:
    return lambda values: _TOP + (1 - axis.places(values)) * _INNER_HEIGHT


def _grid(x: Axis, y: Axis, across: _Scale, up: _Scale) -> list[Markup]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    out = []
    for tick, at in zip(y.ticks, up(y.ticks), strict=True):
        out.append(_segment([_LEFT, right], [at, at], class_="grid"))
        text = y.format.format(tick)
        out.append(tag("text", text, x=_LEFT - 6, y=round(at + 4, 1), text_anchor="end"))
    for tick, at in zip(x.ticks, across(x.ticks), strict=True):
        text = x.format.format(tick)
        out.append(tag("text", text, x=round(at, 1), y=bottom + 16, text_anchor="middle"))
    out.append(_segment([_LEFT, right], [bottom, bottom], class_="axis"))
    middle = _TOP + _INNER_HEIGHT / 2
    turned = f"rotate(-90 10 {middle:g})"
    out.append(tag("text", y.label, x=10, y=middle, transform=turned, text_anchor="middle"))
    out.append(
        tag("text", x.label, x=_LEFT + _INNER_WIDTH / 2, y=_HEIGHT - 5, text_anchor="middle")
    )
    return out


def _segment(x: Numbers, y: Numbers, *, class_: str) -> Markup:
    (x1, x2), (y1, y2) = (np.round(ends, 1) for ends in (x, y))
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def _line(line: Line, across: _Scale, up: _Scale) -> Markup:
    points = list(zip(across(line.x), up(line.y), strict=True))
    if not points:
        return Markup("")
    path = "L".join(dict.fromkeys(f"{px:.0f} {py:.0f}" for px, py in points))
    if line.marked:
        path = "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
    markers = [_marker(line.style, px, py) for px, py in points] if line.marked else []
    drawn = tag("path", d=f"M{path}", class_=f"line s{line.style}")
    return join(drawn, markers)


def _marker(style: int, x: float, y: float) -> Markup:
    """A circle, square, triangle, diamond, upright or lying bar, by the style."""
    x, y = round(float(x), 1), round(float(y), 1)
    class_ = f"marker f{style}"
    if style == 0:
        return tag("circle", cx=x, cy=y, r=3, class_=class_)
    half = {
        1: ((-2.7, -2.7), (2.7, -2.7), (2.7, 2.7), (-2.7, 2.7)),
        2: ((0, -3.6), (3.4, 2.6), (-3.4, 2.6)),
        3: ((0, -3.8), (3.8, 0), (0, 3.8), (-3.8, 0)),
        4: ((-1.4, -3.8), (1.4, -3.8), (1.4, 3.8), (-1.4, 3.8)),
        5: ((-3.8, -1.4), (3.8, -1.4), (3.8, 1.4), (-3.8, 1.4)),
    }[style]
    corners = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in half)
    return tag("polygon", points=corners, class_=class_)


def _svg(
    width: int, height: int, *children: object, title: str, description: str, class_: str
) -> Markup:
    return tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        children,  # type: ignore[arg-type]  # narrowed by the callers
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=f"{title}. {description}",
        class_=class_,
    )
