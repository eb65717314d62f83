"""Keras arrives in silence, and a backend that is not there is named."""

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fer_features.backbones import get_backbone, resolve_weights
from fer_features.engines import GraphSpec, make_engine
from fer_features.heads import load_head, make_head
from fer_features.runtime.keras_runtime import (
    BACKENDS,
    backend_name,
    import_keras,
    keras_settings,
    suppressed_native_logs,
)

USE_KERAS = """
import numpy as np
from fer_features.runtime.keras_runtime import import_keras
keras = import_keras()
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
model.compile(loss="mse")
model.fit(np.zeros((8, 4)), np.zeros((8, 2)), verbose=0)
model.predict(np.zeros((4, 4)), verbose=0)
"""

FAIL = """
from fer_features import FerError
from fer_features.runtime.keras_runtime import import_keras
try:
    import_keras()
except FerError as error:
    print(error.message, error.hint, sep="|")
"""


UNSET = """
import keras
from fer_features.runtime.keras_runtime import keras_settings
with keras_settings():
    pass
keras.config.set_floatx("float64")
print(keras.layers.Dense(1).dtype_policy.name)
"""


X64 = """
import jax
from fer_features.runtime.keras_runtime import keras_settings
with keras_settings():
    print(jax.numpy.ones(1, "float64").dtype)
print(jax.numpy.ones(1, "float64").dtype)
"""


DRAW = """
from fer_features.runtime.figures import new_figure
with new_figure(1, 1):
    pass
"""


def run_python(code, **environment):
    ours = ("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS")
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    return subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", code],
        env=kept | environment,
        check=True,
        capture_output=True,
        text=True,
    )


UNREADABLE = {"a wrong value": '{"floatx": "int7"}', "no table": "[]"}
"""Settings of Keras's that it cannot read."""


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """Processes that start Keras, which takes seconds: run two at a time beside the tests."""
    home = tmp_path_factory.mktemp("home")
    for name, text in UNREADABLE.items():
        (home / name).mkdir()
        (home / name / "keras.json").write_text(text)
    programs = {
        "quiet": (USE_KERAS, {}),
        "no policy": (UNSET, {}),
        "jax": (X64, {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1"}),
        "numpy": (FAIL, {"KERAS_BACKEND": "numpy"}),
        **{name: (FAIL, {"KERAS_HOME": str(home / name)}) for name in UNREADABLE},
    }
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(run_python, code, **environment)
            for name, (code, environment) in programs.items()
        }


@pytest.mark.long
def test_a_home_that_cannot_be_written_is_no_cause_for_remarks(tmp_path):
    home = tmp_path / "a file"
    home.touch()
    kept_in_home = {"MPLCONFIGDIR": "", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": ""}
    for code in (USE_KERAS, DRAW):
        assert run_python(code, HOME=str(home), **kept_in_home).stderr == ""


def test_the_backend_has_a_name():
    assert backend_name() in BACKENDS
    assert import_keras() is sys.modules["keras"]


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_a_missing_backend_is_named_with_the_command_that_installs_it():
    message, _, hint = run_python(FAIL, KERAS_BACKEND="torch").stdout.partition("|")
    assert "torch" in message
    assert 'pip install "torch>=2.5"' in hint


def test_an_unknown_backend_is_refused_with_the_known_ones():
    message, _, hint = run_python(FAIL, KERAS_BACKEND="abacus").stdout.partition("|")
    assert "abacus" in message
    assert all(name in hint for name in BACKENDS)


def test_only_log_lines_are_held_back(monkeypatch, capfd):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    with suppressed_native_logs():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called\n")
        os.write(2, b"I0000 00:00:1795381792.194609    3256 port.cc:153] oneDNN is on.\n")
        os.write(2, b"a word of our own\n")
    assert capfd.readouterr().err == "a word of our own\n"


ONEDNN = """
import os
from fer_features.runtime.keras_runtime import import_keras
import_keras()
print(os.environ["TF_ENABLE_ONEDNN_OPTS"])
"""


@pytest.mark.parametrize("users", [None, "0"])
def test_onednn_is_used_unless_the_user_says_otherwise(users):
    given = {} if users is None else {"TF_ENABLE_ONEDNN_OPTS": users}
    assert run_python(ONEDNN, **given).stdout.strip() == (users or "1")


def test_a_log_level_of_the_user_is_kept(monkeypatch, capfd):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with suppressed_native_logs():
        os.write(2, b"I0000 00:00:1795381792.194609    3256 port.cc:153] oneDNN is on.\n")
    assert "oneDNN" in capfd.readouterr().err


USERS = {
    "floatx": "float16",
    "epsilon": 1e-3,
    "image_data_format": "channels_first",
    "max_epochs": 1,
    "max_steps_per_epoch": 1,
}


def settings():
    config = import_keras().config
    return {name: getattr(config, name)() for name in USERS} | {
        "dtype_policy": config.dtype_policy().name
    }


def users_settings():
    config = import_keras().config
    for name, value in USERS.items():
        getattr(config, f"set_{name}")(value)
    config.set_dtype_policy("mixed_float16")


@pytest.fixture
def kept():
    """The settings that the other tests have, afterwards."""
    config, before = import_keras().config, settings()
    yield
    for name, value in before.items():
        getattr(config, f"set_{name}")(value)


def computed(folder):
    """What heads and a backbone give, trained, saved, loaded and run: arrays."""
    rng = np.random.default_rng(0)
    pooled, maps = rng.random((40, 6), np.float32), rng.random((40, 3, 3, 6)).astype(np.float16)
    label = np.arange(40) % 2
    arrays = []
    for name, X in (("mlp", pooled), ("dense", maps)):
        head = make_head(name, epochs=2, batch_size=8, units=(4,)).fit(X, label)
        loaded = load_head(name, head.save(folder / name))
        arrays += [head.predict_proba(X), loaded.predict_proba(X)]
    backbone = get_backbone("fernet")
    spec = GraphSpec(
        backbone, resolve_weights(None, backbone), 48, "keras", ("block_6",), ("map",), (48, 48)
    )
    engine = make_engine("keras", spec, batch_size=2, graphs=folder)
    arrays.append(engine.submit(np.full((2, 48, 48), 9, np.uint8)).result()["block_6/map"])
    engine.close()
    return arrays


@pytest.mark.usefixtures("processes")  # they run meanwhile
def test_what_is_computed_does_not_depend_on_the_users_settings(tmp_path, kept):
    expected = computed(tmp_path)
    users_settings()
    for found, known in zip(computed(tmp_path), expected, strict=True):
        np.testing.assert_array_equal(found, known)
    assert get_backbone("fernet").layer_shapes()["stem"] == (48, 48, 24)
    assert settings() == USERS | {"dtype_policy": "mixed_float16"}


def test_the_users_settings_come_back_after_an_error(kept):
    users_settings()

    def stop(epoch, logs):
        raise KeyError(import_keras().config.floatx())

    head = make_head("mlp", epochs=2)
    head.on_epoch = stop
    with pytest.raises(KeyError, match="float32"):
        head.fit(np.eye(8, dtype=np.float32), [0, 1] * 4)
    assert settings() == USERS | {"dtype_policy": "mixed_float16"}


def test_blocks_on_several_threads_may_end_in_any_order(kept):
    users_settings()
    first, second = keras_settings(), keras_settings("bfloat16")
    first.__enter__()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(second.__enter__).result()
        assert import_keras().config.dtype_policy().name == "float32"  # of this thread
        first.__exit__(None, None, None)
        assert settings()["floatx"] == "float32"
        thread.submit(second.__exit__, None, None, None).result()
    assert settings() == USERS | {"dtype_policy": "mixed_float16"}


def test_a_policy_that_was_not_set_is_not_set_afterwards(processes):
    assert processes["no policy"].result().stdout == "float64\n"


def test_jax_has_no_64_bit_numbers_in_the_block(processes):
    done = processes["jax"].result()
    assert done.stdout.split() == ["float32", "float64"]


@pytest.mark.parametrize("name", UNREADABLE)
def test_settings_that_keras_cannot_read_are_named(name, processes):
    message, _, hint = processes[name].result().stdout.partition("|")
    assert "settings" in message
    assert str(Path(name) / "keras.json") in hint


def test_a_backend_that_cannot_train_is_refused(processes):
    message, _, hint = processes["numpy"].result().stdout.partition("|")
    assert "numpy" in message
    assert all(name in hint for name in BACKENDS)


def test_nothing_is_printed_when_keras_starts_and_runs(processes):
    done = processes["quiet"].result()
    assert (done.stdout, done.stderr) == ("", "")
