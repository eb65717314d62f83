"""The child's side: a job and then rounds come as lines of JSON on stdin, answers go to stdout."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, Protocol

from fer_features.errors import FerError

Message = dict[str, Any]

ROUND = {"do": "round"}
END = {"do": "end"}


class LeftOut(Exception):  # noqa: N818 - nothing is wrong: it is an answer
    """A contender that cannot run on this machine; the text is the reason."""


class Contender(Protocol):
    """What is measured; its preparation, which is not measured, is done when it is made."""

    def describe(self) -> Message:
        """What it is, and what it runs on."""

    def run(self) -> Message:
        """One round: what was done, in how many seconds."""


def serve(make: Callable[[Message], Contender]) -> None:
    """Make the contender of the first message's job, then run a round for each further message.

    Answers are ``{"ready": …}`` or ``{"left_out": reason}`` to the job, one object to each round,
    and ``{"error": …, "hint": …}`` to either. A round's ``idle_cpu_s`` is the processor time that
    this process took since its last round: near 0, or it has disturbed the others.

    Args:
        make: makes a contender from the job, which may take its time; raises `LeftOut` or
            `FerError`.
    """
    answer, questions = _private_stdout(), _questions()
    try:
        contender = make(next(questions))
    except LeftOut as reason:
        answer({"left_out": str(reason)})
        return
    except FerError as error:
        answer({"error": error.message, "hint": error.hint})
        return
    answer({"ready": contender.describe()})
    rested = time.process_time()
    for _ in questions:
        idle = time.process_time() - rested
        try:
            answer(contender.run() | {"idle_cpu_s": idle})
        except FerError as error:
            answer({"error": error.message, "hint": error.hint})
        rested = time.process_time()


def _private_stdout() -> Callable[[Message], None]:
    """A way to answer, and stdout turned to stderr: libraries print what they like there."""
    private = os.dup(1)
    os.dup2(2, 1)

    def answer(message: Message) -> None:
        os.write(private, (json.dumps(message) + "\n").encode())

    return answer


def _questions() -> Iterator[Message]:
    """The parent's messages, up to `END`.

    Another thread reads them, so that the process ends at once when the parent is gone, in the
    middle of a computation too: an orphan would disturb whatever is measured next.
    """
    heard: SimpleQueue[Message] = SimpleQueue()

    def listen() -> None:
        # Unbuffered: a thread that waits in sys.stdin would hold its lock at the interpreter's end.
        for line in io.FileIO(0, closefd=False):
            heard.put(json.loads(line))
        os._exit(1)

    threading.Thread(target=listen, name="questions", daemon=True).start()
    while (message := heard.get()) != END:
        yield message
