"""Ridge and ensemble by hand, and rows that belong together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info

from fer_features import FerError
from fer_features.heads import load_head, make_head
from fer_features.heads.checks import HeadError
from fer_features.heads.choice import Part, fold_pairs, held_out
from fer_features.heads.ensemble import grid_means
from fer_features.heads.ridge import RidgeHead, decompose, left_out_values


def blobs(n, *, n_classes=2, seed=0):
    random = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    return (random.normal(size=(n, 6)) + np.eye(n_classes, 6)[y]).astype(np.float32), y


TRAIN, VALID = blobs(60), blobs(40, seed=1)


# --- ridge


def test_the_eigenvectors_are_computed_on_one_thread(monkeypatch):
    """On two, OpenBLAS took 26 s for 0.6 where other programs used the processor."""
    threads, eigh = [], np.linalg.eigh

    def counted(matrix):
        threads.extend(it["num_threads"] for it in threadpool_info() if it["user_api"] == "blas")
        return eigh(matrix)

    monkeypatch.setattr(np.linalg, "eigh", counted)
    RidgeHead().fit(*TRAIN, validation=VALID)
    assert set(threads) == {1}


def test_ridge_is_scikit_learns_on_plus_and_minus_one():
    X, y = TRAIN
    head = make_head("ridge", alphas=(0.5,)).fit(X, y, validation=VALID)
    expected = Ridge(alpha=0.5 * 60).fit(StandardScaler().fit_transform(X), 2 * y - 1)
    np.testing.assert_allclose(head.coef_[:, 0], expected.coef_, atol=1e-5)
    np.testing.assert_allclose(head.intercept_, expected.intercept_, atol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_left_out_values_are_those_of_fits_without_the_group(n_classes):
    X, y = blobs(24, n_classes=n_classes)
    groups = np.array([0, 0, 0, 1, 1, *range(2, 21)])
    fitted = decompose(Part(X, np.arange(24), y), n_classes=n_classes)
    found = left_out_values(fitted, alpha=2.0, groups=groups)
    rows = StandardScaler().fit_transform(X)
    for group in range(21):
        out = groups == group
        one = Ridge(alpha=2.0).fit(rows[~out], fitted.targets[~out])
        # The intercept is penalised by neither, and fitted anew by both.
        np.testing.assert_allclose(
            found[out], one.predict(rows[out]).reshape(found[out].shape), atol=1e-4
        )


def test_ridge_probabilities_are_platts_of_left_out_values():
    X, y = TRAIN
    head = RidgeHead(alphas=(0.1,)).fit(X, y, validation=VALID)
    fitted = decompose(Part(X, np.arange(60), y), n_classes=2)
    own = LogisticRegression(max_iter=1000).fit(left_out_values(fitted, alpha=6.0), y)
    np.testing.assert_array_equal(head.calibrator_.coef_, own.coef_)


def test_ridge_refuses_a_penalty_of_zero():
    with pytest.raises(HeadError, match="alphas"):
        make_head("ridge", alphas=(0.0,)).fit(*TRAIN)


# --- rows that belong together


@settings(deadline=None, max_examples=50)
@given(sizes=st.lists(st.integers(1, 4), min_size=12, max_size=30), seed=st.integers(0, 9))
def test_groups_stay_on_one_side(sizes, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    codes = groups % 2
    held = held_out(codes, fraction=0.25, random_state=seed, groups=groups)
    rest = np.setdiff1d(np.arange(len(codes)), held)
    assert not set(groups[held]) & set(groups[rest])
    assert len(held)
    for rest, out in fold_pairs(codes, k=3, random_state=seed, groups=groups):
        assert not set(groups[rest]) & set(groups[out])
        assert set(codes[rest]) == {0, 1}


@pytest.mark.parametrize("name", ["svm", "ridge"])
def test_probabilities_do_not_grow_surer_by_mirrored_rows(name):
    X, y = blobs(80)
    y = np.random.default_rng(5).permutation(y)  # nothing to be learned but the rows themselves
    parameters = {"svm": {"Cs": (30.0,), "gammas": (3.0,)}, "ridge": {"alphas": (1e-3,)}}[name]
    twice, labels, groups = np.repeat(X, 2, axis=0), np.repeat(y, 2), np.repeat(np.arange(80), 2)
    head = make_head(name, **parameters)
    blind = head.fit(twice, labels, validation=VALID).calibrator_.coef_[0, 0]
    aware = head.fit(twice, labels, validation=VALID, groups=groups).calibrator_.coef_[0, 0]
    assert aware < blind


def test_groups_of_another_length_are_refused():
    with pytest.raises(HeadError, match=r"\(3,\)"):
        make_head("svm").fit(*TRAIN, groups=[0, 1, 2])


def test_a_class_in_a_single_group_is_refused():
    with pytest.raises(HeadError, match="group"):
        make_head("ridge").fit(*TRAIN, validation=VALID, groups=TRAIN[1])


# --- the ensemble


def test_the_ensemble_is_the_mean_of_the_best_set_of_members():
    head = make_head("ensemble", members=("logreg", "ridge")).fit(*TRAIN, validation=VALID)
    tried = head.chosen_["candidates"]
    assert [one["members"] for one in tried] == [["logreg"], ["ridge"], ["logreg", "ridge"]]
    assert head.chosen_["log_loss"] == min(one["log_loss"] for one in tried)
    assert list(head.members_) == head.chosen_["members"]
    expected = np.mean(
        [make_head(n).fit(*TRAIN, validation=VALID).predict_proba(VALID[0]) for n in head.members_],
        axis=0,
    )
    np.testing.assert_allclose(head.predict_proba(VALID[0]), expected, rtol=1e-6)


def test_a_member_fitted_before_is_not_fitted_again():
    ridge = make_head("ridge", alphas=(5.0,)).fit(*TRAIN, validation=VALID)
    head = make_head("ensemble", members=("ridge",))
    head.reuse({"ridge": ridge, "svm": None})  # which is not a member
    assert head.fit(*TRAIN, validation=VALID).members_["ridge"] is ridge
    assert head.chosen_["fitted_before"] == ["ridge"]
    # only once: the next rows may be others
    assert head.fit(*TRAIN, validation=VALID).members_["ridge"] is not ridge
    head.reuse({"ridge": ridge})
    with pytest.raises(HeadError):  # it was fitted to the rows that are held out here
        head.fit(*TRAIN)


def test_a_member_fitted_to_something_else_is_refused():
    ridge = make_head("ridge").fit(TRAIN[0][:, :3], TRAIN[1])
    head = make_head("ensemble")
    head.reuse({"ridge": ridge})
    with pytest.raises(HeadError, match="ridge"):
        head.fit(*TRAIN, validation=VALID)


@pytest.mark.parametrize("members", [(), ("ridge", "ridge"), ("ensemble",)])
def test_members_that_cannot_be_are_refused(members):
    with pytest.raises(HeadError, match="member"):
        make_head("ensemble", members=members).fit(*TRAIN)


def test_grid_means_by_hand():
    maps = np.arange(12, dtype=np.float16).reshape(1, 3, 4, 1)
    assert grid_means(maps, 1).tolist() == [[5.5]]
    # rows 0 to 1 and 1 to 2; columns 0 to 1 and 2 to 3
    assert grid_means(maps, 2).tolist() == [[2.5, 4.5, 6.5, 8.5]]
    assert grid_means(maps, 3)[0, :3].tolist() == [0.5, 1.5, 2.5]


def maps(n, *, seed=0):
    X, y = blobs(n, seed=seed)
    noise = np.random.default_rng(seed).normal(size=(n, 3, 3, 6))
    return (X[:, None, None] + noise).astype(np.float16), y


def test_members_on_maps_and_on_vectors(tmp_path):
    """The svm is given the grid's means, and what was fitted to them before is taken."""
    train, valid = maps(60), maps(40, seed=1)
    svm = make_head("svm").fit(
        grid_means(train[0], 3), train[1], validation=(grid_means(valid[0], 3), valid[1])
    )
    head = make_head("ensemble", members="dense,svm")  # as `--set` gives it
    assert head.members == ("dense", "svm")
    assert (head.needs, make_head("ensemble").needs) == ("map", "pooled")
    head.reuse({"svm": svm})
    head.fit(*train, validation=valid)
    assert head.chosen_["fitted_before"] == ["svm"]
    assert [one["members"] for one in head.chosen_["candidates"]] == [
        ["dense"],
        ["svm"],
        ["dense", "svm"],
    ]
    part = Part(train[0], np.arange(60), train[1])
    (head.members_,) = head._fit_candidates([{"members": ["dense", "svm"]}], part)
    read = load_head("ensemble", head.save(tmp_path / "model"))
    X = maps(9, seed=2)[0]
    vectors = head.members_["svm"].predict_proba(grid_means(X, 3))
    expected = (head.members_["dense"].predict_proba(X) + vectors) / 2
    np.testing.assert_allclose(head.predict_proba(X), expected, rtol=1e-6)
    np.testing.assert_allclose(read.predict_proba(X), expected, rtol=1e-6)


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_damaged_ensemble_is_refused_by_name(content, tmp_path):
    (tmp_path / "model.zip").write_bytes(content)
    with pytest.raises(FerError, match=r"model\.zip"):
        load_head("ensemble", tmp_path / "model.zip")
