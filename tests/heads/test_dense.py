"""The dense head: known weights, small trainings, and its model file."""

import json
import math
import random
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from fer_features import FerError, metrics
from fer_features.heads import load_head, make_head
from fer_features.heads.checks import HeadError
from fer_features.heads.choice import Part
from fer_features.heads.training import channel_moments
from fer_features.runtime.keras_runtime import import_keras

SMALL = {
    "filters": 4,
    "units": (8, 4),
    "l2": 1e-3,
    "learning_rate": 0.01,
    "epochs": 6,
    "batch_size": 8,
}
CURVES = ["loss", "accuracy", "val_loss", "val_accuracy"]


def maps(n, *, n_classes=2, shape=(3, 3, 4), seed=0):
    """Float16 maps of which each class has one channel raised."""
    generator = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    X = generator.normal(size=(n, *shape)) + 2.0 * np.eye(n_classes, shape[-1])[y][:, None, None]
    return X.astype(np.float16), y


TRAIN, VALID, TEST = maps(60), maps(30, seed=1), maps(40, seed=2)


NAMES = np.array(["angry", "happy"])


@pytest.fixture(scope="module")
def fitted():
    head = make_head("dense", **SMALL)
    return head.fit(TRAIN[0], NAMES[TRAIN[1]], validation=(VALID[0], NAMES[VALID[1]]))


# --- the network


def test_known_weights_give_the_probability_worked_out_by_hand():
    # Training maps of mean 1 and variance 4 in their one channel.
    head = make_head("dense", filters=1, units=(1,), epochs=1)
    X = np.where(np.arange(8)[:, None, None, None] % 2, 3, -1) * np.ones((1, 3, 3, 1))
    y = np.arange(8) // 4
    head.fit(X, y, validation=(X, y))
    copy = np.zeros((3, 3, 1, 1))
    copy[1, 1] = 1  # the convolution copies its input
    head.model_.set_weights([copy, *map(np.array, ([0], [[1]] * 4, [0], [[0.5]], [-1]))])
    X = np.array([[1, 1, 3], [1, 1, 1], [-5, 1, 5]], np.float16).reshape(1, 3, 3, 1)
    # standardised, (x - 1) / 2:  0 0 1 / 0 0 0 / -3 0 2, and relu makes 0 of -3;
    # maxima of the four 2×2 fields, two of them beyond the edge: 0, 1, 0, 2, and their sum is 3
    expected = 1 / (1 + math.exp(-(0.5 * 3 - 1)))
    assert head.predict_proba(X)[0, 1] == pytest.approx(expected, rel=1e-5)
    assert head.model_.output_shape == (None, 1)


def test_three_classes_have_the_layers_of_the_published_head():
    params = {"filters": 7, "units": (8, 6, 4), "dropout": 0.1, "l2": 1e-3, "epochs": 10}
    X, y = maps(60, n_classes=3, shape=(3, 3, 5))
    y = np.array([5, 1, 9])[y]
    head = make_head("dense", **params, batch_size=8, learning_rate=0.02, standardize=False)
    probability = head.fit(X, y, validation=(X, y)).predict_proba(X.astype(np.float32))
    assert head.moments_ is None
    assert [layer.name for layer in head.model_.layers] == [
        "convolution",
        "pool",
        "flatten",
        "dense_1",
        "dense_2",
        "dense_3",
        "dropout",
        "probability",
    ]
    assert head.model_.get_layer("convolution").kernel.shape == (3, 3, 5, 7)
    assert head.model_.get_layer("dense_1").kernel.shape == (4 * 7, 8)  # 3×3 pooled to 2×2
    assert probability.shape == (60, 3)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-6)
    assert (head.predict(X) == y).mean() > 0.8


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 600), rows=st.integers(1, 600), seed=st.integers(0, 99))
def test_moments_are_those_of_the_rows_meant(n, rows, seed):
    generator = np.random.default_rng(seed)
    X = (generator.normal(size=(n, 1, 2, 3)) * [1, 10, 0.1] + [0, 500, -3]).astype(np.float16)
    chosen = generator.integers(0, n, size=rows)
    mean, variance = channel_moments(Part(X, chosen, np.zeros(rows, int)))
    flat = X[chosen].astype(np.float64).reshape(-1, 3)
    np.testing.assert_allclose(mean, flat.mean(axis=0), rtol=1e-9, atol=1e-12)
    spread = flat.var(axis=0)
    np.testing.assert_allclose(variance, np.where(spread > 0, spread, 1), rtol=1e-7)


def test_a_constant_channel_has_variance_1():
    X = np.full((700, 2, 2, 3), np.float16(0.1))
    X[..., 1] = 0
    X[::2, ..., 2] = 2.1
    mean, variance = channel_moments(Part(X, np.arange(700), np.zeros(700, int)))
    np.testing.assert_allclose(mean, [0.1, 0, 1.1], atol=1e-3)
    np.testing.assert_allclose(variance, [1, 1, 1], atol=2e-3)


# --- training


def test_training_learns_and_records_what_it_did(fitted):
    assert list(fitted.history_) == CURVES
    assert [len(curve) for curve in fitted.history_.values()] == [6, 6, 6, 6]
    assert fitted.best_epoch_ == 1 + int(np.argmin(fitted.history_["val_loss"]))
    assert fitted.chosen_["log_loss"] == min(fitted.history_["val_loss"])
    assert json.loads(json.dumps(fitted.chosen_, allow_nan=False)) == fitted.chosen_
    probability = fitted.predict_proba(VALID[0])
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-6)
    assert (fitted.predict(TEST[0]) == NAMES[TEST[1]]).mean() > 0.9


def test_training_stops_when_validation_gets_no_better_and_keeps_the_best_epochs_weights():
    # Labels turned round: soon every epoch is worse on validation than the one before.
    head = make_head("dense", **SMALL | {"epochs": 50, "patience": 1, "l2": 0.5})
    seen = []
    head.on_epoch = lambda *each: seen.append(each)
    head.fit(*TRAIN, validation=(VALID[0], 1 - VALID[1]))
    n = len(head.history_["val_loss"])
    assert head.best_epoch_ == n - 1 < 49
    assert head.chosen_["at_edge"] == {}
    assert seen == [
        (epoch, {name: head.history_[name][epoch - 1] for name in CURVES})
        for epoch in range(1, n + 1)
    ]
    # the loss that was chosen by is the cross-entropy, without the penalty
    assert metrics.log_loss(1 - VALID[1], head.predict_proba(VALID[0])) == pytest.approx(
        head.chosen_["log_loss"], rel=1e-4
    )


def test_the_seed_decides_and_no_global_random_state_is_touched(fitted):
    python, numpy = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    again = make_head("dense", **SMALL).fit(*TRAIN, validation=VALID)
    assert random.getstate() == python
    np.testing.assert_array_equal(np.random.get_state()[1], numpy)  # noqa: NPY002
    np.testing.assert_array_equal(again.predict_proba(TEST[0]), fitted.predict_proba(TEST[0]))
    assert again.history_ == fitted.history_


def test_rows_are_held_out_to_stop_on():
    head = make_head("dense", **SMALL | {"epochs": 1, "random_state": 1}).fit(*TRAIN)
    assert (head.chosen_["validation"], head.chosen_["validation_rows"]) == ("held out", 12)
    assert head.chosen_["at_edge"] == {"epoch": "highest"}  # the best is the last


def test_a_diverging_training_is_refused():
    head = make_head("dense", **SMALL | {"learning_rate": 1e38, "epochs": 2})
    with pytest.raises(HeadError, match="epoch 1"):
        head.fit(*TRAIN, validation=VALID)


@pytest.mark.parametrize(
    ("X", "named"),
    [
        (TRAIN[0][:, 0, 0], r"\(60, 4\)"),
        (np.where(np.arange(4) == 2, np.float16(np.inf), TRAIN[0]), "row 0"),
    ],
)
def test_maps_that_no_head_can_be_fitted_to_are_refused(X, named):
    with pytest.raises(HeadError, match=named):
        make_head("dense").fit(X, TRAIN[1])


def test_maps_of_another_shape_are_refused(fitted):
    with pytest.raises(HeadError, match=r"\(3, 3, 4\).*\(40, 2, 3, 4\)"):
        fitted.predict(TEST[0][:, :2])


@pytest.mark.parametrize("name", ["filters", "units", "learning_rate", "epochs", "patience"])
def test_a_parameter_out_of_range_is_refused_by_name(name):
    with pytest.raises(HeadError, match=name):
        make_head("dense", **{name: (8, 0) if name == "units" else 0}).fit(*TRAIN)


# --- model files


def test_a_loaded_head_is_the_saved_one(fitted, tmp_path):
    path = fitted.save(tmp_path / "model.v1")
    loaded = load_head("dense", path)
    assert path.name == "model.v1.keras"
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(loaded.predict_proba(TEST[0]), fitted.predict_proba(TEST[0]))
    np.testing.assert_array_equal(loaded.predict(TEST[0]), fitted.predict(TEST[0]))
    assert loaded.classes_.dtype == fitted.classes_.dtype
    assert clone(loaded).get_params() == {**fitted.get_params(), "units": [8, 4]}
    for name in ("chosen_", "history_", "best_epoch_", "map_shape_", "n_features_in_"):
        assert getattr(loaded, name) == getattr(fitted, name)


def test_keras_itself_reads_the_file(fitted, tmp_path):
    model = import_keras().models.load_model(fitted.save(tmp_path / "model.keras"))
    found = np.asarray(model(TEST[0], training=False))[:, 0]
    np.testing.assert_array_equal(found, fitted.predict_proba(TEST[0])[:, 1])


def test_nothing_in_the_file_is_run(fitted, tmp_path):
    path = fitted.save(tmp_path / "model.keras")
    changed = tmp_path / "changed.keras"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, b"{" if entry == "config.json" else old.read(entry))
    loaded = load_head("dense", changed)
    np.testing.assert_array_equal(loaded.predict_proba(TEST[0]), fitted.predict_proba(TEST[0]))


def test_a_file_of_another_head_or_a_damaged_one_is_refused_by_name(fitted, tmp_path):
    path = fitted.save(tmp_path / "model.keras")
    with pytest.raises(FerError, match=r"model\.keras"):
        load_head("logreg", path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FerError, match=r"model\.keras"):
        load_head("dense", path)
    with pytest.raises(FerError, match=r"none\.keras"):
        load_head("dense", tmp_path / "none.keras")
