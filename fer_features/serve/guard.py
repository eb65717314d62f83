"""Which requests are let in, and the headers that every response carries."""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address
from pathlib import Path
from traceback import extract_tb

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_features.runtime.console import print_message
from fer_features.serve.refused import RefusedError

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), display-capture=()",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """ASGI middleware that refuses other sites, and sets `HEADERS`.

    The host is checked against DNS rebinding: a name that somebody points at this machine is
    refused, a name of one's own must be given. The origin is checked so that no page of another
    site, or of another port, posts pictures or reads answers.

    Args:
        app: the application.
        names: host names that are let in besides ``localhost`` and loopback addresses.
        addresses: let in every IP address too, for a server that others reach.
    """

    def __init__(self, app: ASGIApp, *, names: Collection[str], addresses: bool) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names)}
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it; a fault of the program is one line on stderr."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
                begun = True
            await send(message)

        try:
            self._check(Headers(scope=scope), scope["method"])
            await self._app(scope, receive, send_with_headers)
        except RefusedError as refused:
            await refused.response()(scope, receive, send_with_headers)
        except Exception as error:
            place = extract_tb(error.__traceback__)[-1]
            print_message(
                f"fault: {type(error).__name__} in {Path(place.filename).name}, line "
                f"{place.lineno}; the server goes on"
            )
            if begun:
                raise
            fault = RefusedError(500, "a fault of the program", "try another picture")
            await fault.response()(scope, receive, send_with_headers)

    def _check(self, headers: Headers, method: str) -> None:
        host = headers.get("host", "").lower()
        found = _HOST.fullmatch(host)
        if found is None:
            raise RefusedError(400, "the request names no host", "send a Host header", close=True)
        if not self._is_let_in(found[1]):
            raise RefusedError(
                403,
                f"this server does not answer to the name {found[1]}",
                f"fer serve --allow-host {found[1]}, if the name is yours",
                close=True,
            )
        origin = headers.get("origin")
        other_origin = origin is not None and origin.lower() not in {
            f"http://{host}",
            f"https://{host}",
        }
        link = headers.get("sec-fetch-mode") == "navigate" and method == "GET"
        other_site = headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}
        if other_origin or (other_site and not link):
            raise RefusedError(
                403,
                "the request comes from a page of another site",
                "use the page of this server",
                close=True,
            )

    def _is_let_in(self, name: str) -> bool:
        if name in self._names:
            return True
        try:
            address = ip_address(name.strip("[]"))
        except ValueError:
            return False
        return self._addresses or address.is_loopback
