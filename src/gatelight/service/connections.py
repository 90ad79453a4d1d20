"""HTTP connections of uvicorn, bounded in number, size of the head and patience; knows no request's body."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gatelight.service.limits import Limits

IDLE_SECONDS = 30  # between two requests
READ_SECONDS = 30.0  # for a client to take the rest of an answer before it is cut


def bounded(limits: Limits) -> type[asyncio.Protocol]:
    """Return a protocol class for uvicorn's `http` setting."""

    class Bounded(HttpToolsProtocol):
        _patience: asyncio.TimerHandle | None = None
        _head = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                self._refuse(503, b"too many connections; try again in a second")
            else:
                self._begin()

        def connection_lost(self, exc: Exception | None) -> None:
            self._calm()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            super().data_received(data)
            if self._patience is None:
                if not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
                    self._begin()
                return
            self._head += len(data)
            if self._head > limits.head_bytes:
                self._refuse(431, b"the head of the request is too large")

        def on_headers_complete(self) -> None:
            self._calm()
            super().on_headers_complete()

        def timeout_keep_alive_handler(self) -> None:
            # What the client does not take stays in the buffer, and the connection with it.
            super().timeout_keep_alive_handler()
            self.loop.call_later(READ_SECONDS, self.transport.abort)

        def _begin(self) -> None:
            self._head = 0
            self._patience = self.loop.call_later(
                limits.body_seconds, self._refuse, 408, b"the request did not arrive in time"
            )

        def _calm(self) -> None:
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None

        def _refuse(self, status: int, message: bytes) -> None:
            self._calm()
            if self.transport.is_closing():
                return
            self.transport.write(
                STATUS_LINE[status]
                + b"content-type: text/plain\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
                % (len(message), message)
            )
            self.transport.close()

    return Bounded
