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
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from fer_features.errors import FerError, install_hint
from fer_features.runtime.console import hush_matplotlib

BACKENDS = ("tensorflow", "jax", "torch")
"""The Keras backends that can train a head."""

QUIET = "3"
"""The value of ``TF_CPP_MIN_LOG_LEVEL`` that lets no message through."""

SETTINGS: dict[str, Any] = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "max_epochs": None,
    "max_steps_per_epoch": None,
}
"""What Keras is set to while this package uses it, by the setting's name in `keras.config`."""

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
        FerError: Keras's backend is not installed, is broken or cannot train, or Keras cannot read
            the user's settings; the hint says what to do.
    """
    if "keras" in sys.modules:
        return _checked(sys.modules["keras"])
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", QUIET) == QUIET:
        for name in ("absl", "tensorflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
    hush_matplotlib()  # Keras imports it
    with without_chatter():
        return _checked(_import())


def backend_name() -> str:
    """The name of Keras's backend: ``tensorflow``, ``jax`` or ``torch`` (imports Keras)."""
    return str(import_keras().backend.backend())


@contextmanager
def keras_settings(precision: str = "float32") -> Iterator[None]:
    """In the block, Keras computes as this package means it to; also a decorator.

    Whatever the user's ``keras.json``, environment or session has set is put aside, and is set
    again when the last block ends. Blocks may be nested, and open on several threads.

    Args:
        precision: ``float32``, or ``bfloat16`` for layers made in the block to compute in that
            type; their weights are float32 all the same.
    """
    keras: Any = import_keras()
    # `keras.config.dtype_policy` would set a policy that is not set, by the floatx of the moment.
    state = importlib.import_module("keras.src.backend.common.global_state")
    _OVERRIDE.begin(keras.config)
    before = state.get_global_attribute("dtype_policy")  # of this thread; the others are of all
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        state.set_global_attribute("dtype_policy", before)
        _OVERRIDE.end(keras.config)


class _Override:
    """`SETTINGS` in force while any block is open, and what they were before the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._before: dict[str, Any] = {}
        self._x64: bool | None = None

    def begin(self, config: Any) -> None:
        with self._lock:
            if not self._open:
                known = [name for name in SETTINGS if hasattr(config, f"set_{name}")]
                self._before = {name: getattr(config, name)() for name in known}
                _set(config, {name: SETTINGS[name] for name in known})
                self._x64 = _set_jax_x64(False) if config.backend() == "jax" else None
            self._open += 1

    def end(self, config: Any) -> None:
        with self._lock:
            self._open -= 1
            if not self._open:
                _set(config, self._before)
                if self._x64 is not None:
                    _set_jax_x64(self._x64)


_OVERRIDE = _Override()


def _set(config: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        getattr(config, f"set_{name}")(value)


def _set_jax_x64(value: bool) -> bool:
    """Set whether JAX has 64-bit numbers, which changes what it draws; return what was set."""
    import jax

    before = bool(jax.config.jax_enable_x64)
    jax.config.update("jax_enable_x64", value)
    return before


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


_KNOWN = f"set KERAS_BACKEND to one of {', '.join(BACKENDS)}"


def _import() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # What these libraries deprecate among themselves, no caller of ours can act on.
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module("keras")
    except Exception as error:  # a broken backend raises anything: ImportError, RuntimeError, ...
        raise _backend_error(error) from error


def _checked(keras: Any) -> ModuleType:
    """Return Keras if it is on a backend that can train."""
    backend = keras.backend.backend()
    if backend not in BACKENDS:
        raise FerError(f"Keras's backend {backend} cannot train", hint=_KNOWN)
    return keras  # type: ignore[no-any-return]


def keras_home() -> Path:
    """Keras's folder for its settings and downloads, as it chooses it."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  which raises nothing without a home
    folder = (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"  # noqa: S108  Keras's
    return Path(os.environ.get("KERAS_HOME", folder)).expanduser()


def _backend_error(error: Exception) -> FerError:
    frames = traceback.extract_tb(error.__traceback__)
    if Path(frames[-1].filename).parts[-2:] == ("backend", "config.py"):
        return FerError(
            f"Keras cannot read its settings: {_one_line(error)}",
            hint=f"correct or remove {keras_home() / 'keras.json'}, and variables KERAS_… of the "
            "environment",
        )
    missing = (getattr(error, "name", None) or "").split(".")[0]
    backend = os.environ.get("KERAS_BACKEND") or (missing if missing in BACKENDS else BACKENDS[0])
    if missing in ("keras", "tensorflow") or backend == "tensorflow":
        install = install_hint()
    elif backend in BACKENDS:
        install = install_hint(backend)
    else:
        return FerError(
            f"Keras cannot use KERAS_BACKEND={backend}: {_one_line(error)}",
            hint=_KNOWN,
        )
    return FerError(
        f"Keras's backend {backend} cannot be imported: {_one_line(error)}",
        hint=f"{install}, or set KERAS_BACKEND to a backend that is installed",
    )


def _one_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
