"""What a server counts of itself, for Prometheus: counts and times, no names of anybody's."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST as MEDIA
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["MEDIA", "Meters"]

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Meters:
    """Requests by verb and status, how long they took, and how many wait. It is told of them from one thread. Where a server has several processes, they
    count in a ``folder`` (`settings.count_in`), and each tells the sum."""

    def __init__(self, folder: Path | None = None) -> None:
        self._registry, self._folder = CollectorRegistry(), folder
        self._requests = Counter("loci_requests", "Requests by verb and status.", ("verb", "status"), registry=self._registry)
        self._seconds = Histogram("loci_request_seconds", "How long requests took.", ("verb",), buckets=BOUNDS, registry=self._registry)
        self._gauge = Gauge(
            "loci_requests_waiting", "Requests that are being answered.", registry=self._registry, multiprocess_mode="livesum"
        )
        self.waiting = 0

    def begun(self) -> None:
        """A request came in."""
        self.waiting += 1
        self._gauge.set(self.waiting)

    def done(self, verb: str | None, status: int, seconds: float) -> None:
        """A request was answered, or its caller went away (status 0)."""
        self.waiting -= 1
        self._gauge.set(self.waiting)
        self._requests.labels(verb or "none", str(status)).inc()
        self._seconds.labels(verb or "none").observe(seconds)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        if self._folder is None:
            return generate_latest(self._registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(everybody)
