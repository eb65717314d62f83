"""The application on a port, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import h11
import uvicorn
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from fer_features.errors import FerError, reason_of
from fer_features.serve.guard import HEADERS
from fer_features.serve.limits import Limits
from fer_features.serve.refused import RefusedError

GOODBYE_S = 1
"""Seconds that answers under way have when the server is stopped."""

PENDING = 128
"""Connections that may wait to be accepted."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on a host's port; port 0 is any that is free.

    Raises:
        FerError: the host is not of this machine, or the port is taken.
    """
    try:
        # With its protocol: asyncio sends small packets at once only where that is TCP.
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere it would share the port with another program
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(PENDING)
        except OSError:
            listener.close()
            raise
        return listener
    except OSError as error:
        raise FerError(
            f"{host}:{port} cannot be listened on: {reason_of(error)}",
            hint="choose another --port (0 for any that is free), or another --host",
        ) from error


def make_server(app: Any, limits: Limits) -> uvicorn.Server:
    """A server that logs nothing; ``run(sockets=[listener])`` answers requests until Ctrl-C.

    Args:
        app: the application.
        limits: of a request's head, and of open connections.
    """
    config = uvicorn.Config(
        app,
        http=_protocol(app, limits),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GOODBYE_S,
    )
    return uvicorn.Server(config)


def _refusal(status: int, error: str, hint: str) -> Response:
    """A refusal by the server itself, like those of the application."""
    response = RefusedError(status, error, hint, close=True).response()
    response.headers.update(HEADERS)
    return response


def _protocol(app: Any, limits: Limits) -> type[H11Protocol]:
    """Uvicorn's HTTP, whose own refusals are JSON too.

    It also closes a connection whose request's head does not arrive.
    """
    crowded = _refusal(503, "too many connections are open", "try again in a second")
    malformed = _refusal(400, "the request is no valid HTTP", "HTTP/1.1 needs one Host header")

    class Protocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._time_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._time_head()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._timer is not None:
                self._timer.cancel()

        def handle_events(self) -> None:
            self.app = crowded if len(self.connections) >= limits.connections else app
            super().handle_events()

        def send_400_response(self, msg: str) -> None:
            head = h11.Response(
                status_code=malformed.status_code,
                headers=malformed.raw_headers,
                reason="Bad Request",
            )
            for event in (head, h11.Data(data=bytes(malformed.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def _time_head(self) -> None:
            waiting = self.conn.their_state is h11.IDLE
            if waiting and self._timer is None:
                self._timer = self.loop.call_later(limits.head_s, self.transport.close)
            elif not waiting and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Protocol
