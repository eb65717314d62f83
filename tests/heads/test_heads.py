"""Registry, choice and files of the heads; logreg and svm against scikit-learn's own."""

import functools
import json
import subprocess
import sys

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator

from fer_features import FerError
from fer_features.heads import HEADS, head_class, head_names, load_head, make_head
from fer_features.heads.checks import HeadError
from fer_features.heads.choice import choose, held_out

POOLED = ("logreg", "svm", "ridge", "ensemble")
SCALED = ("logreg", "svm", "ridge")  # those with a scaler of their own
ONE = {  # a single candidate
    "logreg": {"Cs": (1.0,)},
    "svm": {"Cs": (1.0,), "gammas": (1.0,)},
    "ridge": {"alphas": (0.1,)},
    "ensemble": {"members": ("ridge",)},
}
GRID = {
    "logreg": {"Cs": (0.01, 0.1, 1.0)},
    "svm": {"Cs": (0.01, 0.1, 1.0), "gammas": (1.0,)},
    "ridge": {"alphas": (0.01, 0.1, 1.0)},
}


def blobs(n, *, n_classes=2, seed=0, features=8):
    """Overlapping classes on features of unlike scales, and a feature that is constant."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    X = random.normal(size=(n, features)) + 1.2 * np.eye(n_classes, features)[y]
    X[:, -1] = 1000.0
    return (X * np.logspace(-2, 2, features)).astype(np.float32), y


TRAIN, VALID, TEST = blobs(60), blobs(40, seed=1), blobs(30, seed=2)


# --- the registry


@pytest.mark.parametrize("name", head_names())
def test_every_head_keeps_the_contract(name):
    head = make_head(name)
    assert head.name == name
    assert head.needs in ("pooled", "map")
    assert head.title
    assert clone(head).get_params() == head.get_params()
    json.dumps(head.get_params())


def test_a_pooled_head_imports_no_keras():
    code = (
        "import sys; from fer_features.heads import make_head, head_names; head_names();"
        "assert 'sklearn' not in sys.modules; make_head('logreg');"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603  # our own words


def test_an_unknown_head_is_refused_with_the_known_ones():
    with pytest.raises(FerError) as caught:
        make_head("forest")
    assert "'forest'" in caught.value.message
    assert all(name in caught.value.hint for name in HEADS)


@pytest.mark.parametrize(
    ("name", "parameters", "named"),
    [
        ("logreg", {"gamma": 1.0}, "'gamma'"),
        ("logreg", {"Cs": 1.0}, "Cs"),
        ("logreg", {"Cs": ["a"]}, "Cs"),
        ("svm", {"n_jobs": True}, "n_jobs.*True"),
        ("dense", {"filters": 2.5}, "filters.*2.5"),
        ("dense", {"standardize": 1}, "standardize.*1"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused_with_all_of_them(name, parameters, named):
    with pytest.raises(FerError, match=named) as caught:
        make_head(name, **parameters)
    assert all(known in caught.value.hint for known in make_head(name).get_params())


def test_parameters_reach_the_head():
    head = make_head("svm", Cs=[1, 2.5], random_state=np.int64(3))
    assert (head.Cs, head.random_state) == ([1, 2.5], 3)


# --- the choice


def test_the_lowest_log_loss_is_chosen_and_of_equals_the_first():
    candidates = [
        {"C": C, "log_loss": loss} for C, loss in [(1, 0.5), (2, 0.3), (3, 0.3), (4, 0.4)]
    ]
    chosen, best = choose(candidates, varied=["C"], given=True, rows=7)
    assert best == 1
    assert chosen == {
        "C": 2,
        "log_loss": 0.3,
        "criterion": "log_loss",
        "validation": "given",
        "validation_rows": 7,
        "at_edge": {},
        "candidates": candidates,
    }


@pytest.mark.parametrize(("losses", "edge"), [((1, 2, 3), "lowest"), ((3, 2, 1), "highest")])
def test_a_choice_at_the_edge_is_named(losses, edge):
    candidates = [
        {"C": C, "gamma": 1.0, "log_loss": loss} for C, loss in zip((1, 2, 3), losses, strict=True)
    ]
    chosen, _ = choose(candidates, varied=["C", "gamma"], given=False, rows=1)
    assert chosen["at_edge"] == {"C": edge}  # of gamma there was one candidate: no choice, no edge


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(2, 50), min_size=2, max_size=4),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 9),
)
def test_held_out_takes_its_share_of_every_class_and_never_all(sizes, fraction, seed):
    codes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows = held_out(codes, fraction=fraction, random_state=seed)
    assert sorted(set(rows.tolist())) == rows.tolist()
    for size, taken in zip(sizes, np.bincount(codes[rows], minlength=len(sizes)), strict=True):
        assert 1 <= taken < size
        assert abs(taken - fraction * size) <= 1
    np.testing.assert_array_equal(rows, held_out(codes, fraction=fraction, random_state=seed))


# --- what both heads on pooled features do


@pytest.mark.parametrize("name", [*POOLED[:-1], pytest.param("ensemble", marks=pytest.mark.long)])
def test_scikit_learn_accepts_the_head(name):
    check_estimator(make_head(name, **ONE[name]), on_skip=None)


@pytest.mark.parametrize("name", POOLED)
def test_cross_validation_beats_chance(name):
    assert cross_val_score(make_head(name), *TRAIN, cv=3).mean() > 0.7


@pytest.mark.parametrize("name", POOLED)
@pytest.mark.parametrize("labels", [("other", "happy"), (7, 3), ("b", "c", "a")])
def test_labels_may_be_words_or_any_numbers(name, labels):
    X, codes = blobs(90, n_classes=len(labels))
    y = np.array(labels)[codes]
    head = make_head(name).fit(X, y, validation=(X, y))
    assert head.classes_.tolist() == sorted(labels)
    probability = head.predict_proba(X)
    assert probability.shape == (90, len(labels))
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(head.predict(X), head.classes_[probability.argmax(axis=1)])
    assert (head.predict(X) == y).mean() > 0.75


@pytest.mark.parametrize("name", SCALED)
def test_chosen_has_how_every_candidate_did_in_valid_json(name):
    chosen = make_head(name, **GRID[name]).fit(*TRAIN, validation=VALID).chosen_
    assert json.loads(json.dumps(chosen, allow_nan=False)) == chosen
    varied, values = next(iter(GRID[name].items()))
    assert [candidate[varied[:-1]] for candidate in chosen["candidates"]] == list(values)
    assert chosen["log_loss"] == min(c["log_loss"] for c in chosen["candidates"])
    assert (chosen["validation"], chosen["validation_rows"]) == ("given", 40)


@pytest.mark.parametrize("name", SCALED)
def test_without_validation_rows_the_last_fit_is_to_all_rows(name):
    head = make_head(name, **ONE[name]).fit(*TRAIN)
    assert (head.chosen_["validation"], head.chosen_["validation_rows"]) == ("held out", 12)
    np.testing.assert_allclose(head.scaler_.mean_, TRAIN[0].mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("name", SCALED)
def test_validation_rows_given_are_not_fitted_to(name):
    far = VALID[0] + 100
    head = make_head(name, **ONE[name]).fit(*TRAIN, validation=(far, VALID[1]))
    np.testing.assert_allclose(head.scaler_.mean_, TRAIN[0].mean(axis=0), rtol=1e-5)


def with_value(X, value):
    bad = X.copy()
    bad[5, 2] = value
    return bad


X_TRAIN, Y_TRAIN = TRAIN
NONE = (np.empty((0, 8), np.float32), np.empty(0, int))


@pytest.mark.parametrize("name", POOLED)
@pytest.mark.parametrize(
    ("X", "y", "validation", "named"),
    [
        (with_value(X_TRAIN, np.nan), Y_TRAIN, VALID, "row 5"),
        (with_value(X_TRAIN, np.inf), Y_TRAIN, VALID, "row 5"),
        (X_TRAIN, Y_TRAIN, (with_value(VALID[0], np.nan), VALID[1]), "row 5"),
        (X_TRAIN, np.zeros(60, int), VALID, "60 rows.*0"),
        (X_TRAIN, Y_TRAIN[:-1], VALID, "59.*60"),
        (X_TRAIN, Y_TRAIN, NONE, "validation"),
        (X_TRAIN, Y_TRAIN, (VALID[0], VALID[1] + 1), "class 2"),
        (X_TRAIN, (np.arange(60) == 3).astype(int), None, "1"),
    ],
)
def test_data_that_no_head_can_be_fitted_to_are_refused(name, X, y, validation, named):
    with pytest.raises(HeadError, match=named):
        make_head(name).fit(X, y, validation=validation)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("logreg", {"Cs": ()}),
        ("logreg", {"Cs": (1.0, 0.0)}),
        ("logreg", {"max_iter": 0}),
        ("logreg", {"validation_fraction": 1.0}),
        ("svm", {"Cs": (-1.0,)}),
        ("svm", {"gammas": ()}),
        ("ridge", {"alphas": (1.0, float("inf"))}),
        ("mlp", {"units": (100_000_000,)}),
        ("mlp", {"units": (10**400,)}),
        ("mlp", {"batch_size": 10**12}),
        ("mlp", {"learning_rate": float("nan")}),
        ("svm", {"validation_fraction": 0.0}),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(name, parameters):
    with pytest.raises(HeadError, match=next(iter(parameters))):
        make_head(name, **parameters).fit(*TRAIN)


# --- model files


@pytest.mark.parametrize("name", POOLED)
def test_a_loaded_head_is_the_saved_one(name, tmp_path):
    y = np.where(TRAIN[1] == 1, "happy", "other")
    head = make_head(name, **ONE[name]).fit(TRAIN[0], y)
    path = head.save(tmp_path / "new" / "model.v1")
    loaded = load_head(name, path)
    assert path.name == "model.v1" + head.suffix
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    np.testing.assert_array_equal(loaded.predict_proba(TEST[0]), head.predict_proba(TEST[0]))
    np.testing.assert_array_equal(loaded.predict(TEST[0]), head.predict(TEST[0]))
    assert loaded.get_params() == head.get_params()
    assert loaded.chosen_ == head.chosen_


def test_a_save_that_breaks_off_leaves_the_old_file(tmp_path, monkeypatch):
    head = make_head("logreg", Cs=(1.0,)).fit(*TRAIN)
    path = head.save(tmp_path / "model.skops")
    before = path.read_bytes()

    def dump(_, file):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(skops.io, "dump", dump)
    with pytest.raises(OSError, match="disk full"):
        head.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


class Foreign:
    """A type that no head's file holds."""


def test_a_file_with_a_foreign_type_is_not_loaded(tmp_path):
    head = make_head("logreg", Cs=(1.0,)).fit(*TRAIN)
    head.extra = Foreign()
    with pytest.raises(FerError, match="Foreign"):
        load_head("logreg", head.save(tmp_path / "model"))


def test_a_file_of_another_head_is_not_loaded(tmp_path):
    path = make_head("logreg", Cs=(1.0,)).fit(*TRAIN).save(tmp_path / "model")
    with pytest.raises(FerError, match="svm"):
        load_head("svm", path)


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x05\x06" + bytes(18)])
def test_a_missing_or_damaged_file_is_refused_by_name(content, tmp_path):
    path = tmp_path / "model.skops"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FerError, match=r"model\.skops"):
        load_head("logreg", path)


@pytest.mark.parametrize("wrap", [lambda _: functools.partial(np.add, 1), lambda head: [head]])
def test_an_archive_of_something_else_is_refused(wrap, tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(wrap(make_head("logreg", Cs=(1.0,)).fit(*TRAIN)), path)
    with pytest.raises(FerError, match="logreg"):
        load_head("logreg", path)


# --- logistic regression


def test_logreg_is_the_scikit_learn_pipeline_with_the_best_c():
    Cs = (1e-3, 1e-1, 1e2)
    head = make_head("logreg", Cs=Cs).fit(*TRAIN, validation=VALID)
    pipelines = [
        make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=2000)).fit(*TRAIN)
        for C in Cs
    ]
    losses = [log_loss(VALID[1], pipeline.predict_proba(VALID[0])) for pipeline in pipelines]
    found = [candidate["log_loss"] for candidate in head.chosen_["candidates"]]
    np.testing.assert_allclose(found, losses, rtol=1e-4)
    assert head.chosen_["C"] == Cs[int(np.argmin(losses))]
    np.testing.assert_allclose(
        head.predict_proba(TEST[0]),
        pipelines[int(np.argmin(losses))].predict_proba(TEST[0]),
        rtol=2e-3,
    )


def test_logreg_records_that_it_did_not_converge_and_does_not_warn():
    head = make_head("logreg", Cs=(1e-3, 10.0), max_iter=5).fit(*TRAIN, validation=VALID)
    assert [c["converged"] for c in head.chosen_["candidates"]] == [True, False]


# --- support vector machine


def test_svm_probabilities_are_platts_of_training_rows_held_out_in_folds():
    X, y = TRAIN
    head = make_head("svm", Cs=(2.0,), gammas=(1.0,)).fit(X, y, validation=VALID)
    values, codes = [], []
    for rest, out in StratifiedKFold(3, shuffle=True, random_state=0).split(X, y):
        scaler = StandardScaler().fit(X[rest])
        machine = SVC(C=2.0).fit(scaler.transform(X[rest]), y[rest])
        values.append(machine.decision_function(scaler.transform(X[out])))
        codes.append(y[out])
    own = LogisticRegression(max_iter=1000).fit(
        np.concatenate(values)[:, None], np.concatenate(codes)
    )
    scaler = StandardScaler().fit(X)
    decision = SVC(C=2.0).fit(scaler.transform(X), y).decision_function(scaler.transform(VALID[0]))
    expected = own.predict_proba(decision[:, None])
    np.testing.assert_allclose(head.predict_proba(VALID[0]), expected, atol=2e-3)


def test_svm_learns_nothing_from_validation_labels_but_what_it_chooses():
    X, y = TRAIN
    swapped = VALID[1][::-1].copy()
    one = make_head("svm", **ONE["svm"]).fit(X, y, validation=VALID)
    other = make_head("svm", **ONE["svm"]).fit(X, y, validation=(VALID[0], swapped))
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_svm_tries_every_pair_of_c_and_gamma():
    head = make_head("svm", Cs=(0.5, 2.0), gammas=(0.1, 1.0)).fit(*TRAIN, validation=VALID)
    tried = [(c["C"], c["gamma"]) for c in head.chosen_["candidates"]]
    assert tried == [(0.5, 0.1), (2.0, 0.1), (0.5, 1.0), (2.0, 1.0)]
    scale = 1 / (8 * head.scaler_.transform(TRAIN[0]).var())
    assert head.gamma_ == pytest.approx(head.chosen_["gamma"] * scale, rel=1e-5)


def test_svm_keeps_only_its_support_vectors():
    X, y = blobs(200)
    X[:, 0] += 10 * (y - 0.5)  # far apart: few rows are near the boundary
    head = make_head("svm", **ONE["svm"]).fit(X, y, validation=(X, y))
    assert len(head.support_vectors_) == len(head.weights_) < 150
    assert head.weights_.all()


def test_svm_needs_a_validation_row_of_every_class():
    with pytest.raises(HeadError, match="class 1"):
        make_head("svm").fit(*TRAIN, validation=(VALID[0][::2], VALID[1][::2]))


def test_head_class_finds_the_class_itself():
    assert head_class("svm").__name__ == "SupportVectorHead"
