"""The write lock of a cache, which works on any file system."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fer_features.cache.folder import LOCK_SUFFIX, beside
from fer_features.errors import FerError


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the write lock of the cache at `path` during the block.

    The lock is a file that is created exclusively and names its holder, so it works where the locks
    of the operating system and of HDF5 do not. That of a process of this machine that has ended is
    taken over.

    Raises:
        FerError: another process holds it; or the folder cannot be written.
    """
    from filelock import SoftFileLock, Timeout

    lock_path = beside(path, LOCK_SUFFIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = SoftFileLock(lock_path, thread_local=False)
        # Enough to find that the holder has ended, and to try again.
        lock.acquire(timeout=0.3, poll_interval=0.05)
    except Timeout:
        raise FerError(
            f"another extraction is writing {path}: {_holder(lock_path)}",
            hint=f"wait until it has finished; if it no longer runs, delete {lock_path}",
        ) from None
    except FileExistsError as error:
        raise FerError(f"{path.parent} is no folder", hint="--cache-dir takes a folder") from error
    except OSError as error:
        raise FerError(
            f"{path} cannot be written: {error.strerror or error}", hint="name another folder"
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.release()


def writer_of(path: Path) -> str | None:
    """Which process is writing the cache at `path`; None if none is."""
    lock_path = beside(path, LOCK_SUFFIX)
    if not lock_path.exists():
        return None
    pid, host = _read(lock_path)
    if host == socket.gethostname() and os.name == "posix" and pid.isdigit():
        with contextlib.suppress(PermissionError):  # it runs, for another user
            try:
                os.kill(int(pid), 0)
            except ProcessLookupError:
                return None
    return _holder(lock_path)


def remove_lock_of_other_machine(path: Path) -> None:
    """Remove the lock of the cache at `path` if another machine holds it.

    For callers that know that no other machine writes there any longer.
    """
    lock_path = beside(path, LOCK_SUFFIX)
    if _read(lock_path)[1] not in ("", socket.gethostname()):
        lock_path.unlink(missing_ok=True)


def _read(lock_path: Path) -> tuple[str, str]:
    """The process and machine that a lock file names; empty if it names none."""
    with contextlib.suppress(OSError, ValueError):
        pid, host, *_ = lock_path.read_text(encoding="utf-8").splitlines()
        return pid, host
    return "", ""


def _holder(lock_path: Path) -> str:
    pid, host = _read(lock_path)
    return f"process {pid} on {host}" if pid else "unknown process"
