"""A web server on the loopback that can break off, refuse, mislead and go on for ever."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = random.Random(1).randbytes(700_000)


class Server(ThreadingHTTPServer):
    """Serves `body` on the loopback; its behaviour is set by attributes, what it was asked is kept."""

    daemon_threads = True
    body = BODY
    breaks_after: int | None = None
    status: int | None = None
    endless = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.server.status is not None:
            return self.send_error(self.server.status)
        body = self.server.body * (10 if self.server.endless else 1)
        self.send_response(200)
        if not self.server.endless:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client has had enough
            self.wfile.write(body[: self.server.breaks_after])
        return None

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Serve until the block ends."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
