import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fer_features.report.charts import (
    MOST_MARKED,
    Axis,
    Chart,
    Line,
    epoch_chart,
    nice_axis,
    size_chart,
    spaced,
    unit_axis,
)


@given(st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=1, max_size=20))
def test_a_nice_axis_holds_its_values_with_few_ticks(values: list[float]) -> None:
    axis = nice_axis("", values)
    slack = 1e-6 * max(1, abs(axis.low), abs(axis.high))
    assert axis.low <= min(values) + slack
    assert axis.high >= max(values) - slack
    assert 2 <= len(axis.ticks) <= 7
    assert axis.ticks[0] == axis.low


def test_a_nice_axis_has_round_ticks() -> None:
    np.testing.assert_allclose(nice_axis("", [0.52, 0.98]).ticks, [0.4, 0.6, 0.8, 1.0])


def test_equal_factors_are_equal_steps_of_a_logarithmic_axis() -> None:
    axis = Axis("", 10, 1000, (10, 100, 1000), logarithmic=True)
    np.testing.assert_allclose(axis.places([10, 100, 1000]), [0, 0.5, 1])


def test_ticks_that_would_touch_are_left_out_from_the_right() -> None:
    axis = Axis("", 10, 1000, (), logarithmic=True)
    assert spaced([10, 100, 700, 1000], axis) == [10, 100, 1000]


def test_a_line_goes_from_corner_to_corner() -> None:
    chart = Chart("", "", unit_axis("x"), unit_axis("y"), (), diagonal=True, mark_x=0.5)
    assert chart.path(Line([0, 1], [0, 1], 0)) == "M42 224L302 10"
    assert chart.points(Line([0.5], [1], 0)) == [(172, 10)]
    assert chart.guides() == [([42, 302], [224, 10]), ([172, 172], [224, 10])]
    assert chart.y_ticks()[1] == ("0.25", 170.5)
    assert chart.path(Line([], [], 0)) == ""


def test_an_epoch_chart_marks_the_lowest_validation_loss() -> None:
    history = {"loss": [0.9, 0.5, 0.2], "val_loss": [0.8, 0.6, 0.7]}
    chart = epoch_chart("mlp", history, "loss")
    assert chart.mark_x == 2
    assert "best epoch 2 of 3" in chart.description
    assert [line.marked for line in chart.lines] == [True, True]
    long = epoch_chart("mlp", {name: values * 20 for name, values in history.items()}, "loss")
    assert len(long.lines[0].x) > MOST_MARKED
    assert not any(line.marked for line in long.lines)


def test_charts_of_a_single_point_have_axes() -> None:
    once = {"loss": [0.5], "val_loss": [0.5]}
    for chart in (epoch_chart("a", once, "loss"), size_chart("a", [7], [0.5], [0.5])):
        assert np.isfinite(chart.points(chart.lines[0])).all()
