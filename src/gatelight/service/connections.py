"""uvicorn's connections, with what it does not bound: how long a request's head is, and how long it takes.

uvicorn has a time limit between two requests, but waits for ever for one that has begun or for the first one,
and its httptools parser takes a head of any size.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gatelight.service.limits import Limits

READ_SECONDS = 30.0
"""How long a client may leave the end of an answer unread once the connection is to be closed."""


def bounded(limits: Limits) -> type[asyncio.Protocol]:
    """Return a protocol class for uvicorn's `http` setting."""

    class BoundedProtocol(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _head_bytes: int | None = 0  # of a head that has not ended

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._start_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            if self._timer is None:
                self._start_timer()
            super().data_received(data)
            if self._head_bytes is not None:
                self._head_bytes += len(data)
                if self._head_bytes > limits.head_bytes:
                    self._refuse(431, b"the head of the request is too large")

        def on_headers_complete(self) -> None:
            self._head_bytes = None
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._stop_timer()
            super().on_message_complete()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self.loop.call_later(READ_SECONDS, self.transport.abort)

        def _start_timer(self) -> None:
            self._head_bytes = 0
            message = b"the request did not arrive in time"
            self._timer = self.loop.call_later(limits.request_seconds, self._refuse, 408, message)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _refuse(self, status: int, message: bytes) -> None:
            self._stop_timer()
            if not self.transport.is_closing():
                head = b"content-type: text/plain\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
                self.transport.write(STATUS_LINE[status] + head % len(message) + message)
                self.transport.close()

    return BoundedProtocol
