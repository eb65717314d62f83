"""Work in threads, of which only so much may wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore
from typing import TypeVar

from fer_features.serve.limits import Limits
from fer_features.serve.refused import RefusedError

T = TypeVar("T")


class Queue:
    """Runs functions on bodies in threads; refuses what would wait too long.

    A place is taken before a body is read, so that the memory of all bodies is bounded, and given
    back only when the thread has ended.

    Args:
        limits: how many at a time, how many may wait, and for how long.
    """

    def __init__(self, limits: Limits) -> None:
        self._answer_s = limits.answer_s
        self._places = Semaphore(limits.workers + limits.waiting)
        self._pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="serve")

    async def run(self, read: Callable[[], Awaitable[bytes]], work: Callable[[bytes], T]) -> T:
        """The result of `work` on what `read` gives.

        Raises:
            RefusedError: 503, too many are waiting, or the time is up; or one of the two raises it.
        """
        if not self._places.acquire(blocking=False):
            raise RefusedError(503, "too many pictures are waiting", "try again in a second")
        try:
            pending = self._pool.submit(work, await read())
        except BaseException:
            self._places.release()
            raise
        pending.add_done_callback(lambda _: self._places.release())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(pending), self._answer_s)
        except TimeoutError:
            raise RefusedError(
                503, f"no answer within {self._answer_s:g} s", "try a smaller picture"
            ) from None

    def close(self) -> None:
        """Drop what is waiting; what is running ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)
