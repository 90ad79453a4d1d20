"""A web server on the loopback that can drop, refuse, mislead and go on for ever."""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gatelight.text.fetching import File

BODY = random.Random(1).randbytes(700_000)
FILE = File("a.bin", hashlib.sha256(BODY).hexdigest(), len(BODY))


class Server(ThreadingHTTPServer):
    """Serves `body` on the loopback; its behaviour is set by attributes, what it was asked is kept."""

    daemon_threads = True
    body = BODY
    ranges = True
    drop_after: int | None = None
    status: int | None = None
    endless = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/a.bin"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.asked.append(wanted)
        body, start = self.server.body, 0
        if self.server.status is not None:
            return self.send_error(self.server.status)
        if wanted is not None and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if not self.server.endless:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if self.server.endless:
            body = body * 10
        end = len(body) if self.server.drop_after is None else start + self.server.drop_after
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client has had enough
            self.wfile.write(body[start:end])
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
