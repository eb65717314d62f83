"""Several devices, as several GPUs are: here, processors that the backends take for two."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

TWO_DEVICES = {
    "tensorflow": """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
devices = ("CPU:0", "CPU:1")
""",
    "jax": """
import jax
devices = tuple(jax.devices())
""",
}

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from fer_features.runtime.keras_runtime import import_keras
import_keras()
{devices}
import numpy as np
from conftest import TINY
from fer_features.backbones import resolve_weights
from fer_features.engines import GraphSpec
from fer_features.engines import keras_engine

spec = GraphSpec(TINY, resolve_weights("random:0", TINY), size=12, preprocess="keras",
                 layers=("first", "second"), outputs=("pooled", "map"), image_shape=(48, 48))
images = np.random.default_rng(0).integers(0, 256, (7, 48, 48)).astype(np.uint8)
found = []
for seen in ((), devices):
    keras_engine.keras_devices = lambda seen=seen: seen
    engine = keras_engine.KerasEngine(spec, batch_size=4)
    found.append(engine.submit(images[: engine.batch_size]).result())
    sizes = engine.batch_size, engine.name, engine.depth
alone, together = found
print(json.dumps({{
    "devices": len(devices), "batch": sizes[0], "name": sizes[1], "depth": sizes[2],
    "rows": [len(together[name]) for name in together],
    "worst": max(float(np.abs(together[name][:4] - alone[name]).max()) for name in alone),
    "spread": min(float(np.abs(together[name][4:] - together[name][:3]).max()) for name in alone),
}}))
"""


@pytest.mark.long
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_batch_is_cut_among_all_devices(backend: str) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run(  # noqa: S603  our own program
        [
            sys.executable,
            "-c",
            PROGRAM.format(devices=TWO_DEVICES[backend]),
            str(Path(__file__).parents[1]),
        ],
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["devices"] == 2
    assert report["batch"] == 8
    assert report["name"] == f"keras/{backend} on GPU × 2"
    assert report["depth"] == 2
    assert set(report["rows"]) == {7}
    assert report["worst"] < 1e-5
    assert report["spread"] > 1e-3  # the second device's images are others
