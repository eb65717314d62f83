"""The convolution that learns in bfloat16: against Keras's own."""

import numpy as np
import pytest

from fer_features.heads import dense, make_head
from fer_features.heads.dense import bfloat16_convolution
from fer_features.runtime.keras_runtime import import_keras


@pytest.fixture
def both():
    """Make Keras's convolution and the quick one, with the same weights, for maps of a shape."""
    keras = import_keras()

    def make(shape, *, filters=2, scale=1, seed=0):
        random = np.random.default_rng(seed)
        layers = [
            kind(filters, 3, padding="same", activation="relu")
            for kind in (keras.layers.Conv2D, bfloat16_convolution(keras))
        ]
        for layer in layers:
            layer.build((None, *shape))
        weights = [
            random.integers(-3, 4, size=weight.shape) * scale for weight in layers[0].weights
        ]
        for layer in layers:
            layer.set_weights(weights)
        return layers

    return make


@pytest.mark.parametrize("shape", [(3, 3, 5), (1, 1, 4), (2, 5, 3), (4, 1, 1)])
def test_on_small_integers_the_bfloat16_convolution_is_the_convolution(both, shape):
    # bfloat16 holds integers up to 256 exactly; here none of the nine parts of a sum is larger
    plain, quick = both(shape)
    maps = np.random.default_rng(1).integers(-3, 4, size=(7, *shape)).astype(np.float32)
    out = np.asarray(quick(maps, training=True))
    np.testing.assert_array_equal(out, np.asarray(plain(maps)))
    assert out.dtype == np.float32
    assert out.any()


def test_only_while_training_it_rounds_to_bfloat16(both):
    plain, quick = both((3, 3, 6), scale=0.1)
    maps = np.random.default_rng(1).normal(size=(5, 3, 3, 6)).astype(np.float32)
    expected = np.asarray(plain(maps))
    np.testing.assert_array_equal(np.asarray(quick(maps, training=False)), expected)
    learning = np.asarray(quick(maps, training=True))
    assert 0 < abs(learning - expected).max() < 0.02 * abs(expected).max()


def test_learning_in_bfloat16_learns_and_repeats_to_the_bit(monkeypatch):
    made = []

    def counted(keras):
        made.append(bfloat16_convolution(keras))
        return made[-1]

    monkeypatch.setattr(dense, "keras_has_bfloat16", lambda: True)
    monkeypatch.setattr(dense, "bfloat16_convolution", counted)
    random = np.random.default_rng(0)
    y = np.arange(120) % 2
    X = (random.normal(size=(120, 3, 3, 12)) + y[:, None, None, None] * 0.6).astype(np.float16)
    params = {"filters": 4, "units": (8,), "l2": 1e-3, "epochs": 4, "batch_size": 16}
    head = make_head("dense", **params, learning_rate=0.01)
    first = head.fit(X, y, validation=(X[:40], y[:40])).predict_proba(X)
    again = head.fit(X, y, validation=(X[:40], y[:40])).predict_proba(X)
    np.testing.assert_array_equal(first, again)
    assert (first.argmax(axis=1) == y).mean() > 0.9
    assert len(made) == 2  # of each fit only the network that learns
    # what is kept is the plain layer with float32 weights, so the file needs no bfloat16
    assert type(head.model_.get_layer("convolution")) is import_keras().layers.Conv2D


def test_without_bfloat16_in_the_hardware_it_is_not_used(monkeypatch):
    monkeypatch.setattr(dense, "keras_has_bfloat16", lambda: False)
    monkeypatch.setattr(dense, "bfloat16_convolution", None)  # calling it would fail
    X, y = np.eye(8, dtype=np.float16).reshape(8, 2, 2, 2), np.arange(8) % 2
    head = make_head("dense", filters=2, units=(2,), epochs=1).fit(X, y, validation=(X, y))
    layer = head.model_.get_layer("convolution")
    assert (layer.kernel_size, layer.padding) == ((3, 3), "same")
