"""The pictures of runs: what they draw, not how it looks."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from run_examples import run

from fer_features.runs.compare import compare
from fer_features.runs.figures import (
    accuracy_bars,
    reliability_curves,
    roc_curves,
    sizes_curve,
)
from fer_features.runs.predictions import Part
from fer_features.runs.schema import Size
from fer_features.runtime.figures import LINES, learning_curves

TRUE = np.array([0, 0, 1, 1])
SAID = np.array([0.1, 0.6, 0.4, 0.9])
PROBABILITY = np.stack([1 - SAID, SAID], 1)


def part(label: NDArray[np.int64] = TRUE, probability: NDArray[np.float64] = PROBABILITY) -> Part:
    n = len(label)
    return Part(np.arange(n), label, probability, np.zeros(n, bool))


def lines_of(figure: Any) -> dict[str, Any]:
    return {line.get_label(): line for line in figure.axes[0].get_lines()}


def test_a_roc_curve_climbs_at_each_positive_row() -> None:
    line = lines_of(roc_curves({"svm": part()}, positive=1, title=""))["svm"]
    np.testing.assert_allclose(line.get_xdata(), [0, 0, 0.5, 0.5, 1])
    np.testing.assert_allclose(line.get_ydata(), [0, 0.5, 0.5, 1, 1])


def test_a_run_without_a_curve_leaves_the_others_their_looks() -> None:
    parts = {"gone": part(np.zeros(4, int)), "svm": part()}
    lines = lines_of(roc_curves(parts, positive=1, title=""))
    assert "gone" not in lines
    assert lines["svm"].get_color() == LINES[1]["color"]


def test_reliability_is_accuracy_by_confidence() -> None:
    many = part(np.tile(TRUE, 5), np.tile(PROBABILITY, (5, 1)))
    line = lines_of(reliability_curves({"svm": many}, title=""))["svm"]
    np.testing.assert_allclose(line.get_xdata(), [0.6, 0.9])
    np.testing.assert_allclose(line.get_ydata(), [0, 1])  # all of 0.6 wrong, all of 0.9 right


def test_tenths_with_few_images_are_left_out() -> None:
    assert len(lines_of(reliability_curves({"svm": part()}, title=""))["svm"].get_xdata()) == 0


def test_lines_differ_by_dashes_or_marker_as_well_as_by_colour() -> None:
    assert len({(str(look["ls"]), look["marker"]) for look in LINES}) == len(LINES)
    assert len({look["color"] for look in LINES}) == len(LINES)


def test_bars_carry_the_interval_of_the_test_accuracy() -> None:
    known = {"intervals": {"accuracy": [0.65, 0.76]}}
    runs = [run(test=0.7, rows=9, change=known), run("svm", test=0.7, rows=9, change=NO_INTERVAL)]
    (table,) = compare(runs).tables
    axes = accuracy_bars(table, title="").axes[0]
    ends = [segment for one in axes.collections for segment in one.get_segments()]
    (known_ends,) = [one[:, 0] for one in ends if one.size and np.isfinite(one).all()]
    assert known_ends == pytest.approx([0.65, 0.76])
    assert [text.get_text() for text in axes.texts].count("0.700") == 2


NO_INTERVAL = {"intervals": {"accuracy": None}}


def test_bars_without_intervals_have_no_whiskers() -> None:
    (table,) = compare([run(change=NO_INTERVAL)]).tables
    assert not accuracy_bars(table, title="").axes[0].collections


def test_training_and_validation_differ_by_more_than_colour() -> None:
    history = {"loss": [1, 0.5], "val_loss": [1, 0.8], "accuracy": [0.5, 1], "val_accuracy": [0, 1]}
    sizes = [Size(rows=n, train_accuracy=1.0, validation_accuracy=0.5) for n in (10, 100)]
    for figure in (learning_curves(history, title=""), sizes_curve(sizes, title="")):
        lines = lines_of(figure)
        train, held = lines["training"], lines["validation"]
        assert train.get_linestyle() != held.get_linestyle()
        assert train.get_marker() != held.get_marker()
