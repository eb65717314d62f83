"""The parent's side: a contender in another process, which runs a round on each request."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from benchmarks.protocol import END, ROUND, LeftOut, Message
from fer_features.errors import FerError

CHILD = (sys.executable, "-m", "benchmarks.child")

LAST_WORDS = 4000
"""Bytes of a dead child's stderr that are looked through for what it died of."""

_SPINNING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


class Worker:
    """A process that does one job, in its own session; it ends with this object.

    Ctrl-C therefore reaches the parent alone, which ends all children, and theirs, by the
    session. If the parent is killed, the child sees the end of its stdin and ends by itself.

    Args:
        name: what the work is called in errors.
        job: what to do, in plain JSON types.
        command: the program that does it; by default `CHILD`.
    """

    def __init__(self, name: str, job: Message, *, command: Sequence[str] | None = None) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - `end` closes it
        self._begun = time.perf_counter()
        self._process = subprocess.Popen(  # noqa: S603 - our own programs
            command or CHILD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            env=_environment(),
        )
        self._job = job

    def start(self) -> Message:
        """Send the job and wait until all is ready; returns the contender's description.

        Raises:
            LeftOut: this machine cannot do it.
            FerError: the caller's mistake, or the process died.
        """
        answer = self._ask(self._job)
        if "left_out" in answer:
            raise LeftOut(answer["left_out"])
        ready: Message = answer["ready"]
        return ready

    def run(self) -> Message:
        """Have one round run, and wait for what it measured.

        Raises:
            FerError: the caller's mistake, or the process died.
        """
        return self._ask(ROUND)

    def finish(self) -> float:
        """Let the process end by itself; the seconds it has lived, from its start to its end."""
        self._send(END)
        self._process.wait()
        return time.perf_counter() - self._begun

    def _ask(self, message: Message) -> Message:
        self._send(message)
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._died()
        answer: Message = json.loads(line)
        if "error" in answer:
            raise FerError(answer["error"], hint=answer["hint"])
        return answer

    def _send(self, message: Message) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        try:
            self._process.stdin.write((json.dumps(message) + "\n").encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None

    def _died(self) -> FerError:
        """The error for a process that has ended, with the last line that it wrote."""
        status = self._process.wait()
        end = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, end - LAST_WORDS))
        lines = self._log.read().decode(errors="replace").splitlines()
        words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else "ended"
        return FerError(
            f"{self.name} {how} before it was done" + (f": {words}" if words else ""),
            hint="the machine may lack memory for it" if status == -signal.SIGKILL else "",
        )

    def end(self) -> None:
        """Kill the process and all that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


def _environment() -> dict[str, str]:
    """The caller's, without what would let one child take what another needs."""
    kept = {name: text for name, text in os.environ.items() if name not in _SPINNING}
    return {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **kept}
