"""Ctrl-C that ends the program at once, even during a long call into a library."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fer_features.runtime.console import print_message

INTERRUPTED = 130
"""Exit status of an interrupted process."""

GRACE_S = 1.2
"""Seconds to wait for Python to handle the interruption by itself."""


@contextmanager
def prompt_interrupt(message: str) -> Iterator[None]:
    """On Ctrl-C, print `message` and end the process with status 130 within two seconds.

    Python handles a signal between two of its instructions, but a library may compute for many
    seconds within one, or keep threads that Python waits for when it ends. Another thread therefore
    waits for the signal too, and ends the process if it does not end by itself. Only for work that
    can be killed at any moment.

    Raises:
        SystemExit: the block was interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _Watch(message)
    try:
        yield
    except BaseException as error:
        # An interruption inside a library's callback may surface as any exception.
        if not (watch.interrupted.is_set() or isinstance(error, KeyboardInterrupt)):
            raise
        watch.print_once()
        if watch.interrupted.wait(0.2):  # a signal, not an exception that some code has raised
            os._exit(INTERRUPTED)  # Python's own end takes seconds with large libraries loaded
        raise SystemExit(INTERRUPTED) from None
    finally:
        watch.stop()


class _Watch:
    """A thread that is woken by Ctrl-C at once.

    Attributes:
        interrupted: set on Ctrl-C.
    """

    def __init__(self, message: str) -> None:
        self.interrupted = threading.Event()
        self._message = message
        self._printed = threading.Lock()
        self._stderr = os.dup(2) if sys.stderr is not None else -1
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._before = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._hook = sys.unraisablehook
        sys.unraisablehook = self._unraisable
        self._thread = threading.Thread(target=self._wait, name="interrupt", daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        while signals := self._woken.recv(16):
            if signal.SIGINT in signals:
                self.interrupted.set()
                time.sleep(GRACE_S)
                if self._printed.acquire(blocking=False):
                    # The file descriptor: sys.stderr may be redirected at this moment.
                    with contextlib.suppress(OSError):
                        os.write(self._stderr, f"{_reset()}{self._message}\n".encode())
                os._exit(INTERRUPTED)

    def _unraisable(self, error: Any) -> None:
        """Drop Python's report of an interruption where it cannot be raised; it is handled here."""
        if not issubclass(error.exc_type, KeyboardInterrupt):
            self._hook(error)

    def print_once(self) -> None:
        """Print the message, once."""
        if self._printed.acquire(blocking=False):
            sys.stderr.write(_reset())
            print_message(self._message)

    def stop(self) -> None:
        """Stop waiting; an interruption that has been received still ends the process."""
        if self.interrupted.is_set():
            return
        signal.set_wakeup_fd(self._before)
        sys.unraisablehook = self._hook
        self._waker.close()
        self._thread.join()
        self._woken.close()
        if self._stderr >= 0:
            os.close(self._stderr)


def _reset() -> str:
    """What a terminal needs after a progress bar: its line cleared, the cursor shown."""
    return "\r\x1b[2K\x1b[?25h" if sys.stderr.isatty() else ""
