"""How much a request may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits on a request and on all of them together.

    Attributes:
        bytes: largest picture file.
        pixels: largest picture, checked before it is decoded.
        head_s: seconds for a request's head to arrive.
        body_s: seconds for a request's body to arrive.
        answer_s: seconds for the answer, waiting included.
        workers: pictures decoded at a time.
        waiting: pictures that may wait for a worker; more are refused.
        connections: open connections; more are refused.
    """

    bytes: int = 20 * 2**20
    pixels: int = 50_000_000
    head_s: float = 10.0
    body_s: float = 20.0
    answer_s: float = 30.0
    workers: int = 2
    waiting: int = 16
    connections: int = 256
