"""The accelerators and number formats of this machine."""

from __future__ import annotations

import platform
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fer_features.runtime.keras_runtime import backend_name

DEVICE_FILES = ("dev/nvidia[0-9]*", "dev/kfd", "dev/accel*", "dev/vfio/[0-9]*", "dev/dxg")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def may_have_gpu() -> bool:
    """Whether there may be a GPU or TPU, by the device files alone: importing Keras takes seconds.

    True on other systems than Linux, where this is unknown.
    """
    if platform.system() != "Linux":
        return True
    return any(any(Path("/").glob(pattern)) for pattern in DEVICE_FILES)


@cache
def keras_devices() -> tuple[Any, ...]:
    """The accelerators that Keras's backend sees, as its own objects; empty on a CPU alone."""
    match backend_name():
        case "tensorflow":
            import tensorflow as tf

            for device in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(device, True)  # else it takes all memory
            return tuple(device.name for device in tf.config.list_logical_devices("GPU"))
        case "jax":
            import jax

            return tuple(one for one in jax.local_devices() if one.platform != "cpu")
        case _:
            import torch

            return tuple(range(torch.cuda.device_count()))


def keras_has_bfloat16() -> bool:
    """Whether Keras's backend has hardware instructions for bfloat16 here."""
    backend, devices = backend_name(), keras_devices()
    if not devices:
        # On a CPU, XLA computes much of bfloat16 in float32, with conversions on the way.
        return backend == "tensorflow" and cpu_has_bfloat16()
    if backend == "tensorflow":
        import tensorflow as tf

        details = [
            tf.config.experimental.get_device_details(one)
            for one in tf.config.list_physical_devices("GPU")
        ]
        return all(one.get("compute_capability", (0, 0)) >= (8, 0) for one in details)
    if backend == "jax":
        return all(
            one.platform == "tpu" or float(getattr(one, "compute_capability", 0)) >= 8
            for one in devices
        )
    import torch

    return bool(torch.cuda.is_bf16_supported())


@cache
def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 (AVX512-BF16 or AMX); False if unknown."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return not BFLOAT16_FLAGS.isdisjoint(flags.split())


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return find_spec("openvino") is not None
