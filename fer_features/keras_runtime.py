"""Keras, imported late and in silence, on whichever backend ``KERAS_BACKEND`` names.

Every part of the package that needs Keras calls `import_keras` inside the function that needs it,
so that ``import fer_features`` and ``fer --help`` stay fast.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from fer_features.errors import FerError

BACKENDS = ("tensorflow", "jax", "torch")
"""The Keras backends that can train a head."""

# What C++ logs through absl: severity and date ("I0000 00:00:1795381792.194609 ..."), and the
# continuation and preamble lines that come with it.
_CHATTER = re.compile(
    r"[IWE]\d{4} \d\d:\d\d:\d|WARNING: All log messages before absl|To enable the following instr"
)


def import_keras() -> ModuleType:
    """Import Keras and return it; the first call of a process takes seconds.

    None of TensorFlow's start-up messages (oneDNN, CUDA, absl) reaches the terminal, unless the
    caller has set ``TF_CPP_MIN_LOG_LEVEL``: whoever sets it wants to see what it lets through.

    Raises:
        FerError: Keras's backend is not installed, is broken or is unknown; the hint gives the
            ``pip`` command that installs it.
    """
    if "keras" in sys.modules:
        return sys.modules["keras"]
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return _import()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with _without_chatter():
        return _import()


def backend_name() -> str:
    """The name of Keras's backend: ``tensorflow``, ``jax`` or ``torch`` (imports Keras)."""
    return str(import_keras().backend.backend())


def _import() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # What these libraries deprecate among themselves, no caller of ours can act on.
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module("keras")
    except Exception as error:  # a broken backend raises anything: ImportError, RuntimeError, ...
        raise _backend_error(error) from error


def _backend_error(error: Exception) -> FerError:
    missing = (getattr(error, "name", None) or "").split(".")[0]
    backend = os.environ.get("KERAS_BACKEND") or (missing if missing in BACKENDS else BACKENDS[0])
    if missing in ("keras", "tensorflow") or backend == "tensorflow":
        install = "fer-features"
    elif backend in BACKENDS:
        install = f"fer-features[{backend}]"
    else:
        return FerError(
            f"Keras cannot use KERAS_BACKEND={backend}: {_one_line(error)}",
            hint=f"set KERAS_BACKEND to one of {', '.join(BACKENDS)}",
        )
    return FerError(
        f"Keras's backend {backend} cannot be imported: {_one_line(error)}",
        hint=f'pip install "{install}", or set KERAS_BACKEND to a backend that is installed',
    )


def _one_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back what is written to file descriptor 2; give back all but log lines at the end.

    TensorFlow's first messages come before it reads ``TF_CPP_MIN_LOG_LEVEL`` and from C++, which
    `contextlib.redirect_stderr` does not reach.
    """
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all (pythonw, a daemon): there is nothing to keep silent
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines(keepends=True):
                if not _CHATTER.match(line):
                    os.write(2, line.encode())
