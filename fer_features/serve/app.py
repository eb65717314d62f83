"""The web application: a page, and the two endpoints that it uses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from fer_features import __version__
from fer_features.model.card import EXPRESSION, LAW, NOT_MEASURED
from fer_features.serve.answer import Answer, Answerer
from fer_features.serve.body import check_head, read_body
from fer_features.serve.facts import ModelFacts, facts_of
from fer_features.serve.guard import Guard
from fer_features.serve.limits import Limits
from fer_features.serve.queue import Queue
from fer_features.serve.refused import RefusedError

if TYPE_CHECKING:
    from fer_features.detect import Detector
    from fer_features.model.model import Model

PAGE = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""The files of the page, by their path, and their content types."""

WORDS = {"expression": EXPRESSION, "not_measured": NOT_MEASURED, "law": LAW}
"""What the page says as every model's card does, by their places in it."""

_BODY = {
    "requestBody": {
        "required": True,
        "description": "The bytes of a picture file.",
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def create_app(
    model: Model,
    detector: Detector,
    limits: Limits | None = None,
    *,
    names: Collection[str] = (),
    addresses: bool = False,
) -> FastAPI:
    """The application for one model.

    Args:
        model: answers for each face.
        detector: finds the faces.
        limits: what a request may ask for.
        names: host names that are let in besides this machine's own.
        addresses: let in requests to any IP address, for a server that others reach.
    """
    limits = limits or Limits()
    answerer, queue, facts = (
        Answerer(model, detector, limits),
        Queue(limits),
        facts_of(model, limits),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        queue.close()

    app = FastAPI(
        title="fer serve",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(Guard, names=names, addresses=addresses)
    app.add_exception_handler(RefusedError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_http)
    for path in PAGE:
        app.add_api_route(path, _file, methods=["GET", "HEAD"], include_in_schema=False)

    @app.get("/api/model")
    async def model_facts() -> ModelFacts:
        """The model: its classes, what it has learnt from, how it scored, and the limits."""
        return facts

    @app.post("/api/predict", openapi_extra=_BODY)
    async def predict(request: Request) -> Answer:
        """The faces in a picture, with the probability of each class."""
        check_head(request, limits)
        return await queue.run(lambda: read_body(request, limits), answerer.answer)

    return app


async def _file(request: Request) -> Response:
    name, kind = PAGE[request.url.path]
    content = files("fer_features.serve").joinpath(name).read_text(encoding="utf-8")
    if name == "page.html":
        content = Template(content).substitute({place: escape(one) for place, one in WORDS.items()})
    return Response(content, media_type=kind)


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101  registered for it alone
    return error.response()


async def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for it alone
    hint = "the paths are /, /api/model (GET) and /api/predict (POST)"
    return RefusedError(error.status_code, error.detail.lower(), hint).response()
