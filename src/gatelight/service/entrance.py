"""What every request passes before a route sees it: origin, token, size, time, a place. Knows no model.

A request takes a place when its last byte is there, and gives it back with its answer, or when its client
leaves: who sends slowly or not at all keeps nobody out.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson

from gatelight.service.limits import Limits, Refusal, busy, too_slow
from gatelight.service.metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("gatelight.service")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
API = "/v1/"
FAULT = Refusal(500, "this is a fault of the service; its log says more")
SECRET = (API, "/metrics", "/openapi.json")  # what a token guards; the page itself holds nothing secret
DISCARDED = 20  # times the largest body are read and dropped: who is cut off while sending hears no reason
KEEPS_ITS_OWN_TIME = ("/v1/predict",)  # its computation is short, and watching costs as much


class Entrance:
    """The outermost ASGI application."""

    def __init__(
        self, inner: Application, limits: Limits, metrics: Metrics, token: str | None, hosts: frozenset[str]
    ) -> None:
        """`hosts`: names by which this service may be called, without port; empty: any."""
        self._inner, self._limits, self._metrics = inner, limits, metrics
        self._token, self._hosts = token, frozenset(map(str.lower, hosts))
        self._in_work = self._buffered = 0
        self._of_one: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        if scope["type"] == "lifespan":
            return await self._inner(scope, receive, send)
        if scope["type"] != "http":
            return None
        began, answer = time.perf_counter(), Answer(send)
        try:
            await self._serve(scope, receive, answer)
        except Refusal as refusal:
            await answer.refuse(refusal)
        except Exception:
            log.exception("%s %r failed", scope["method"], scope["path"])
            await answer.refuse(FAULT)
        route = scope.get("route")
        path = getattr(route, "path", "other")
        method = scope["method"] if route is not None else "other"
        self._metrics.requests.labels(path, method, answer.status).inc()
        self._metrics.seconds.labels(path).observe(time.perf_counter() - (scope.get("arrived") or began))

    async def _serve(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        headers = dict(scope["headers"])
        self._check(scope, headers)
        if not scope["path"].startswith(API):
            return await self._inner(scope, receive, answer)
        body = await self._body(scope, headers, receive)
        try:
            # Strictly: no NaN, no half of a surrogate pair, no depth that readers further in fall into.
            scope["asked"] = orjson.loads(body) if body else None
        except orjson.JSONDecodeError as error:
            raise Refusal(400, f"the body is no JSON: {error.msg}") from None
        scope["arrived"] = time.perf_counter()
        one = (scope.get("client") or ("",))[0]
        if self._in_work >= self._limits.requests:
            raise busy(f"{self._in_work} requests")
        if self._of_one[one] >= self._limits.requests_of_one:
            raise Refusal(
                429,
                f"{self._of_one[one]} requests of {one} are in work; wait for some of them",
                retry_after=1,
            )
        self._in_work += 1
        self._of_one[one] += 1
        self._metrics.in_work.set(self._in_work)
        try:
            replayed = Replay(body, receive)
            if scope["path"] in KEEPS_ITS_OWN_TIME:
                await self._inner(scope, replayed, answer)
            else:
                await self._watched(scope, replayed, receive, answer)
        finally:
            self._in_work -= 1
            self._metrics.in_work.set(self._in_work)
            self._of_one[one] -= 1
            if not self._of_one[one]:
                del self._of_one[one]

    def _check(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1")
        # A page elsewhere may give its own name this machine's address; its requests carry that name.
        if self._hosts and name_of(host) not in self._hosts:
            raise Refusal(421, "this service does not go by that name; use one that it was started with")
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").partition("://")[2] != host:
            raise Refusal(403, "requests of other sites' pages are not served")
        if self._token is None or not scope["path"].startswith(SECRET):
            return
        given = headers.get(b"authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + self._token.encode()):
            raise Refusal(401, "a token is needed: send the header 'Authorization: Bearer TOKEN'")

    async def _body(self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        most = self._limits.body_bytes
        too_large = Refusal(413, f"the body has more than {most} bytes; send fewer or shorter texts")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > most * DISCARDED:
            raise too_large
        body, size = bytearray(), 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "the client left")
                    part = message.get("body", b"")
                    size += len(part)
                    if size <= most:
                        self._buffered += len(part)
                        body += part
                    if size > most * DISCARDED:
                        raise too_large
                    if self._buffered > self._limits.buffered_bytes:
                        raise busy("many bodies")
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            raise Refusal(408, f"the body did not arrive within {self._limits.body_seconds:g} s") from None
        finally:
            self._buffered -= len(body)
        if size > most:
            raise too_large
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if body and kind != b"application/json":
            # Other kinds a page elsewhere may send unasked.
            raise Refusal(415, "send JSON, with the header 'Content-Type: application/json'")
        return bytes(body)

    async def _watched(self, scope: Scope, replayed: Receive, receive: Receive, answer: Answer) -> None:
        """Run a route until it is done, its client has left or its time is up."""
        work = asyncio.ensure_future(self._inner(scope, replayed, answer))
        watch = asyncio.ensure_future(left(receive))
        try:
            await asyncio.wait(
                (work, watch), timeout=self._limits.seconds + 1, return_when=asyncio.FIRST_COMPLETED
            )
            if work.done():
                return work.result()
        finally:
            watch.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait((work,))
        if not watch.done() or watch.cancelled():
            raise too_slow(self._limits.seconds)
        answer.status = 499  # as web servers count clients that did not wait
        return None


class Answer:
    """A `send` that adds the safe headers and remembers what was said."""

    def __init__(self, send: Send) -> None:
        self._send, self.status, self.begun = send, 0, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun, self.status = True, message["status"]
            own = {name for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in SAFE if pair[0] not in own)]
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Say no, unless an answer has begun; the connection then ends torn, as it must."""
        if self.begun:
            return
        body = orjson.dumps({"error": refusal.message})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if refusal.retry_after is not None:
            headers.append((b"retry-after", b"%d" % refusal.retry_after))
        if refusal.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if refusal.status in (408, 413):
            headers.append((b"connection", b"close"))  # what is still to come is not read
        await self({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self({"type": "http.response.body", "body": body})


class Replay:
    """A `receive` that gives a body already read, then what comes after it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def left(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def name_of(host: str) -> str:
    """Return a Host header without its port, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
