"""Keras arrives in silence, and a backend that is not there is named."""

import importlib.util
import os
import subprocess
import sys

import pytest

from fer_features.keras_runtime import BACKENDS, backend_name, import_keras, without_chatter

USE_KERAS = """
import numpy as np
from fer_features.keras_runtime import import_keras
keras = import_keras()
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
model.compile(loss="mse")
model.fit(np.zeros((8, 4)), np.zeros((8, 2)), verbose=0)
model.predict(np.zeros((4, 4)), verbose=0)
"""

FAIL = """
from fer_features import FerError
from fer_features.keras_runtime import import_keras
try:
    import_keras()
except FerError as error:
    print(error.message, error.hint, sep="|")
"""


def run_python(code, **environment):
    kept = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", code],
        env=kept | environment,
        check=True,
        capture_output=True,
        text=True,
    )


def test_nothing_is_printed_when_keras_starts_and_runs():
    done = run_python(USE_KERAS)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_backend_has_a_name():
    assert backend_name() in BACKENDS
    assert import_keras() is sys.modules["keras"]


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_a_missing_backend_is_named_with_the_command_that_installs_it():
    message, _, hint = run_python(FAIL, KERAS_BACKEND="torch").stdout.partition("|")
    assert "backend torch cannot be imported" in message
    assert 'pip install ".[torch]"' in hint


def test_an_unknown_backend_is_refused_with_the_known_ones():
    message, _, hint = run_python(FAIL, KERAS_BACKEND="abacus").stdout.partition("|")
    assert "KERAS_BACKEND=abacus" in message
    assert "tensorflow, jax, torch" in hint


def test_only_log_lines_are_held_back(monkeypatch, capfd):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    with without_chatter():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called\n")
        os.write(2, b"I0000 00:00:1795381792.194609    3256 port.cc:153] oneDNN is on.\n")
        os.write(2, b"a word of our own\n")
    assert capfd.readouterr().err == "a word of our own\n"


def test_whoever_sets_the_log_level_sees_what_it_lets_through(monkeypatch, capfd):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with without_chatter():
        os.write(2, b"I0000 00:00:1795381792.194609    3256 port.cc:153] oneDNN is on.\n")
    assert "oneDNN" in capfd.readouterr().err
