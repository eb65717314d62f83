"""What the base class owns: the one `fit`, the checks, and the order of the choice."""

import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.base import clone

from fer_features import FerError
from fer_features.heads import head_names, list_heads, make_head, params_of
from fer_features.heads.base import Head
from fer_features.heads.checks import HeadError

X = np.arange(20, dtype=np.float32).reshape(10, 2)
Y = np.array([0, 1] * 5)
SOFT = np.full((10, 2), 0.5)


@dataclass(kw_only=True, eq=False, repr=False)
class Constant(Head):
    """Predicts one probability of class 1, the best of its candidates, and records its fits."""

    name = "constant"
    title = "The same for every row"
    needs = "pooled"
    accepts_soft_targets = True

    def _candidates(self):
        return [{"p": p} for p in (0.1, 0.5, 0.9)]

    def _fit_candidates(self, candidates, part):
        self.fits_ = [*getattr(self, "fits_", []), (len(candidates), part)]
        return [one["p"] for one in candidates]

    def _keep(self, model, part):
        self.p_ = model

    def _predict_proba(self, X):
        return np.tile([1 - self.p_, self.p_], (len(X), 1))


@dataclass(kw_only=True, eq=False, repr=False)
class Predicts(Constant):
    """Predicts given rows, whatever they are."""

    rows: tuple = ()

    def _candidates(self):
        return [{}]

    def _fit_candidates(self, candidates, part):
        return [None]

    def _predict_proba(self, X):
        return np.array(self.rows if hasattr(self, "chosen_") else [[0.5, 0.5]] * len(X))


# --- choosing and fitting again


def test_the_best_candidate_is_chosen_on_rows_held_out_and_fitted_to_all():
    head = Constant().fit(X, np.array([0, 1, 1, 1, 1] * 2))
    (tried, training), (again, everything) = head.fits_
    assert (tried, again) == (3, 1)
    assert len(training.rows) == 7  # of each class a fifth, at least one row, is held out
    assert sorted(everything.rows) == list(range(10))
    assert head.chosen_["p"] == head.p_ == 0.5
    assert head.chosen_["validation"] == "held out"
    assert [one["p"] for one in head.chosen_["candidates"]] == [0.1, 0.5, 0.9]


def test_another_seed_holds_out_other_rows():
    parts = [Constant(random_state=seed).fit(X, Y).fits_[0][1] for seed in (0, 0, 1, 2, 3)]
    first, again, *others = (part.rows.tolist() for part in parts)
    assert first == again
    assert any(other != first for other in others)


def test_with_validation_rows_all_rows_are_fitted_to_at_once():
    head = Constant().fit(X, Y, validation=(X[:3], [1, 1, 1]))
    ((_, training),) = head.fits_
    assert len(training.rows) == 10
    assert (head.p_, head.chosen_["at_edge"]) == (0.9, {"p": "highest"})
    assert (head.chosen_["validation"], head.chosen_["validation_rows"]) == ("given", 3)


def test_groups_and_soft_targets_stay_with_their_rows():
    groups = np.repeat([7, 8, 9, 3, 4], 2)
    shares = np.linspace(0, 1, 10)
    head = Constant().fit(X, Y, groups=groups, soft_targets=np.stack([shares, 1 - shares], 1))
    for _, part in head.fits_:
        np.testing.assert_array_equal(part.features(), X[part.rows])
        np.testing.assert_array_equal(part.groups, np.array([2, 3, 4, 0, 1])[part.rows // 2])
        np.testing.assert_allclose(part.soft_targets[:, 0], shares[part.rows], rtol=1e-6)
    held = set(range(10)) - set(head.fits_[0][1].rows.tolist())
    assert {row // 2 for row in held} == {row // 2 for row in held if row % 2}  # pairs as they are


# --- soft targets


@pytest.mark.parametrize("name", head_names())
def test_a_head_that_cannot_be_trained_on_soft_targets_refuses_them(name):
    head = make_head(name)
    assert head.accepts_soft_targets is (name in ("dense", "mlp"))
    if not head.accepts_soft_targets:
        with pytest.raises(HeadError, match=name):
            head.fit(X, Y, soft_targets=SOFT)


@pytest.mark.parametrize(
    ("soft", "named"),
    [
        (SOFT[:-1], r"\(9, 2\)"),
        (SOFT[:, 0], r"\(10,\)"),
        (np.full((10, 3), 1 / 3), r"\(10, 3\)"),
        (np.where(np.arange(10)[:, None] == 7, [0.5, 0.6], SOFT), r"row 7: .*1\.1"),
        (np.where(np.arange(10)[:, None] == 7, [-0.5, 1.5], SOFT), "row 7"),
        (np.where(np.arange(10)[:, None] == 7, np.nan, SOFT), "row 7"),
    ],
)
def test_soft_targets_that_are_not_probabilities_are_refused(soft, named):
    with pytest.raises(HeadError, match=named):
        Constant().fit(X, Y, soft_targets=soft)


# --- probabilities


def test_what_rounding_leaves_is_accepted_and_clipped():
    head = Predicts(rows=([1 + 2e-16, -2e-16], [0.5, 0.5 + 9e-7])).fit(X, Y)
    assert head.predict_proba(X[:2]).tolist() == [[1.0, 0.0], [0.5, 0.5 + 9e-7]]


@pytest.mark.parametrize(
    "row", [[0.5, 0.50001], [0.3, 0.3], [1.5, -0.5], [np.nan, 0.5], [0.2, 0.3, 0.5]]
)
def test_what_is_not_a_probability_is_an_error_that_names_the_head(row):
    head = Predicts(rows=(row,)).fit(X, Y)
    with pytest.raises(FerError, match="constant"):
        head.predict_proba(X[:1])


# --- the callback, and heads to reuse


@pytest.mark.parametrize("name", ["logreg", "ensemble"])
def test_the_callback_is_no_parameter_and_is_neither_copied_nor_saved(name, tmp_path):
    head = make_head(name)
    head.on_epoch = print
    head.fit(np.repeat(X, 2, axis=0), np.repeat(Y, 2))
    assert "on_epoch" not in head.get_params()
    copies = clone(head), copy.deepcopy(head), pickle.loads(pickle.dumps(head))  # noqa: S301
    loaded = type(head).load(head.save(tmp_path / "model"))
    assert [one.on_epoch for one in (head, *copies, loaded)] == [print, None, None, None, None]


def test_heads_to_reuse_make_no_difference_to_most():
    head, other = make_head("ridge"), make_head("ridge").fit(X, Y)
    head.reuse({"ridge": other, "svm": other})
    np.testing.assert_array_equal(head.fit(X, Y).predict_proba(X), other.predict_proba(X))


# --- lists and parameters


def test_the_list_of_heads_has_what_each_needs():
    listed = {one.name: one for one in list_heads()}
    assert tuple(listed) == head_names()
    assert (listed["dense"].needs, listed["svm"].needs) == ("map", "pooled")
    assert all("\n" not in one.title for one in listed.values())


def test_parameters_are_those_without_a_head_and_the_heads_own():
    params = {"max_iter": 5, "svm.gammas": (1,), "logreg.Cs": (2,)}
    assert params_of("svm", params, heads=("svm", "logreg")) == {"max_iter": 5, "gammas": (1,)}
    with pytest.raises(FerError, match=r"logreg\.Cs"):
        params_of("svm", params, heads=("svm",))
