"""The service put together: models, routes, page, limits; knows no socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gatelight import __version__
from gatelight.errors import GatelightError
from gatelight.service import pages, routes
from gatelight.service.entrance import FAULT, Entrance
from gatelight.service.hosted import Hosted
from gatelight.service.limits import Limits, Refusal
from gatelight.service.metrics import Metrics
from gatelight.service.routes import refused
from gatelight.service.serving import Serving


def application(
    models: Mapping[str, Hosted],
    limits: Limits | None = None,
    token: str | None = None,
    hosts: frozenset[str] = frozenset(),
) -> Entrance:
    """Return the ASGI application that serves these models; `hosts` as in `Entrance`."""
    limits, metrics = limits or Limits(), Metrics()
    serving = Serving(models, limits, metrics)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(serving.warm())
        yield
        warming.cancel()
        serving.close()

    app = FastAPI(
        title="gatelight", version=__version__, lifespan=life, docs_url=None, redoc_url=None,
        description="Recurrent text models: what they say of a text, and what they remembered.",
    )  # fmt: skip
    app.state.serving = serving
    app.include_router(routes.router)
    app.include_router(pages.router)
    app.add_exception_handler(Refusal, _refuse)
    app.add_exception_handler(GatelightError, _cannot)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _fault)
    return Entrance(app, limits, metrics, token, hosts)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return refused(error)


async def _fault(request: Request, error: Exception) -> Response:
    return refused(FAULT)  # raised once more by Starlette, and logged at the entrance


async def _cannot(request: Request, error: Exception) -> Response:
    return refused(Refusal(422, str(error)))


async def _invalid(request: Request, error: Exception) -> Response:
    # Nothing of what came is repeated: it may be large, and no text.
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part)[:40] for part in first["loc"][1:])
    said = f"{place}: {first['msg']}" if place else str(first["msg"])
    status = 400 if first["type"] == "json_invalid" else 422
    return refused(Refusal(status, said.encode("utf-8", "backslashreplace").decode()))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = refused(Refusal(error.status_code, str(error.detail)))
    answer.headers.update(error.headers or {})
    return answer
