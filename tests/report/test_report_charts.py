import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_features.metrics import roc_auc
from fer_features.metrics.curves import roc_of
from fer_features.report.charts import (
    Axis,
    Line,
    apart,
    interval_bar,
    line_chart,
    nice_axis,
    unit_axis,
)
from fer_features.report.markup import Markup, join, tag


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "a < b & c", tag("b", "d"), None, 3) == "<p>a &lt; b &amp; c<b>d</b>3</p>"


def test_attributes_are_escaped_and_may_be_left_out() -> None:
    made = tag("img", alt='"<', class_="face", data_value=1.5, hidden=True, id=None, async_=False)
    assert made == '<img alt="&quot;&lt;" class="face" data-value="1.5" hidden>'


@given(st.text())
def test_no_text_opens_an_element(text: str) -> None:
    made = join(text)
    assert isinstance(made, Markup)
    assert "<" not in made


@given(
    st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=1, max_size=20),
)
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
    assert apart([10, 100, 700, 1000], axis) == [10, 100, 1000]


def test_a_line_goes_from_corner_to_corner() -> None:
    chart = line_chart(
        [Line("a", [0, 1], [0, 1], 0)],
        x=unit_axis("x"),
        y=unit_axis("y"),
        title="t",
        description="d",
    )
    assert 'd="M42 224L302 10" class="line s0"' in chart
    assert "<title>t</title><desc>d</desc>" in chart


def test_a_line_without_points_draws_nothing() -> None:
    empty = Line("a", [], [], 0, marked=True)
    chart = line_chart([empty], x=unit_axis("x"), y=unit_axis("y"), title="t", description="d")
    assert "<path" not in chart


def test_an_interval_is_drawn_to_scale() -> None:
    bar = interval_bar(0.75, 0.7, 0.8, bounds=(0.5, 1.0))
    assert 'x1="48.8" y1="8" x2="71.2"' in bar  # 4 + 112 · 0.4 and 4 + 112 · 0.6
    assert 'cx="60.0"' in bar or 'cx="60"' in bar


def test_the_curve_of_two_classes_is_that_of_the_positive_one() -> None:
    label = np.array([0, 0, 1, 1])
    said = np.array([0.1, 0.6, 0.4, 0.9])
    curve = roc_of(label, np.stack([1 - said, said], axis=1), positive=1)
    assert curve is not None
    np.testing.assert_allclose(curve[0], [0, 0, 0.5, 0.5, 1])
    np.testing.assert_allclose(curve[1], [0, 0.5, 0.5, 1, 1])


def test_the_mean_curve_has_the_mean_area(rng: np.random.Generator) -> None:
    label = rng.integers(0, 3, 500)
    probability = rng.dirichlet(np.ones(3), 500)
    curve = roc_of(label, probability)
    assert curve is not None
    area = (np.diff(curve[0]) * (curve[1][1:] + curve[1][:-1]) / 2).sum()
    assert area == pytest.approx(roc_auc(label, probability), abs=0.005)


def test_the_mean_of_perfect_curves_is_perfect() -> None:
    curve = roc_of(np.arange(6) % 3, np.eye(3)[np.arange(6) % 3])
    assert curve is not None
    assert curve[0][:2].tolist() == [0, 0]
    assert curve[1][0] == 0
    assert (curve[1][1:] == 1).all()


def test_a_class_that_does_not_occur_has_no_curve() -> None:
    assert roc_of(np.zeros(3, int), np.full((3, 2), 0.5)) is None
