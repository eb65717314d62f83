"""What this machine can compute with."""

from __future__ import annotations

import platform
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fer_features.runtime.keras_runtime import backend_name

_DEVICE_FILES = ("dev/nvidia[0-9]*", "dev/kfd", "dev/accel*", "dev/vfio/[0-9]*", "dev/dxg")
_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


def may_have_gpu() -> bool:
    """Whether a GPU or TPU may be here, by the device files alone: importing Keras takes seconds.

    True where that cannot be told, as on other systems than Linux.
    """
    if platform.system() != "Linux":
        return True
    return any(any(Path("/").glob(pattern)) for pattern in _DEVICE_FILES)


@cache
def keras_devices() -> tuple[Any, ...]:
    """The accelerators that Keras's backend sees, in its own terms; none on a mere CPU."""
    backend = backend_name()
    if backend == "tensorflow":
        import tensorflow as tf

        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)  # or it takes all there is
        return tuple(device.name for device in tf.config.list_logical_devices("GPU"))
    if backend == "jax":
        import jax

        return tuple(one for one in jax.local_devices() if one.platform != "cpu")
    import torch

    return tuple(range(torch.cuda.device_count()))


def keras_has_bfloat16() -> bool:
    """Whether Keras's backend computes in bfloat16 with the hardware's own instructions here."""
    backend, devices = backend_name(), keras_devices()
    if backend == "tensorflow":
        import tensorflow as tf

        if not devices:
            return cpu_has_bfloat16()
        details = [
            tf.config.experimental.get_device_details(one)
            for one in tf.config.list_physical_devices("GPU")
        ]
        return all(one.get("compute_capability", (0, 0)) >= (8, 0) for one in details)
    if backend == "jax":
        # On a CPU, XLA computes much of bfloat16 in float32, with conversions on the way.
        return bool(devices) and all(
            one.platform == "tpu" or float(getattr(one, "compute_capability", 0)) >= 8
            for one in devices
        )
    import torch

    return bool(devices) and torch.cuda.is_bf16_supported()


@cache
def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 (AVX512-BF16 or AMX); False where unknown."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    return any(flag in flags for flag in _BFLOAT16_FLAGS)


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return find_spec("openvino") is not None
