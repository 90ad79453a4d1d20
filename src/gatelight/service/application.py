"""The ASGI application: models, routes, page and limits put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from gatelight import __version__
from gatelight.errors import GatelightError
from gatelight.service import routes
from gatelight.service.hosted import Hosted
from gatelight.service.limits import Limits
from gatelight.service.middleware import HeadersAndMetrics, Metrics
from gatelight.service.serving import Serving

PAGE = Path(str(files("gatelight.service"))) / "page"


def application(
    models: Mapping[str, Hosted],
    limits: Limits | None = None,
    token: str | None = None,
    hosts: frozenset[str] = frozenset(),
) -> HeadersAndMetrics:
    """Return the ASGI application that serves these models.

    `token`: what clients must send as `Authorization: Bearer TOKEN`; None: nothing. `hosts`: names by which
    the service may be called, without port, an IPv6 address in brackets; empty: any.
    """
    limits, metrics = limits or Limits(), Metrics()
    serving = Serving(models, limits, metrics, token)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(serving.warm())
        yield
        warming.cancel()
        serving.close()

    app = FastAPI(
        title="gatelight",
        version=__version__,
        description="Recurrent text models: what they predict for a text, and what their states were.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        max_body_size=limits.body_bytes,
    )
    app.state.serving = serving
    app.include_router(routes.api)
    app.include_router(routes.probes)
    app.add_api_route("/", _index, include_in_schema=False)
    app.mount("/page", StaticFiles(directory=PAGE))
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(GatelightError, _user_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _fault)
    if hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=sorted(hosts), www_redirect=False)
    return HeadersAndMetrics(app, metrics)


async def _index() -> Response:
    return FileResponse(PAGE / "index.html")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = routes.answer({"error": str(error.detail)}, error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _user_error(request: Request, error: Exception) -> Response:
    return routes.answer({"error": str(error)}, 422)


async def _invalid(request: Request, error: Exception) -> Response:
    # Nothing of what came is repeated: it may be large, and no text.
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part)[:40] for part in first["loc"][1:])
    if first["type"] == "json_invalid":
        return routes.answer({"error": "the body is no JSON"}, 400)
    message = f"{place}: {first['msg']}" if place else str(first["msg"])
    return routes.answer({"error": message.encode("utf-8", "backslashreplace").decode()}, 422)


async def _fault(request: Request, error: Exception) -> Response:
    # Starlette raises it once more, and uvicorn logs it.
    return routes.answer({"error": "this is a fault of the service; its log says more"}, 500)
