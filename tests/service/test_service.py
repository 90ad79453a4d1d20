"""The service over real connections: right answers, limits, overload, slow and vanished clients."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from command_line import gatelight, one_line_and_two, start
from service_cases import PATIENCE, Client, served, slow, wait_for

import gatelight as library
from gatelight.service.batching import BATCH_CHARACTERS, split
from gatelight.service.hosted import load_all
from gatelight.service.limits import Limits

QUICK = 2.0
"""Seconds within which a refusal comes although the models are busy; on an idle machine it takes 1 ms."""
HEAD = (
    b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
)
TEXTS = [f"the film {k} was {word}" for k in range(25) for word in ("dull", "great", "xyzzy", "")]


@pytest.fixture(scope="module")
def client(model: Path, writer: Path) -> Iterator[Client]:
    with served(load_all([str(model), str(writer)])) as found:
        yield found


def test_answers_as_the_library_does_alone_and_in_company(client: Client, model: Path) -> None:
    """A batch that mixes up its clients gives each a stranger's answer; a rounding one gives nobody's."""
    classifier = library.load(model)
    expected = classifier.predict_proba(TEXTS)

    def one(text: str) -> list[float]:
        status, got = client.ask("/v1/predict", {"text": text})
        assert status == 200, got
        (found,) = got["predictions"]
        assert found["label"] == max(found["probabilities"], key=found["probabilities"].get)
        assert found["probability"] == max(found["probabilities"].values())
        return list(found["probabilities"].values())

    with ThreadPoolExecutor(20) as pool:
        rows = np.array(list(pool.map(one, TEXTS)), np.float32)
    assert (rows == expected).all()
    status, got = client.ask("/v1/predict", {"texts": TEXTS, "model": "tiny"})
    assert status == 200
    assert got["model"] == "tiny"
    together = [list(found["probabilities"].values()) for found in got["predictions"]]
    assert (np.array(together, np.float32) == expected).all()
    assert [found["unknown"] for found in got["predictions"]] == classifier.unknown_fraction(TEXTS).tolist()
    assert client.ask("/v1/predict", {"texts": []})[1]["predictions"] == []


def test_requests_at_once_share_a_batch(model: Path) -> None:
    """One call of the model for each request would halve the rate, and nobody would notice."""
    gate, models = slow(model)
    with served(models) as client, ThreadPoolExecutor(12) as pool:
        first = pool.submit(client.ask, "/v1/predict", {"text": "first"})
        assert gate.asked.wait(PATIENCE)
        others = [pool.submit(client.ask, "/v1/predict", {"text": f"text {k}"}) for k in range(10)]
        wait_for(lambda: len(client.serving.batchers["slow"]._waiting) == 10)
        gate.let_go.set()
        assert {future.result()[0] for future in [first, *others]} == {200}
        counted = client.ask("/metrics")[1]
    assert 'gatelight_batch_texts_count{model="slow"} 2.0' in counted
    assert 'gatelight_batch_texts_sum{model="slow"} 11.0' in counted


def test_large_requests_are_cut_into_batches() -> None:
    """A request of 256 long texts would keep all others waiting for seconds."""
    parts = split(["x" * 9_000] * 40 + ["y"] * 70)
    assert list(itertools.chain(*parts)) == ["x" * 9_000] * 40 + ["y"] * 70
    assert all(len(part) <= 32 and sum(map(len, part)) <= BATCH_CHARACTERS for part in parts)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/v1/predict", {"text": "a", "texts": ["b"]}, 422, "either"),
        ("/v1/predict", {}, 422, "either"),
        ("/v1/predict", {"text": 3}, 422, "text: Input should be a valid string"),
        ("/v1/predict", {"texts": ["a", None]}, 422, "texts.1: Input should be a valid string"),
        ("/v1/predict", {"txt": "a"}, 422, "txt: Extra inputs"),
        ("/v1/predict", b"[" * 100_000, 400, "no JSON"),
        ("/v1/predict", b'{"text": a}', 400, "no JSON"),
        ("/v1/predict", b'{"text": "\\ud800"}', 400, "no JSON"),
        ("/v1/predict", {"text": "x" * 20_001}, 413, "at most 20000"),
        ("/v1/predict", {"texts": ["x"] * 257}, 413, "at most 256"),
        ("/v1/predict", {"text": "a", "model": "gone"}, 404, "tiny"),
        ("/v1/predict", {"text": "a", "model": "writer"}, 422, "needs a classifier"),
        ("/v1/generate", {"model": "tiny"}, 422, "needs a language model"),
        ("/v1/generate", {"length": 5_000}, 413, "at most 2000"),
        ("/v1/generate", {"length": 0}, 422, "length"),
        ("/v1/generate", {"prompt": "ж"}, 422, "'ж'"),
        ("/v1/generate", b'{"temperature": NaN}', 400, "no JSON"),
        ("/v1/running", {"text": "a " * 1_001, "model": "tiny"}, 413, "1001 tokens"),
        ("/v1/running", b'{"text": "\\ud800", "model": "tiny"}', 400, "no JSON"),
        ("/v1/running", b"[" * 100_000, 400, "no JSON"),
        ("/v1/explain", {"text": "a", "clamp": {"forget": 1}}, 422, "forget_gate"),
        ("/v1/explain", {"text": "a", "clamp": {"forget_gate": 7}}, 422, "clamp.forget_gate"),
        ("/v1/trace", {"text": "a", "model": "tiny", "layer": 7}, 422, "layer"),
        ("/v1/explain", {"text": "a", "target": "no such class"}, 422, "class"),
        ("/v1/nothing", {"text": "a"}, 404, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_sentence(
    client: Client, path: str, body: object, status: int, said: str
) -> None:
    """A client that gets a 500, or no reason, cannot mend its request."""
    got, told, headers = client.answer(path, body)
    assert (got, list(told)) == (status, ["error"]), told
    assert said in told["error"]
    assert "Traceback" not in told["error"]
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert headers["x-content-type-options"] == "nosniff"


def test_a_large_body_is_refused(client: Client) -> None:
    """Bodies without a bound fill the memory."""
    assert b" 413 " in client.open(HEAD % 1_000_001).recv(1000)


def test_other_sites_cannot_ask(client: Client, model: Path) -> None:
    """A page elsewhere could read answers under a name that points here, or ask without being asked."""
    assert client.ask("/v1/predict", {"text": "a"}, Content_Type="text/plain")[0] == 422
    assert client.ask("/v1/predict", {"text": "a"}, Origin="https://example.org")[0] == 403
    own = f"http://127.0.0.1:{client.port}"
    assert client.ask("/v1/predict", {"text": "a"}, Origin=own)[0] == 200
    with served(load_all([str(model)]), hosts=frozenset({"127.0.0.1", "[::1]", "MyHost"})) as named:
        assert named.ask("/v1/predict", {"text": "a"}, Host="MyHost")[0] == 200
        assert named.ask("/v1/predict", {"text": "a"}, Host="myhost:80")[0] == 200
        assert named.ask("/v1/predict", {"text": "a"})[0] == 200
        assert named.ask("/v1/predict", {"text": "a"}, Host=f"[::1]:{named.port}")[0] == 200
        assert named.ask("/v1/predict", {"text": "a"}, Host="example.org")[0] == 400
        assert named.ask("/", Host="example.org")[0] == 400


def test_a_token_guards_the_api_but_not_the_health(model: Path) -> None:
    """An open API beside a token would make the token worthless."""
    with served(load_all([str(model)]), token="secret words") as client:
        for path, body in (("/v1/predict", {"text": "a"}), ("/v1/models", None), ("/metrics", None)):
            assert client.ask(path, body)[0] == 401
            assert client.ask(path, body, Authorization="Bearer secret word")[0] == 401
            assert client.ask(path, body, Authorization="Bearer secret words")[0] == 200
        assert client.ask("/healthz")[0] == client.ask("/")[0] == 200


def test_a_busy_service_says_so_at_once_and_recovers(model: Path) -> None:
    """A queue without end answers nobody in time, and a count that leaks never answers again."""
    gate, models = slow(model)
    with served(models, Limits(requests=2)) as client, ThreadPoolExecutor(8) as pool:
        first = [pool.submit(client.ask, "/v1/predict", {"text": "a"}) for _ in range(2)]
        wait_for(lambda: "gatelight_requests_in_work 2.0" in client.ask("/metrics")[1])
        began = time.monotonic()
        status, told, headers = client.answer("/v1/predict", {"text": "b"})
        assert time.monotonic() - began < QUICK
        assert (status, headers["retry-after"]) == (503, "1"), told
        assert client.ask("/healthz")[0] == 200
        gate.let_go.set()
        assert {future.result()[0] for future in first} == {200}
        assert client.ask("/v1/predict", {"text": "b"})[0] == 200
        assert 'status="503"' in client.ask("/metrics")[1]


def test_who_sends_slowly_holds_no_place(model: Path) -> None:
    """One connection that never ends its request, for each place, would close the service to all."""
    limits = Limits(requests=1, request_seconds=1.0, connections=30)
    with served(load_all([str(model)]), limits) as client:
        halves = [client.open((HEAD % 100) + b'{"text": "a') for _ in range(5)]
        heads = [client.open(b"POST /v1/pre") for _ in range(5)]
        nothing = [client.open() for _ in range(5)]
        assert client.ask("/v1/predict", {"text": "b"})[0] == 200
        for connection in halves + heads + nothing:
            assert b" 408 " in connection.recv(1000)
            connection.close()
        large = client.open(b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000)
        assert b" 431 " in large.recv(1000)
        many = [client.open() for _ in range(40)]
        assert client.ask("/healthz")[0] == 503
        wait_for(lambda: client.ask("/healthz")[0] == 200)
        for connection in many:
            connection.close()


def test_who_leaves_holds_no_place(model: Path, writer: Path) -> None:
    """Clients that gave up would keep the service busy with answers that nobody reads."""
    gate, models = slow(model)
    limits = Limits(requests=2, streams=1)
    with served(models | load_all([str(writer)]), limits) as client:
        body = json.dumps({"text": "a", "model": "slow"}).encode()
        head = (HEAD % len(body)).replace(b"/v1/predict", b"/v1/running")
        left = client.open(head + body)
        assert gate.asked.wait(PATIENCE)
        left.close()
        wait_for(lambda: "gatelight_requests_in_work 0.0" in client.ask("/metrics")[1])
        gate.let_go.set()
        body = json.dumps({"length": 2000, "units": 4}).encode()
        stream = client.open((HEAD % len(body)).replace(b"/v1/predict", b"/v1/generate") + body)
        assert b"200 OK" in stream.recv(100)
        stream.close()
        wait_for(lambda: client.serving.streams.taken == 0)
        assert client.ask("/v1/generate", {"length": 5})[0] == 200


def test_what_takes_too_long_is_given_up(model: Path) -> None:
    """A client would wait for ever, and its place with it."""
    gate, models = slow(model)
    with served(models, Limits(seconds=0.3)) as client:
        for path in ("/v1/running", "/v1/predict"):
            status, told = client.ask(path, {"text": "a"})
            assert status == 408
            assert "within 0.3 s" in told["error"]
        gate.let_go.set()
        wait_for(lambda: client.ask("/v1/predict", {"text": "a"})[0] == 200)


def test_a_fault_of_ours_tells_no_secrets(model: Path) -> None:
    """A traceback tells strangers of paths and code."""
    gate, models = slow(model)
    gate.proba_and_unknown_fraction = lambda texts: 1 / 0  # type: ignore[method-assign,return-value]
    models["slow"].warm = lambda: None  # type: ignore[method-assign]
    with served(models) as client:
        for path in ("/v1/predict", "/v1/running"):
            status, told = client.ask(path, {"text": "a"})
            assert (status, told) == (500, {"error": "this is a fault of the service; its log says more"})


def test_a_place_is_given_back_when_the_client_leaves_before_the_first_line(writer: Path) -> None:
    """Eight such clients, and nobody could have a text written again."""
    with served(load_all([str(writer)]), Limits(streams=1)) as client:
        body = json.dumps({"length": 2000}).encode()
        for _ in range(3):
            client.open((HEAD % len(body)).replace(b"/v1/predict", b"/v1/generate") + body).close()
            wait_for(lambda: client.ask("/v1/generate", {"length": 5})[0] == 200)


def test_writes_what_the_library_writes_with_its_memory(client: Client, writer: Path) -> None:
    """The page would show another text, or the memory of another, than the same seed gives in Python."""
    how = {"length": 40, "temperature": 0.8, "top_k": 5, "seed": 4}
    status, got = client.ask("/v1/generate", {**how, "prompt": "a ", "units": 3})
    assert status == 200
    *pieces, last = map(json.loads, got.splitlines())
    text = "".join(piece["text"] for piece in pieces)
    model = library.load(writer)
    assert text == model.generate("a ", **how)
    assert last == {"done": True}
    memory = np.array([row for piece in pieces for row in piece["states"]], np.float32)
    expected = model.trace(["a " + text]).gate("hidden_state", layer=model.layers - 1)
    assert (memory == expected[-len(text) :, :3]).all()


def test_the_models_and_the_page_are_there(client: Client) -> None:
    """Without them the page stays white."""
    models = {one["name"]: one for one in client.ask("/v1/models")[1]["models"]}
    assert models["tiny"]["classes"] == ["neg", "pos"]
    assert models["writer"]["kind"] == "language model"
    status, page, headers = client.answer("/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    for part in ("page/style.css", "page/page.js", "page/pane.js", "page/icon.svg"):
        assert part in page
        assert client.ask(f"/{part}")[0] == 200
    assert client.ask("/page/..%2fserve.py")[0] == client.ask("/page/gone.js")[0] == 404
    assert client.ask("/v1/predict")[0] == 405


def test_serve_says_what_cannot_be(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is open to all by mistake, or fails with a traceback, is worse than none."""
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "uvicorn", None)
        assert "gatelight[serve]" in one_line_and_two(gatelight("serve", model))
    assert "--token" in one_line_and_two(gatelight("serve", model, "--host", "0.0.0.0"))
    assert "8 or more" in one_line_and_two(gatelight("serve", model, "--token", "short"))
    assert one_line_and_two(gatelight("serve", tmp_path / "gone", "--port", "0"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in one_line_and_two(gatelight("serve", model, "--port", port))
    assert "called" in one_line_and_two(gatelight("serve", model, model, "--port", "0"))


def test_ends_when_told_after_finishing_what_it_began(writer: Path) -> None:
    """A deployment would cut off every text that is being written."""
    with start("serve", writer, "--port", "0", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        port = int(line.rsplit(":", 1)[1].strip("/\n"))
        client = Client(port, None)
        wait_for(lambda: client.ask("/readyz")[0] == 200)
        body = json.dumps({"length": 2000, "units": 6}).encode()
        stream = client.open((HEAD % len(body)).replace(b"/v1/predict", b"/v1/generate") + body)
        got = stream.recv(500)
        process.send_signal(signal.SIGTERM)
        while part := stream.recv(1 << 16):
            got += part
        assert b'{"done":true}' in got
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
