"""The routes of the API: each reads a request, asks what is served, and writes the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gatelight.service import messages, views
from gatelight.service.hosted import CLASSIFIER, LANGUAGE
from gatelight.service.limits import Refusal
from gatelight.service.messages import ALWAYS, OR_MISSING, SIMPLE, Seen
from gatelight.service.serving import Serving

router = APIRouter()


def refused(refusal: Refusal) -> Response:
    """Return a refusal as a response."""
    again = {} if refusal.retry_after is None else {"retry-after": str(refusal.retry_after)}
    return answer({"error": refusal.message}, refusal.status, again)


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return JSON; NumPy arrays are written as lists, NaN as null."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return Response(body, status, headers, "application/json")


def _serving(request: Request) -> Serving:
    serving: Serving = request.app.state.serving
    return serving


Served = Annotated[Serving, Depends(_serving)]
PREDICT = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": messages.Predict.model_json_schema()}},
    }
}


@router.post("/v1/predict", response_model=messages.Predictions, responses=OR_MISSING, openapi_extra=PREDICT)
async def predict(request: Request) -> Response:
    """Judge one text, or several; what comes at the same time is judged together."""
    # By hand, for speed: this is the request that comes a thousand times a second.
    serving: Serving = request.app.state.serving
    asked = request.scope["asked"]
    if not isinstance(asked, dict) or not asked.keys() <= {"model", "text", "texts"}:
        raise Refusal(422, 'send an object with "text" or "texts", and "model" where there are several')
    name, text, texts = asked.get("model"), asked.get("text"), asked.get("texts")
    if (text is None) == (texts is None) or not isinstance(name, str | None):
        raise Refusal(422, 'send either "text", a string, or "texts", a list of them')
    if texts is None:
        texts = [text]
    if not isinstance(texts, list):
        raise Refusal(422, '"texts" is no list')
    hosted = serving.model(name, CLASSIFIER)
    serving.check_texts(texts)
    classes = hosted.model.known_classes()
    names, predictions = list(map(str, classes.plain())), []
    if texts:
        rows, unknown = await serving.judge(hosted, texts)
        for label, row, share in zip(classes.labels(rows), rows.tolist(), unknown.tolist(), strict=True):
            shares = dict(zip(names, row, strict=True))
            several = classes.multilabel
            predictions.append(
                {
                    "label": list(label) if several else label.item() if hasattr(label, "item") else label,
                    "probability": [shares[str(one)] for one in label] if several else shares[str(label)],
                    "probabilities": shares,
                    "unknown": share,
                }
            )
    return answer({"model": hosted.name, "predictions": predictions})


@router.get("/v1/models", response_model=messages.Models, responses=ALWAYS)
async def models(serving: Served) -> Response:
    """Name the models and say what they are."""
    return answer({"models": [hosted.about() for hosted in serving.models.values()]})


async def _insight(serving: Serving, asked: Seen, kind: str | None, view: Any, *how: Any) -> Response:
    hosted = serving.model(asked.model, kind)
    serving.check_texts([asked.text])
    return answer(await serving.insights.run(serving.insight, hosted, asked, view, *how))


@router.post("/v1/running", response_model=messages.Running, responses=OR_MISSING)
async def running(serving: Served, asked: Seen) -> Response:
    """Say what the model thinks after each token."""
    return await _insight(serving, asked, None, views.running)


@router.post("/v1/explain", response_model=messages.Explanation, responses=OR_MISSING)
async def explain(serving: Served, asked: messages.Explain) -> Response:
    """Say what each word contributed."""
    return await _insight(serving, asked, CLASSIFIER, views.explanation, asked.method, asked.target)


@router.post("/v1/trace", response_model=messages.Memory, responses=OR_MISSING)
async def trace(serving: Served, asked: messages.Trace) -> Response:
    """Tell every gate and state of the most active units."""
    how = asked.layer, asked.direction, asked.units
    return await _insight(serving, asked, None, views.memory, *how)


class Lines(Response):
    """A line of JSON for each item of a stream, whose place is given back however it ends."""

    media_type = "application/x-ndjson"

    def __init__(self, serving: Serving, items: AsyncIterator[Any]) -> None:
        super().__init__()
        self._serving, self._items = serving, items

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is there as soon as it is there."""
        kind = [(b"content-type", b"application/x-ndjson")]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": kind})
            async for item in self._items:
                line = orjson.dumps(item, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"
                await send({"type": "http.response.body", "body": line, "more_body": True})
            await send({"type": "http.response.body", "body": b'{"done":true}\n'})
        finally:
            self._serving.stream_ended()


LINES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}
}


@router.post("/v1/generate", response_class=Response, responses=OR_MISSING | LINES)
async def generate(serving: Served, asked: messages.Generate) -> Response:
    """Let a language model write: a line of JSON for each piece, and a last one that says `"done": true`."""
    hosted = serving.model(asked.model, LANGUAGE)
    serving.check_texts([asked.prime])
    if asked.length > serving.limits.written_tokens:
        raise Refusal(413, f"length is {asked.length}; at most {serving.limits.written_tokens} tokens")
    how = asked.model_dump(include={"length", "temperature", "top_k", "top_p", "seed", "stop"})
    return Lines(serving, await serving.stream(views.written, hosted.model, asked.prime, asked.memory, how))


@router.post("/v1/sessions", response_model=messages.SessionState, status_code=201, responses=OR_MISSING)
async def create(serving: Served, asked: messages.Create) -> Response:
    """Begin a text that is fed piece by piece."""
    hosted = serving.model(asked.model)
    serving.sessions.room()
    place = await serving.steps.run(hosted.model.session)
    session = serving.sessions.create(hosted.name, place)
    return answer(await serving.steps.run(serving.state, session), 201)


@router.post("/v1/sessions/{session}/feed", response_model=messages.SessionState, responses=OR_MISSING)
async def feed(serving: Served, session: str, asked: messages.Feed) -> Response:
    """Feed the next piece of a session's text."""
    found = serving.sessions.get(session)
    serving.sessions.check_room_for(found, asked.text)
    return answer(await serving.steps.run(serving.fed, found, asked.text))


@router.get("/v1/sessions/{session}", response_model=messages.SessionState, responses=OR_MISSING)
async def state(serving: Served, session: str) -> Response:
    """Say where a session stands."""
    return answer(await serving.steps.run(serving.state, serving.sessions.get(session)))


@router.delete("/v1/sessions/{session}", status_code=204, responses=OR_MISSING)
async def delete(serving: Served, session: str) -> Response:
    """Forget a session."""
    serving.sessions.delete(session)
    return Response(status_code=204)


@router.get("/healthz", responses=SIMPLE)
async def healthz() -> dict[str, str]:
    """Say that the service runs."""
    return {"status": "ok"}


@router.get("/readyz", responses=SIMPLE | {503: {"model": messages.Failure}})
async def readyz(serving: Served) -> Response:
    """Say whether requests are answered at full speed."""
    if not serving.ready:
        raise Refusal(503, "the models are being warmed up", retry_after=1)
    return answer({"status": "ready"})


@router.get("/metrics", responses=SIMPLE | {200: {"content": {"text/plain": {}}}})
async def metrics(serving: Served) -> Response:
    """Tell the counters in Prometheus's text format."""
    return Response(serving.metrics.page(), media_type="text/plain; version=0.0.4")
