"""What is refused: a status, what is wrong, and what to do."""

from __future__ import annotations

from starlette.responses import JSONResponse


class RefusedError(Exception):
    """A request that gets no answer.

    Args:
        status: the HTTP status.
        error: what is wrong, in one line.
        hint: what to do about it, in one line.
        close: close the connection, because the request's body was not read to its end.
    """

    def __init__(self, status: int, error: str, hint: str = "", *, close: bool = False) -> None:
        super().__init__(error)
        self.status, self.error, self.hint, self.close = status, error, hint, close

    def response(self) -> JSONResponse:
        """``{"error", "hint"}`` with the status, and with 503 a time to come back after."""
        headers = {"connection": "close"} if self.close else {}
        if self.status == 503:
            headers["retry-after"] = "1"
        return JSONResponse({"error": self.error, "hint": self.hint}, self.status, headers)
