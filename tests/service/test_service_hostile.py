"""The service under whatever the API's description allows, and under what nobody should send: no 5xx."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from gatelight.service.application import application
from gatelight.service.hosted import Hosted, load_all
from gatelight.service.limits import Limits

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis comes with the extra 'dev'")

HOSTILE = 10_000
LIMITS = Limits(seconds=60)
"""A machine that is busy with other tests is no reason to answer 408."""


@pytest.fixture(scope="module")
def models(model: Path, writer: Path) -> dict[str, Hosted]:
    return load_all([str(model), str(writer)])


def test_every_call_that_the_description_allows(models: dict[str, Hosted]) -> None:
    """A status, a field or a type that the description does not know breaks clients made from it."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", application(models, LIMITS))
    conformance = pytest.importorskip("schemathesis.specs.openapi.checks")
    checks = [
        schemathesis.checks.not_a_server_error,
        conformance.status_code_conformance,
        conformance.content_type_conformance,
        conformance.response_schema_conformance,
    ]
    called: Counter[str] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()

        @hypothesis.settings(
            max_examples=25, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        @hypothesis.given(case=operation.as_strategy())
        def call(case: Any) -> None:
            called[case.operation.label] += 1
            case.call_and_validate(checks=checks)

        call()
    assert {"POST /v1/predict", "POST /v1/generate"} <= set(called)
    assert min(called.values()) >= 1


def hostile(draw: random.Random) -> tuple[str, bytes]:
    """Return a path and a body that no friendly client sends."""
    path = draw.choice(
        ["/v1/predict"] * 6 + ["/v1/running", "/v1/explain", "/v1/trace", "/v1/generate", "/v1/%ff%00",
         "/v1/%2e%2e/%2e%2e/etc/passwd"]
    )  # fmt: skip
    signs = [
        lambda: chr(draw.randrange(0x20)),
        lambda: chr(draw.choice([0x202E, 0xFEFF, 0x2028, 0xFFFF, 0x10FFFF, 0x1F468, 0x200D, 0x301])),
        lambda: draw.choice(["<script>alert(1)</script>", "<!--", "&#0;", "&lt;" * 50, "]]>"]),
        lambda: chr(draw.choice([draw.randrange(0xD800), draw.randrange(0xE000, 0x110000)])),
        lambda: "word " * draw.randrange(50),
    ]
    text = "".join(draw.choice(signs)() for _ in range(draw.randrange(12)))
    if draw.random() < 0.1:
        text += chr(draw.randrange(0xD800, 0xE000))  # half of a pair
    values: list[Callable[[], Any]] = [
        lambda: text,
        lambda: draw.choice([float("nan"), float("inf"), -0.0, 10**40, True, None, [], {}, [text] * 3]),
        lambda: {text: text},
    ]
    fields = ["text", "texts", "model", "method", "target", "layer", "units", "clamp", "prompt", "x"]
    kind = draw.randrange(10)
    if kind < 6:
        names = ["text", *draw.sample(fields, draw.randrange(3))]
        body = {name: text if name == "text" and kind < 4 else draw.choice(values)() for name in names}
        if draw.random() < 0.7:
            body["model"] = "tiny"
        return path, json.dumps(body, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
    if kind == 6:
        deep = draw.choice([b"[", b'{"text":', b'{"text":[{"a":']) * draw.choice([10, 200, 1_500, 100_000])
        return path, deep
    if kind == 7:
        return path, draw.randbytes(draw.randrange(200))
    if kind == 8:
        whole = json.dumps({"text": text}).encode()
        return path, whole[: draw.randrange(len(whole))]
    return path, json.dumps({"texts": [text] * draw.choice([1, 3, 300])}).encode()


async def status_of(app: Any, path: str, body: bytes, kind: bytes = b"application/json") -> tuple[int, bytes]:
    """Send a request past the network and return status and body of the answer."""
    given, got = [{"type": "http.request", "body": body, "more_body": False}], []

    async def receive() -> dict[str, Any]:
        if given:
            return given.pop()
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        got.append(message)

    headers = [(b"host", b"x"), (b"content-type", kind), (b"content-length", b"%d" % len(body))]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": headers, "client": ("127.0.0.1", 1), "server": ("x", 1), "scheme": "http"}
    scope |= {"http_version": "1.1", "root_path": "", "state": {}}
    await app(scope, receive, send)
    return got[0]["status"], b"".join(message.get("body", b"") for message in got[1:])


def test_ten_thousand_hostile_requests(models: dict[str, Hosted]) -> None:
    """One text that brings the service down, or makes it show its inside, is enough for whoever finds it."""
    draw, app = random.Random(20261125), application(models, LIMITS)
    requests = [hostile(draw) for _ in range(HOSTILE)]
    line = b'{"text": "' + b"x" * 10_000_000
    requests += [("/v1/predict", line), ("/v1/running", line + b'"}')]
    statuses: Counter[int] = Counter()

    async def send_all() -> None:
        waiting = iter(requests)

        async def client() -> None:
            for path, body in waiting:
                status, got = await status_of(app, path, body)
                statuses[status] += 1
                assert status < 500, (status, got[:500], path, body[:500])
                told = status == 200 or got == b"Content Too Large"
                assert told or set(json.loads(got)) == {"error"}, got[:500]

        await asyncio.gather(*(client() for _ in range(8)))

    asyncio.run(send_all())
    assert sum(statuses.values()) == len(requests)
    assert {200, 400, 404, 413, 422} <= set(statuses), statuses
    assert statuses[200] > HOSTILE / 10, statuses
