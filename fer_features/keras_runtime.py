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

from fer_features.errors import FerError, install_hint

BACKENDS = ("tensorflow", "jax", "torch")
"""The Keras backends that can train a head."""

QUIET = "3"
"""The value of ``TF_CPP_MIN_LOG_LEVEL`` that lets no message through."""

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
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", QUIET) == QUIET:
        for name in ("absl", "tensorflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
    with without_chatter():
        return _import()


def backend_name() -> str:
    """The name of Keras's backend: ``tensorflow``, ``jax`` or ``torch`` (imports Keras)."""
    return str(import_keras().backend.backend())


@contextmanager
def without_chatter() -> Iterator[None]:
    """Hold back what is written to file descriptor 2; give back all but log lines at the end.

    For code that may import TensorFlow: its first messages come before it reads
    ``TF_CPP_MIN_LOG_LEVEL``, and from C++, which `contextlib.redirect_stderr` does not reach.
    Does nothing where the caller has set that variable to let messages through.
    """
    try:
        kept = os.dup(2) if os.environ.get("TF_CPP_MIN_LOG_LEVEL", QUIET) == QUIET else None
    except OSError:  # there is no stderr, as in a daemon
        kept = None
    if kept is None:
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
        install = install_hint()
    elif backend in BACKENDS:
        install = install_hint(backend)
    else:
        return FerError(
            f"Keras cannot use KERAS_BACKEND={backend}: {_one_line(error)}",
            hint=f"set KERAS_BACKEND to one of {', '.join(BACKENDS)}",
        )
    return FerError(
        f"Keras's backend {backend} cannot be imported: {_one_line(error)}",
        hint=f"{install}, or set KERAS_BACKEND to a backend that is installed",
    )


def _one_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
