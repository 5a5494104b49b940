"""What the server counts, as Prometheus reads it."""

from collections.abc import Callable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

Outcome = Literal["ok", "too_large", "not_a_picture", "bad_request", "busy", "failed"]
OUTCOMES: tuple[Outcome, ...] = (
    "ok",
    "too_large",
    "not_a_picture",
    "bad_request",
    "busy",
    "failed",
)
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Measures:
    """The counters of one server, in a registry of their own."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        """`waiting` returns how many requests are in work."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "lcnet_requests", "Requests for labels.", ["outcome"], registry=self._registry
        )
        for outcome in OUTCOMES:
            self._requests.labels(
                outcome
            )  # exported as 0, so that a rate exists before the first request
        self._pictures = Counter(
            "lcnet_pictures", "Pictures that got labels.", registry=self._registry
        )
        self._seconds = Histogram(
            "lcnet_request_seconds",
            "From a request's first byte to its answer.",
            buckets=SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "lcnet_batch_pictures",
            "Pictures that went through the model together.",
            buckets=SIZES,
            registry=self._registry,
        )
        queue = Gauge("lcnet_queue_length", "Requests in work.", registry=self._registry)
        queue.set_function(waiting)

    def request(self, outcome: Outcome, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(outcome).inc()
        self._seconds.observe(seconds)

    def batch(self, pictures: int) -> None:
        """Count pictures that went through the model together."""
        self._batches.observe(pictures)
        self._pictures.inc(pictures)

    def text(self) -> bytes:
        """All counters in Prometheus' text format."""
        return generate_latest(self._registry)
