"""The mlp head, and what all heads that are Keras networks share: soft targets, groups, files."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.base import clone

from fer_features import FerError, metrics
from fer_features.heads import load_head, make_head
from fer_features.heads.checks import HeadError
from fer_features.runtime.keras_runtime import import_keras

SMALL = {"units": (8,), "batch_size": 16, "learning_rate": 0.02, "epochs": 8, "dropout": 0.2}


def blobs(n, *, n_classes=2, seed=0, features=6):
    """Features of unlike scales of which each class has one raised, and a constant one."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    X = random.normal(size=(n, features)) + 2.5 * np.eye(n_classes, features)[y]
    X[:, -1] = 100.0
    return (X * np.logspace(-2, 2, features)).astype(np.float32), y


TRAIN, VALID, TEST = blobs(90), blobs(60, seed=1), blobs(50, seed=2)
NAMES = np.array(["angry", "happy"])


@pytest.fixture(scope="module")
def fitted():
    head = make_head("mlp", **SMALL)
    return head.fit(TRAIN[0], NAMES[TRAIN[1]], validation=(VALID[0], NAMES[VALID[1]]))


# --- the network


def test_known_weights_give_the_probability_worked_out_by_hand():
    # Training features of means 1 and 2, and of variances 4 and 1.
    head = make_head("mlp", units=(1,), epochs=1)
    X = np.array([[3, 3], [-1, 1]] * 3, np.float32)
    head.fit(X, np.arange(6) // 2, validation=(X, np.arange(6) // 2))
    weights = [[1.0], [2.0]], [0.5], [[1.0, 0, -1]], [0.0, 0, 0]
    head.model_.set_weights([np.array(each) for each in weights])
    # (3, 1) becomes (1, -1); the unit relu(1 - 2 + 0.5) = 0: all classes alike
    # (3, 3) becomes (1, 1); the unit is 3.5: logits 3.5, 0, -3.5
    found = head.predict_proba(np.array([[3, 1], [3, 3]], np.float32))
    expected = np.exp([3.5, 0, -3.5]) / np.exp([3.5, 0, -3.5]).sum()
    np.testing.assert_allclose(found, [[1 / 3] * 3, expected], rtol=1e-5)


def test_each_hidden_layer_has_its_dropout_and_no_two_start_alike():
    X, y = blobs(12, features=4)
    params = {"units": (4, 4), "epochs": 1, "learning_rate": 1e-9, "standardize": False}
    model = make_head("mlp", **params).fit(X, y, validation=(X, y)).model_
    first, second = (np.asarray(model.get_layer(f"dense_{place}").kernel) for place in (1, 2))
    names = [layer.name for layer in model.layers]
    assert names == ["dense_1", "dropout_1", "dense_2", "dropout_2", "probability"]
    assert abs(first - second).max() > 0.1


# --- training


def test_it_learns_and_records_what_it_did(fitted):
    assert fitted.best_epoch_ == 1 + int(np.argmin(fitted.history_["val_loss"]))
    assert fitted.chosen_["log_loss"] == min(fitted.history_["val_loss"])
    assert json.loads(json.dumps(fitted.chosen_, allow_nan=False)) == fitted.chosen_
    probability = fitted.predict_proba(VALID[0])
    assert metrics.log_loss(VALID[1], probability) == pytest.approx(
        fitted.chosen_["log_loss"], rel=1e-4
    )
    assert (fitted.predict(TEST[0]) == NAMES[TEST[1]]).mean() > 0.9


def test_the_seed_decides_dropout_too(fitted):
    again = make_head("mlp", **SMALL).fit(*TRAIN, validation=VALID)
    np.testing.assert_array_equal(again.predict_proba(TEST[0]), fitted.predict_proba(TEST[0]))
    other = make_head("mlp", **SMALL, random_state=1).fit(*TRAIN, validation=VALID)
    assert abs(other.predict_proba(TEST[0]) - fitted.predict_proba(TEST[0])).max() > 1e-4


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
@pytest.mark.parametrize("name", ["dense", "mlp"])
def test_a_dropout_out_of_range_is_refused(name, dropout):
    with pytest.raises(HeadError, match="dropout"):
        make_head(name, dropout=dropout).fit(*TRAIN)


# --- soft targets


def test_soft_targets_of_0_and_1_are_the_labels():
    X, y = blobs(60, n_classes=3)
    few = y < 2  # validation rows need not be of every class
    head = make_head("mlp", **SMALL | {"epochs": 3})
    hard = clone(head).fit(X, y, validation=(X[few], y[few]))
    soft = clone(head).fit(X, y, validation=(X[few], y[few]), soft_targets=np.eye(3)[y])
    assert soft.history_ == hard.history_
    np.testing.assert_array_equal(soft.predict_proba(X), hard.predict_proba(X))
    assert hard.predict_proba(X).shape == (60, 3)


def test_a_network_predicts_the_shares_that_it_was_trained_on():
    shares = (0.6, 0.3, 0.1)
    X, y = blobs(90, n_classes=3)
    soft = np.tile(shares, (90, 1))
    # patience: by the labels, which are of every class alike, each epoch is worse
    more = SMALL | {"epochs": 25, "patience": 25, "dropout": 0.0}
    head = make_head("mlp", **more).fit(X, y, validation=(X, y), soft_targets=soft)
    by_labels = -np.mean(np.log(shares))  # of a network that predicts the shares of every row
    assert head.history_["loss"][-1] == pytest.approx(by_labels, rel=0.05)
    assert head.history_["val_loss"][-1] == pytest.approx(by_labels, rel=0.05)
    assert head.history_["accuracy"][-1] == pytest.approx(1 / 3, abs=0.1)


def test_soft_targets_are_learnt_and_the_labels_score():
    X, y = blobs(90)
    maps = X[:, None, None].astype(np.float16)
    turned = 1 - np.eye(2)[y]
    head = make_head("dense", **SMALL, filters=4)
    head.fit(maps, y, validation=(maps, y), soft_targets=turned)
    assert head.history_["accuracy"][-1] < 0.2  # it has learnt the other class
    assert head.history_["val_accuracy"][-1] < 0.2
    probability = head.predict_proba(maps)
    assert metrics.log_loss(y, probability) == pytest.approx(head.chosen_["log_loss"], rel=1e-3)


# --- model files and backends


def test_a_loaded_head_is_the_saved_one(fitted, tmp_path):
    path = fitted.save(tmp_path / "model.v1")
    loaded = load_head("mlp", path)
    assert path.name == "model.v1.keras"
    np.testing.assert_array_equal(loaded.predict_proba(TEST[0]), fitted.predict_proba(TEST[0]))
    np.testing.assert_array_equal(loaded.predict(TEST[0]), fitted.predict(TEST[0]))
    assert clone(loaded).get_params() == {**fitted.get_params(), "units": [8]}
    for name in ("chosen_", "history_", "best_epoch_", "n_features_in_"):
        assert getattr(loaded, name) == getattr(fitted, name)
    with pytest.raises(FerError, match="mlp"):
        load_head("dense", path)
    model = import_keras().models.load_model(path)
    found = np.asarray(model(TEST[0], training=False))[:, 0]
    np.testing.assert_array_equal(found, fitted.predict_proba(TEST[0])[:, 1])


PROGRAM = """
import numpy as np
from fer_features.heads import load_head, make_head
from fer_features.runtime.keras_runtime import backend_name
y = np.arange(48) % 2
maps = np.random.default_rng(0).normal(size=(48, 2, 2, 3)) + y[:, None, None, None] * 3.0
maps = maps.astype(np.float16)
head = make_head("dense", filters=2, units=(4,), epochs=4, batch_size=8, learning_rate=0.03)
shares = np.where(y[:, None] == [0, 1], 0.9, 0.1)
head.fit(maps, y, validation=(maps, y), soft_targets=shares)
assert (head.predict(maps) == y).mean() > 0.9
loaded = load_head("dense", head.save("model"))
assert (loaded.predict_proba(maps) == head.predict_proba(maps)).all()
print(backend_name())
"""


@pytest.mark.long
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_of_keras_train_and_keep_a_head(backend, tmp_path):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "KERAS_BACKEND": backend},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [backend]
