"""Keras, imported late and without log lines, on the backend that ``KERAS_BACKEND`` names.

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from fer_features.errors import FerError, install_hint
from fer_features.runtime.console import silence_matplotlib

BACKENDS = ("tensorflow", "jax", "torch")
"""The Keras backends that can train a head."""

QUIET = "3"
"""The value of ``TF_CPP_MIN_LOG_LEVEL`` that suppresses all messages."""

SETTINGS: dict[str, Any] = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "max_epochs": None,
    "max_steps_per_epoch": None,
    "jax_enable_x64": False,
}
"""Keras's settings while this package uses it, by their names in `keras.config`, and JAX's."""

# Log lines of C++ through absl: severity and date ("I0000 00:00:1795381792.194609 ..."), and the
# lines that come with them.
_NATIVE_LOGS = re.compile(
    r"[IWE]\d{4} \d\d:\d\d:\d|WARNING: All log messages before absl|To enable the following instr"
)


def import_keras() -> ModuleType:
    """Import Keras and return it; the first call of a process takes seconds.

    TensorFlow's start-up messages (oneDNN, CUDA, absl) are suppressed, unless the user has set
    ``TF_CPP_MIN_LOG_LEVEL``. It uses oneDNN's kernels on every processor, unless the user has set
    ``TF_ENABLE_ONEDNN_OPTS``: by itself it does not on AMD's, where they train `fernet` twice as
    fast.

    Raises:
        FerError: Keras's backend is not installed, is broken or cannot train, or Keras cannot read
            the user's settings.
    """
    if "keras" in sys.modules:
        return _checked(sys.modules["keras"])
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", QUIET) == QUIET:
        for name in ("absl", "tensorflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    silence_matplotlib()  # Keras imports it
    with suppressed_native_logs():
        return _checked(_import())


def backend_name() -> str:
    """The name of Keras's backend: ``tensorflow``, ``jax`` or ``torch`` (imports Keras)."""
    return str(import_keras().backend.backend())


@contextmanager
def keras_settings(precision: str = "float32") -> Iterator[None]:
    """In the block, Keras has the settings of this package; also a decorator.

    The user's settings, from ``keras.json``, the environment or the session, are restored when the
    last block ends. Blocks may be nested, and open on several threads.

    Args:
        precision: the arithmetic of layers made in the block, ``float32`` or ``bfloat16``; their
            weights are float32 either way.
    """
    keras: Any = import_keras()
    # `keras.config.dtype_policy` would set a policy that is not set, by the floatx of the moment.
    state = importlib.import_module("keras.src.backend.common.global_state")
    _OVERRIDE.begin(keras.config)
    before = state.get_global_attribute("dtype_policy")  # per thread; the other settings are not
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        state.set_global_attribute("dtype_policy", before)
        _OVERRIDE.end(keras.config)


class _Override:
    """`SETTINGS` in force while any block is open, and the user's own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._before: dict[str, Any] = {}

    def begin(self, config: Any) -> None:
        with self._lock:
            if not self._open:
                accessors = _accessors(config)
                self._before = {name: get() for name, (get, _) in accessors.items()}
                for name, (_, put) in accessors.items():
                    put(SETTINGS[name])
            self._open += 1

    def end(self, config: Any) -> None:
        with self._lock:
            self._open -= 1
            if not self._open:
                for name, (_, put) in _accessors(config).items():
                    put(self._before[name])


_OVERRIDE = _Override()


def _accessors(config: Any) -> dict[str, tuple[Callable[[], Any], Callable[[Any], None]]]:
    """What reads and what sets each of `SETTINGS` that this version of Keras has."""
    known = [name for name in SETTINGS if hasattr(config, f"set_{name}")]
    found = {name: (getattr(config, name), getattr(config, f"set_{name}")) for name in known}
    if config.backend() == "jax":
        import jax

        x64 = "jax_enable_x64"  # it changes what JAX draws
        found[x64] = partial(getattr, jax.config, x64), partial(jax.config.update, x64)
    return found


@contextmanager
def suppressed_native_logs() -> Iterator[None]:
    """Drop log lines of C++ that are written to file descriptor 2 in the block.

    For code that may import TensorFlow: its first messages come before it reads
    ``TF_CPP_MIN_LOG_LEVEL``, and from C++, which `contextlib.redirect_stderr` does not reach.
    A no-op if the user has set that variable to another value than `QUIET`.
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
                if not _NATIVE_LOGS.match(line):
                    os.write(2, line.encode())


_KNOWN = f"set KERAS_BACKEND to one of {', '.join(BACKENDS)}"


def _import() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # The user cannot act on what these libraries deprecate among themselves.
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
    """Keras's folder of settings and downloads, by Keras's own rules."""
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
    if backend not in BACKENDS and missing not in ("keras", "tensorflow"):
        return FerError(
            f"Keras cannot use KERAS_BACKEND={backend}: {_one_line(error)}", hint=_KNOWN
        )
    extra = () if backend == "tensorflow" or missing in ("keras", "tensorflow") else (backend,)
    return FerError(
        f"Keras's backend {backend} cannot be imported: {_one_line(error)}",
        hint=f"{install_hint(*extra)}, or set KERAS_BACKEND to a backend that is installed",
    )


def _one_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
