"""What the service counts, for Prometheus; every service has counters of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters, and the page that tells them."""

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
