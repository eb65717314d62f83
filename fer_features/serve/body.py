"""The picture in a request's body, within the limits."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from fer_features.serve.limits import Limits
from fer_features.serve.refused import RefusedError


def check_head(request: Request, limits: Limits) -> None:
    """Refuse a request by its head, before any of its body is read.

    Raises:
        RefusedError: 415, it is no picture; 413, it is too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/"):
        raise RefusedError(
            415,
            f"the content type is {kind or 'not given'}, not that of a picture",
            "send the picture's bytes as the body, with Content-Type: image/jpeg, say",
            close=True,
        )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > 2 * limits.bytes:
        raise too_large(limits)


async def read_body(request: Request, limits: Limits) -> bytes:
    """A request's body; what is above the limit is not kept.

    As much again as the limit is read and dropped, so that a client that sends its body before it
    reads sees the answer and not a broken connection.

    Raises:
        RefusedError: 400, there is none; 408, it takes too long; 413, it is too large.
    """
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(limits.body_s):
            async for part in request.stream():
                size += len(part)
                if size <= limits.bytes:
                    body += part
                elif size > 2 * limits.bytes:
                    break
    except TimeoutError:
        raise RefusedError(
            408,
            f"the picture has not arrived within {limits.body_s:g} s",
            "send a smaller one",
            close=True,
        ) from None
    except ClientDisconnect:
        raise RefusedError(400, "the client has gone", close=True) from None
    if size > limits.bytes:
        raise too_large(limits)
    if not body:
        raise RefusedError(400, "the body is empty", "send the picture's bytes as the body")
    return bytes(body)


def too_large(limits: Limits) -> RefusedError:
    """The refusal of a file above the limit."""
    return RefusedError(
        413,
        f"the file is larger than {limits.bytes / 2**20:g} MiB",
        "send a smaller picture",
        close=True,
    )
