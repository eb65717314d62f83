"""What may be said of runs on the same test rows, and how often that is false."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from run_examples import run
from scipy.stats import binomtest

from fer_features.errors import FerError
from fer_features.metrics.paired import difference, holm, mcnemar
from fer_features.runs.compare import compare
from fer_features.runs.predictions import Part, Predictions
from fer_features.runs.run import Run
from fer_features.runs.verdicts import verdict


def hits(n_right: int, n: int = 200) -> NDArray[np.bool_]:
    """The first rows right, the others not."""
    return np.arange(n) < n_right


def test_mcnemar_is_a_coin_thrown_for_the_rows_they_differ_in() -> None:
    a = np.array([1] * 8 + [0] * 2, bool)
    b = np.array([0] * 4 + [1] * 6, bool)
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b) == (4, 2)
    assert found.p == pytest.approx(2 * (15 + 6 + 1) / 64)
    assert mcnemar(a, a).p == 1
    for only_a, only_b in ((9, 2), (0, 7), (50, 50), (300, 411)):
        a, b = (
            np.repeat([True, False], [only_a, only_b]),
            np.repeat([False, True], [only_a, only_b]),
        )
        expected = binomtest(only_a, only_a + only_b).pvalue
        assert mcnemar(a, b).p == pytest.approx(expected, rel=1e-9)


def test_right_answers_of_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        mcnemar(np.ones(2, bool), np.ones(3, bool))


def test_holm_multiplies_the_smallest_most() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_difference_is_paired_and_never_without_width() -> None:
    found = difference(15, 5, 200)
    assert found.value == pytest.approx(0.05)
    a, b = 16 / 202, 6 / 202
    half = 1.96 * np.sqrt((a + b - (a - b) ** 2) / 202)
    assert (found.low, found.high) == pytest.approx((a - b - half, a - b + half), abs=1e-4)
    same = difference(0, 0, 200)
    assert same.low < same.value == 0 < same.high


def test_right_rows_are_those_whose_most_probable_class_is_true() -> None:
    p = np.array([[0.6, 0.4], [0.4, 0.6], [0.7, 0.3]])
    part = Part(np.arange(3), np.array([0, 0, 1]), p, np.zeros(3, bool))
    assert part.right.tolist() == [True, False, False]


def test_nine_against_two_is_open_however_few_the_others() -> None:
    first = np.repeat([True, False, True], [9, 2, 62])
    other = np.repeat([False, True, True], [9, 2, 62])
    (against,) = verdict(["svm", "ridge"], [first, other]).others
    assert (against.only_first, against.only_other) == (9, 2)
    assert against.p == against.p_holm == pytest.approx(0.0654, abs=1e-4)
    assert against.outcome == "open"


def test_ten_against_one_is_ahead_of_one_other_but_not_among_many() -> None:
    first = np.repeat([True, False, True], [10, 1, 62])
    other = np.repeat([False, True, True], [10, 1, 62])
    alone = verdict(["svm", "ridge"], [first, other])
    assert alone.others[0].outcome == "ahead"
    assert alone.best
    among = verdict(["svm", "ridge", *"abcd"], [first, other, *[first] * 4])
    assert among.others[0].p < 0.05 < among.others[0].p_holm
    assert [one.outcome for one in among.others] == ["open"] * 5
    assert not among.best


def test_a_verdict_in_words() -> None:
    unsure = verdict(["strong", "weak", "close"], [hits(150), hits(120), hits(149)])
    assert unsure.text() == (
        "strong is first on validation. It is ahead on test, by more than chance, of weak. It "
        "cannot be told apart from close. (McNemar's exact test, Holm-corrected for 2 comparisons, "
        "at 5 %.)"
    )
    assert unsure.text(short=True) == (
        "strong is first on validation; on test it is ahead of 1, behind 0 and not distinguishable "
        "from 1 of the others (McNemar's exact test, Holm-corrected for 2 comparisons, at 5 %)."
    )
    assert verdict(["strong", "weak"], [hits(150), hits(120)]).text().startswith("strong is best")
    wrong = verdict(["weak", "strong"], [hits(120), hits(150)])
    assert "It is behind on test, by more than chance, strong." in wrong.text()
    (other,) = wrong.to_dict()["others"]
    assert other["outcome"] == "behind"
    assert {"only_first", "only_other", "p", "p_holm", "difference"} <= set(other)


def test_heads_on_the_same_features_are_named_together() -> None:
    names = ["svm on hog", "svm on pixels", "mlp on pixels", "mlp on hog"]
    text = verdict(names, [hits(150), hits(100), hits(100), hits(150)]).text()
    assert "of svm and mlp on pixels." in text
    assert "It cannot be told apart from mlp on hog." in text


def test_a_tie_on_validation_is_named_and_nothing_in_it_is_best() -> None:
    tied = verdict(["a", "b", "c"], [hits(150), hits(100), hits(90)], tied=["b"])
    assert not tied.best
    assert tied.text().startswith("a and b are tied first on validation; a is listed first.")
    assert tied.text(short=True).startswith("a is first on validation, tied with b; on test")


class WithPredictions(Run):
    """A run on no disk with predictions of 4 test rows, those from `first` on."""

    first = 0

    def predictions(self) -> Predictions:
        rows = self.first + np.arange(4)
        part = Part(rows, np.zeros(4, int), np.eye(2)[[0, 0, 1, 1]], np.zeros(4, bool))
        return Predictions(part, part)


def test_runs_of_the_same_validation_accuracy_are_ordered_by_name_and_not_by_test() -> None:
    examples = [
        run("svm", validation=0.9, test=0.5),
        run("mlp", validation=0.8, test=0.9),
        run("dense", validation=0.9, test=0.4),
    ]
    (table,) = compare(WithPredictions(one.path, one.record) for one in examples).tables
    assert table.names == ["dense", "svm", "mlp"]
    assert table.verdict is not None
    assert table.verdict.tied == ("svm",)


class WithOtherRows(WithPredictions):
    first = 1


def test_runs_on_other_test_rows_have_no_verdict() -> None:
    one, other = WithPredictions(Path("a"), run("svm").record), run("mlp", validation=0.1)
    (table,) = compare([one, WithOtherRows(Path("b"), other.record)]).tables
    assert table.verdict is None
    assert str(table.judged).startswith("b ")


class WithoutPredictions(Run):
    def predictions(self) -> Predictions:
        raise FerError(f"{self.path}: the run's predictions cannot be read")


def test_a_run_without_readable_predictions_is_left_out_of_the_verdict() -> None:
    best, worst, lost = run("svm"), run("mlp", validation=0.1), run("ridge", validation=0.5)
    kept = [WithPredictions(Path(one.path.name), one.record) for one in (best, worst)]
    (table,) = compare([*kept, WithoutPredictions(Path("lost"), lost.record)]).tables
    verdict = table.verdict
    assert verdict is not None
    assert [one.name for one in verdict.others] == ["mlp"]
    why = "Left out of this verdict: lost: the run's predictions cannot be read."
    assert verdict.text().endswith(why)
    assert verdict.text(short=True).endswith(why)
    assert why in table.to_markdown()


def test_a_first_run_that_is_not_compared_with_all_others_is_not_called_best() -> None:
    assert verdict(["a", "b"], [hits(150), hits(100)]).best
    assert not replace(verdict(["a", "b"], [hits(150), hits(100)]), left_out=("c",)).best


def test_a_first_run_without_readable_predictions_has_no_verdict() -> None:
    best, other = run("svm"), run("mlp", validation=0.1)
    first = WithoutPredictions(Path("lost"), best.record)
    (table,) = compare([first, WithPredictions(Path("b"), other.record)]).tables
    assert table.verdict is None
    assert table.judged == "lost: the run's predictions cannot be read"


def simulated(
    rng: np.random.Generator, accuracy: NDArray[np.float64], *, n: int, noise: float
) -> NDArray[np.bool_]:
    """Right answers (R, N) of R runs to N rows: a row is about as hard for all of them.

    A run answers where its own noise and the row's ease, both normal, exceed a bound.
    """
    ease = np.sqrt(1 - noise**2) * rng.normal(size=n)
    answers: NDArray[np.bool_] = (
        ease + noise * rng.normal(size=(len(accuracy), n)) < accuracy[:, None]
    )
    return answers


@pytest.mark.parametrize("n", [73, 700])
@pytest.mark.parametrize("noise", [0.3, 0.6, 1.0])
def test_equally_good_runs_are_seldom_called_ahead_or_behind(n: int, noise: float) -> None:
    """18 equal runs, the first by validation: family-wise error at most 5 %."""
    rng = np.random.default_rng(0)
    bound = np.full(18, 1.3)  # about 0.9 of the rows are right
    repetitions, false, uncorrected = 500, 0, 0
    for _ in range(repetitions):
        first = simulated(rng, bound, n=n, noise=noise).sum(axis=1).argmax()
        rights = simulated(rng, bound, n=n, noise=noise)
        order = [first, *(one for one in range(18) if one != first)]
        found = verdict([str(one) for one in order], rights[order])
        false += any(one.outcome != "open" for one in found.others)
        uncorrected += any(one.p <= 0.05 for one in found.others)
    assert false / repetitions <= 0.05
    if n == 700:
        assert uncorrected / repetitions > 0.15  # the correction is what keeps it


def test_runs_that_are_worse_do_not_make_equal_ones_look_different() -> None:
    rng = np.random.default_rng(1)
    bound = np.repeat([1.3, 0.0], 9)
    false = ahead = 0
    for _ in range(300):
        outcomes = [
            one.outcome
            for one in verdict(
                [str(one) for one in range(18)], simulated(rng, bound, n=700, noise=0.6)
            ).others
        ]
        false += any(one != "open" for one in outcomes[:8])
        ahead += outcomes[8:].count("ahead")
    assert false / 300 <= 0.05
    assert ahead == 300 * 9
