"""The routes of the API: each validates a request, asks `Serving`, and writes the answer."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from itertools import chain
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from gatelight.service import messages, views
from gatelight.service.hosted import CLASSIFIER, LANGUAGE
from gatelight.service.messages import REJECTED, Inspect
from gatelight.service.serving import Serving


def answer(content: Any, status: int = 200) -> Response:
    """Return JSON; NumPy arrays are written as lists, NaN as null."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return Response(body, status, media_type="application/json")


class StrictRequest(Request):
    """A request whose JSON has no NaN, no half of a surrogate pair and no endless depth."""

    async def json(self) -> Any:
        """Return the body's value; json.JSONDecodeError where it is no JSON."""
        return orjson.loads(await self.body())


class StrictRoute(APIRoute):
    """A route whose requests are strict."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of one request."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


def _serving(request: Request) -> Serving:
    serving: Serving = request.app.state.serving
    return serving


Served = Annotated[Serving, Depends(_serving)]
Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))]


async def _may_ask(request: Request, serving: Served, given: Credentials) -> None:
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise HTTPException(403, "requests of other sites' pages are not served")
    if serving.token is None:
        return
    if given is None or not hmac.compare_digest(given.credentials.encode(), serving.token.encode()):
        message = "a token is needed: send the header 'Authorization: Bearer TOKEN'"
        raise HTTPException(401, message, headers={"www-authenticate": "Bearer"})


async def _counted(serving: Served) -> AsyncIterator[None]:
    # FastAPI has read the whole body by now: who sends slowly takes no place.
    with serving.requests.take(), serving.metrics.in_work.track_inprogress():
        yield


async def _streaming(serving: Served) -> AsyncIterator[None]:
    with serving.streams.take():  # until the last line is sent, or the client has left
        yield


CLIENT_LEFT = 499
"""The status in the metrics, as nginx writes it, of a request whose client did not wait for the answer."""


async def _while_connected(request: Request, work: Coroutine[Any, Any, Any]) -> Any:
    """Return what the work returns; cancel it when the client leaves."""
    working = asyncio.ensure_future(work)
    left = asyncio.ensure_future(request.receive())  # the body is read: nothing but the end can come
    try:
        await asyncio.wait({working, left}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HTTPException(CLIENT_LEFT)
        return working.result()
    finally:
        working.cancel()
        left.cancel()


api = APIRouter(
    prefix="/v1",
    route_class=StrictRoute,
    dependencies=[Depends(_may_ask), Depends(_counted, scope="function")],
    responses=REJECTED,
)
probes = APIRouter()


@api.post("/predict", response_model=messages.Predictions)
async def predict(request: Request, serving: Served, asked: messages.Predict) -> Response:
    """Predict the class of one text, or of several; what comes at the same time is computed together."""
    hosted = serving.model(asked.model, CLASSIFIER)
    texts = [asked.text] if asked.text is not None else asked.texts or []
    serving.check_texts(texts)
    classes, predictions = hosted.model.known_classes(), []
    if texts:
        rows, unknown = await _while_connected(request, serving.predict(hosted, texts))
        found = zip(classes.answers(rows), rows.tolist(), unknown.tolist(), strict=True)
        predictions = [
            {
                "label": label,
                "probability": probability,
                "probabilities": dict(zip(map(str, classes.plain()), row, strict=True)),
                "unknown": fraction,
            }
            for (label, probability), row, fraction in found
        ]
    return answer({"model": hosted.name, "predictions": predictions})


@api.get("/models", response_model=messages.Models)
async def models(serving: Served) -> Response:
    """Name the models and say what they are."""
    return answer({"models": [hosted.about() for hosted in serving.models.values()]})


JSON: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}}}
}


async def _insight(
    request: Request, serving: Serving, asked: Inspect, kind: str | None, view: Any, *how: Any
) -> Response:
    hosted = serving.model(asked.model, kind)
    serving.check_texts([asked.text])
    work = serving.insights.run(serving.insight, hosted, asked, view, *how)
    return answer(await _while_connected(request, work))


@api.post("/running", response_class=Response, responses=JSON)
async def running(request: Request, serving: Served, asked: Inspect) -> Response:
    """Give the prediction after each token (`running`, tokens × classes), and which tokens are unknown.

    Of a language model: what each token costs, in `bits`.
    """
    return await _insight(request, serving, asked, None, views.running)


@api.post("/explain", response_class=Response, responses=JSON)
async def explain(request: Request, serving: Served, asked: messages.Explain) -> Response:
    """Give each token's contribution to the log odds of the class, in nats, and those of n-grams."""
    return await _insight(request, serving, asked, CLASSIFIER, views.explanation, asked.method, asked.target)


@api.post("/trace", response_class=Response, responses=JSON)
async def trace(request: Request, serving: Served, asked: messages.Trace) -> Response:
    """Give every gate and state of the most active units: `values` has tokens × units by name."""
    how = asked.layer, asked.direction, asked.units
    return await _insight(request, serving, asked, None, views.trace, *how)


class Lines(StreamingResponse):
    """Lines of JSON, each sent as soon as it is there; a client that does not read is cut off in the end."""

    def __init__(self, items: Iterator[Any], seconds: float) -> None:
        lines = (orjson.dumps(item, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n" for item in items)
        super().__init__(lines, media_type="application/x-ndjson")
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        async with asyncio.timeout(self._seconds):
            await super().__call__(scope, receive, send)


LINES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}
}


@api.post("/generate", response_class=Response, responses=LINES, dependencies=[Depends(_streaming)])
async def generate(serving: Served, asked: messages.Generate) -> Response:
    """Continue a text: a line of JSON for each piece, and a last one that says `"done": true`."""
    hosted = serving.model(asked.model, LANGUAGE)
    serving.check_texts([asked.prompt])
    if asked.length > serving.limits.generated_tokens:
        raise HTTPException(
            413, f"length is {asked.length}; at most {serving.limits.generated_tokens} tokens"
        )
    how = asked.model_dump(include={"length", "temperature", "top_k", "top_p", "seed", "stop"})
    items: Iterator[Any] = views.generated(hosted.model, asked.prompt, asked.units, **how)
    end = {"done": True}
    first = await run_in_threadpool(next, items, end)  # here a user's mistake is still an error
    return Lines(chain([first], items, [] if first is end else [end]), serving.limits.seconds)


@probes.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that the service runs."""
    return {"status": "ok"}


@probes.get("/readyz", responses={503: {"model": messages.Failure}})
async def readyz(serving: Served) -> dict[str, str]:
    """Say whether requests are answered at full speed."""
    if not serving.ready:
        raise HTTPException(503, "the models are being warmed up", headers={"retry-after": "1"})
    return {"status": "ready"}


METRICS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {}}}, **{k: REJECTED[k] for k in (401, 403)}
}  # fmt: skip


@probes.get("/metrics", response_class=Response, responses=METRICS, dependencies=[Depends(_may_ask)])
async def metrics(serving: Served) -> Response:
    """Give the counters in Prometheus's text format."""
    return Response(serving.metrics.page(), media_type="text/plain; version=0.0.4")
