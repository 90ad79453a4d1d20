"""The middleware around the application: headers that keep a browser safe, and metrics."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SAFE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Metrics:
    """What the service counts, for Prometheus; every service has counters of its own."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        ProcessCollector(registry=own)
        self.requests = Counter(
            "gatelight_requests", "Requests answered.", ["path", "method", "status"], registry=own
        )
        self.seconds = Histogram(
            "gatelight_request_seconds", "From a request's head to its answer's last byte.", ["path"],
            buckets=SECONDS, registry=own,
        )  # fmt: skip
        self.batches = Histogram(
            "gatelight_batch_texts", "Texts predicted together.", ["model"], buckets=SIZES, registry=own
        )
        self.in_work = Gauge("gatelight_requests_in_work", "Requests in work.", registry=own)

    def page(self) -> bytes:
        """Return all counters in Prometheus's text format."""
        return generate_latest(self._registry)


class HeadersAndMetrics:
    """Adds `SAFE_HEADERS` to every response and counts it by route, method and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status = time.perf_counter(), 0

        async def send_safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, send_safely)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            method = "other" if path == "other" else scope["method"]
            self._metrics.requests.labels(path, method, status).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - began)
