"""The machine's own rate: products of square matrices, the least that any network is made of."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders import keras_device
from benchmarks.protocol import LeftOut, Message
from fer_features.engines import PRECISIONS
from fer_features.runtime.openvino_runtime import import_openvino

CPU_SIDE = 2048
GPU_SIDE = 8192
CHAIN = 8
"""Products in a row, so that what comes before the first and after the last counts for little."""

ROUND_S = 1.0
"""How long a precision's share of a round takes, at least."""

Product = Callable[[], Any]
"""Computes a whole chain and waits for it."""


class MatrixProducts:
    """x·B·B·…·B for square matrices, in each precision that a library has.

    Args:
        library: its name and version.
        device: ``device`` and ``device_name``.
        side: rows and columns of the matrices.
        products: a chain by precision.
    """

    def __init__(
        self, library: str, device: Message, side: int, products: dict[str, Product]
    ) -> None:
        self._about = {**device, "library": library, "side": side}
        self._side, self._products = side, products
        for product in products.values():
            product()  # the compiler's

    def describe(self) -> Message:
        """What it is, and what it runs on."""
        return self._about

    def run(self) -> Message:
        """GFLOP/s by precision; a multiplication with its addition is two operations."""
        return {"gflops": {name: self._rate(one) for name, one in self._products.items()}}

    def _rate(self, product: Product) -> float:
        chains, begun = 0, time.perf_counter()
        while (seconds := time.perf_counter() - begun) < ROUND_S:
            product()
            chains += 1
        return chains * CHAIN * 2 * self._side**3 / seconds / 1e9


def matrices(side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two float32 (side, side); a chain with the second neither grows nor fades."""
    draw = np.random.default_rng(0)
    x, b = (draw.standard_normal((side, side), np.float32) for _ in range(2))
    return x, b / np.float32(np.sqrt(side))


def make_product(job: Message) -> MatrixProducts:
    """The products of the library that the job names: ``openvino`` or ``keras``.

    Raises:
        LeftOut: it is not installed.
    """
    return _openvino() if job["library"] == "openvino" else _keras()


def _openvino() -> MatrixProducts:
    if not find_spec("openvino"):
        raise LeftOut("OpenVINO is not installed")
    ov = import_openvino()
    from openvino import opset13 as ops

    x, b = matrices(CPU_SIDE)
    core, products = ov.Core(), {}
    for precision, wanted in zip(PRECISIONS, ("f32", "bf16"), strict=True):
        given = ops.parameter(list(x.shape), np.float32)
        node, right = given, ops.constant(b)
        for _ in range(CHAIN):
            node = ops.matmul(node, right, False, False)
        node = ops.reduce_max(node, np.array([0, 1]), False)  # one number comes back
        options = {"INFERENCE_PRECISION_HINT": wanted, "PERFORMANCE_HINT": "LATENCY"}
        model = core.compile_model(ov.Model([node], [given], "products"), "CPU", options)
        if model.get_property("INFERENCE_PRECISION_HINT").to_string() == wanted:
            request = model.create_infer_request()
            request.set_input_tensor(ov.Tensor(x))  # it has to be a copy, which lives as long
            products[precision] = request.infer
    device = {"device": "CPU", "device_name": ""}
    return MatrixProducts(f"openvino {version('openvino')}", device, CPU_SIDE, products)


def _keras() -> MatrixProducts:
    from fer_features.runtime.keras_runtime import backend_name, import_keras

    ops, backend, device = import_keras().ops, backend_name(), keras_device()
    side = GPU_SIDE if device["device"] == "GPU" else CPU_SIDE
    x, b = matrices(side)

    def chain(x: Any, b: Any) -> Any:
        for _ in range(CHAIN):
            x = ops.matmul(x, b)
        return ops.max(x)  # needs the whole product, but one number comes back

    compiled = _compile(chain, backend)
    products: dict[str, Product] = {}
    for precision in PRECISIONS:
        left, right = (ops.cast(ops.convert_to_tensor(one), precision) for one in (x, b))
        products[precision] = functools.partial(_number, compiled, left, right)
    library = f"{backend} {version(backend)}"
    return MatrixProducts(library, device, side, products)


def _number(function: Callable[..., Any], left: Any, right: Any) -> float:
    return float(function(left, right))  # waits for the device


def _compile(function: Callable[..., Any], backend: str) -> Callable[..., Any]:
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function)  # type: ignore[no-any-return]
    if backend == "jax":
        import jax

        return jax.jit(function)  # type: ignore[no-any-return]
    return function
