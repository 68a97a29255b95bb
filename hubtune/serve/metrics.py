"""The figures of a running server, for Prometheus."""

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.responses import Response

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCHES = (1, 2, 4, 8, 16, 32)

OTHER_ROUTE = "other"
"""The label of requests to paths that do not exist. No label is taken from a request."""


class ServeMetrics:
    """Counters and histograms in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "hubtune_requests", "Requests that were answered", ["route", "code"], registry=registry
        )
        self.seconds = Histogram(
            "hubtune_request_seconds",
            "Seconds from a request's headers to its answer",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.images = Counter(
            "hubtune_images", "Images that were predicted or could not be read", ["model", "outcome"],
            registry=registry,
        )  # fmt: skip
        self.batches = Histogram(
            "hubtune_batch_images", "Images that the engine got at once", buckets=_BATCHES, registry=registry
        )
        self.reloads = Counter(
            "hubtune_reloads", "Exchanges of a model by a better one", ["model"], registry=registry
        )
        self._waiting = Gauge(
            "hubtune_waiting_images", "Images that wait for their answer now", registry=registry
        )
        self._buffered = Gauge("hubtune_buffered_bytes", "Bytes of bodies in memory now", registry=registry)

    def watch(self, waiting: Callable[[], float], buffered: Callable[[], float]) -> None:
        """Take the functions that return the present values."""
        self._waiting.set_function(waiting)
        self._buffered.set_function(buffered)

    def reply(self) -> Response:
        """Return all figures in Prometheus's text format."""
        return Response(generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
