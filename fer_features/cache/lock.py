"""One writer at a time for each cache, on any file system."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fer_features.cache.record import LOCK_SUFFIX, beside
from fer_features.errors import FerError


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Be the one process that writes the cache at `path`, as long as the block lasts.

    The lock is a file whose creation is exclusive and which names its holder, so it works where
    the locks of the operating system and of HDF5 do not. That of a process of this machine that
    has ended, however it ended, is taken over.

    Raises:
        FerError: another process holds it, and which; or the folder cannot be written.
    """
    from filelock import SoftFileLock, Timeout

    lock_path = beside(path, LOCK_SUFFIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = SoftFileLock(lock_path, thread_local=False)
        # Time enough to find that a holder is dead, and to try again.
        lock.acquire(timeout=0.3, poll_interval=0.05)
    except Timeout:
        raise FerError(
            f"another extraction is writing {path}: {_holder(lock_path)}",
            hint=f"wait until it has finished; if it is no more, delete {lock_path}",
        ) from None
    except OSError as error:
        raise FerError(f"{path} cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.release()


def writer_of(path: Path) -> str | None:
    """Which process writes the cache at `path` just now; None if none does."""
    lock_path = beside(path, LOCK_SUFFIX)
    if not lock_path.exists():
        return None
    pid, host = _named(lock_path)
    if host == socket.gethostname() and os.name == "posix":
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return None
        except (OSError, ValueError):
            pass
    return _holder(lock_path)


def _named(lock_path: Path) -> tuple[str, str]:
    """Process and machine that a lock's file names."""
    try:
        pid, host, *_ = lock_path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return "", ""
    return pid, host


def _holder(lock_path: Path) -> str:
    """Who holds a lock, as its file tells."""
    pid, host = _named(lock_path)
    if not pid:
        return "unknown process"
    if host == socket.gethostname() and pid == str(os.getpid()):
        return "this process"
    return f"process {pid} on {host}"
