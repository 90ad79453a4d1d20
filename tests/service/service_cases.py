"""A service in a thread of the test's own process, with whatever limits and models a test wants."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from gatelight.service.application import application
from gatelight.service.connections import bounded
from gatelight.service.hosted import WARMING, Hosted, load_all
from gatelight.service.limits import Limits

PATIENCE = 20.0
"""Seconds that a busy machine is given for what takes milliseconds on an idle one."""


class Client:
    """Asks a service at a port of this machine."""

    def __init__(self, port: int, serving: Any) -> None:
        self.port, self.serving = port, serving

    def ask(
        self, path: str, body: object = None, method: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Return status and what came: JSON where it is that, else text."""
        status, content, _ = self.answer(path, body, method, **headers)
        return status, content

    def answer(
        self, path: str, body: object = None, method: str | None = None, **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        """The same with the answer's headers; an underscore in a header's name becomes a hyphen."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        named = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, named, method=method or ("POST" if data else "GET")
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as got:
                status, content, kind = got.status, got.read(), dict(got.headers)
        except urllib.error.HTTPError as error:
            status, content, kind = error.code, error.read(), dict(error.headers)
        kind = {name.lower(): value for name, value in kind.items()}
        is_json = kind.get("content-type") == "application/json" and content
        return status, json.loads(content) if is_json else content.decode(), kind

    def open(self, sent: bytes = b"") -> socket.socket:
        """Return a connection over which some bytes were sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        connection.sendall(sent)
        return connection


@contextmanager
def served(
    models: dict[str, Hosted], limits: Limits | None = None, token: str | None = None, **how: Any
) -> Iterator[Client]:
    """Serve these models until the block ends."""
    limits = limits or Limits()
    app = application(models, limits, token, **how)
    config = uvicorn.Config(
        app, http=bounded(limits), limit_concurrency=limits.connections, ws="none", log_config=None
    )
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    client = Client(listening.getsockname()[1], app.app.state.serving)
    try:
        wait_for(lambda: client.ask("/readyz")[0] == 200)
        yield client
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listening.close()
        assert not thread.is_alive(), "the service did not end"


def wait_for(holds: Any) -> None:
    """Wait until something holds; fail when it does not."""
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


class Slow:
    """A model whose answers wait until they are let go."""

    def __init__(self, model: Any) -> None:
        self._model, self.asked, self.let_go = model, threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def proba_and_unknown_fraction(self, texts: list[str]) -> Any:
        """Wait, then predict; the first texts, which warm it up, at once."""
        if texts not in ([WARMING], [""]):
            self.asked.set()
            assert self.let_go.wait(2 * PATIENCE)  # longer than a test waits for anything
        return self._model.proba_and_unknown_fraction(texts)


class SlowHosted(Hosted):
    """Such a model, served as a classifier."""

    kind = "classifier"  # type: ignore[assignment]


def slow(folder: Path) -> tuple[Slow, dict[str, Hosted]]:
    """Return a slow model of a folder, and it as what is served."""
    (hosted,) = load_all([str(folder)]).values()
    model = Slow(hosted.model)
    return model, {"slow": SlowHosted("slow", model)}
