"""Ctrl-C that ends the program at once, whatever library has the processor."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fer_features.console import tell

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
    except KeyboardInterrupt:
        watch.tell()
        raise SystemExit(INTERRUPTED) from None
    finally:
        watch.end()


class _Watch:
    """A thread that hears of Ctrl-C at once."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._told = threading.Lock()
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._before = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._heard = False
        self._thread = threading.Thread(target=self._listen, name="interrupt", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while signals := self._woken.recv(16):
            if signal.SIGINT in signals:
                self._heard = True
                time.sleep(GRACE_S)
                self.tell()
                os._exit(INTERRUPTED)

    def tell(self) -> None:
        """Tell the message, once."""
        if self._told.acquire(blocking=False):
            if sys.stderr.isatty():
                sys.stderr.write("\r\x1b[2K\x1b[?25h")  # a progress bar had hidden the cursor
            tell(self._message)

    def end(self) -> None:
        """Stop listening; an interruption that has been heard still ends the process."""
        if self._heard:
            return
        signal.set_wakeup_fd(self._before)
        self._waker.close()
        self._thread.join()
        self._woken.close()
