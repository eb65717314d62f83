"""Ctrl-C that ends the program at once, whatever library has the processor."""

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

from fer_features.runtime.console import tell

INTERRUPTED = 130
GRACE_S = 1.2
"""How long Python may take to see the interruption by itself."""


@contextmanager
def prompt_interrupt(message: str) -> Iterator[None]:
    """On Ctrl-C, tell `message` and end the process with status 130, in less than two seconds.

    A signal reaches Python between two of its instructions, and a library may compute for many
    seconds within one, or keep threads that Python waits for at its end. A thread therefore waits
    for the signal too, and ends the process if that does not end by itself. Only for work that can
    be killed at any moment.

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
        # What a library makes of an interruption that meets it in a callback may be anything.
        if not (watch.heard.is_set() or isinstance(error, KeyboardInterrupt)):
            raise
        watch.tell()
        if watch.heard.wait(0.2):  # a signal, and not an exception that somebody has raised
            os._exit(INTERRUPTED)  # Python's own end takes seconds with large libraries loaded
        raise SystemExit(INTERRUPTED) from None
    finally:
        watch.end()


class _Watch:
    """A thread that hears of Ctrl-C at once.

    Attributes:
        heard: whether it has.
    """

    def __init__(self, message: str) -> None:
        self.heard = threading.Event()
        self._message = message
        self._told = threading.Lock()
        self._stderr = os.dup(2) if sys.stderr is not None else -1
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._before = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._hook = sys.unraisablehook
        sys.unraisablehook = self._unraisable
        self._thread = threading.Thread(target=self._listen, name="interrupt", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while signals := self._woken.recv(16):
            if signal.SIGINT in signals:
                self.heard.set()
                time.sleep(GRACE_S)
                if self._told.acquire(blocking=False):
                    # The stderr of before: a library's messages may be held back just now.
                    with contextlib.suppress(OSError):
                        os.write(self._stderr, f"{self._clean()}{self._message}\n".encode())
                os._exit(INTERRUPTED)

    def _unraisable(self, error: Any) -> None:
        """Python's word on an interruption that met it where it cannot be raised; it is heard."""
        if not issubclass(error.exc_type, KeyboardInterrupt):
            self._hook(error)

    def tell(self) -> None:
        """Tell the message, once."""
        if self._told.acquire(blocking=False):
            sys.stderr.write(self._clean())
            tell(self._message)

    @staticmethod
    def _clean() -> str:
        """What a terminal needs after a progress bar: its line emptied, the cursor shown."""
        return "\r\x1b[2K\x1b[?25h" if sys.stderr.isatty() else ""

    def end(self) -> None:
        """Stop listening; an interruption that has been heard still ends the process."""
        if self.heard.is_set():
            return
        signal.set_wakeup_fd(self._before)
        sys.unraisablehook = self._hook
        self._waker.close()
        self._thread.join()
        self._woken.close()
        if self._stderr >= 0:
            os.close(self._stderr)
