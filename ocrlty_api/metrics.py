"""What Prometheus reads at `/metrics`: one registry an application.

Belongs here: the metrics' names, labels and buckets. Does not: when something is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ocrlty_pipeline.records import ExtractRecord

HTTP_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
INFERENCE_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
UNMATCHED = "(unmatched)"


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "ocrlty_http_request_duration_seconds",
            "Requests, from their first byte to the last of the answer.",
            ("method", "route", "status"),
            buckets=HTTP_BUCKETS_S,
            registry=self.registry,
        )
        self._inference = Histogram(
            "ocrlty_inference_duration_seconds",
            "Time in the backend of one image, over all attempts.",
            ("backend", "task_id"),
            buckets=INFERENCE_BUCKETS_S,
            registry=self.registry,
        )
        self._extracts = self._counter("ocrlty_extracts", "Single extracts, by their error's code or `ok`.", "outcome")
        self._retries = self._counter("ocrlty_inference_retries", "Calls beyond the first of an image.", "backend")
        self._tokens = self._counter("ocrlty_tokens", "Tokens as the backend counts them.", "kind")
        self._runs = Gauge(
            "ocrlty_runs", "Dagster runs, by status; QUEUED is the queue's depth.", ("status",), registry=self.registry
        )

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A number that is asked for whenever the metrics are read."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def observe_request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        known = method if method in METHODS else "OTHER"
        self._requests.labels(known, route or UNMATCHED, status).observe(seconds)

    def observe_extract(self, record: ExtractRecord) -> None:
        """Count one extract that was made just now."""
        self._extracts.labels(record.error.code if record.error else "ok").inc()
        self._inference.labels(record.backend, record.task_id).observe(record.timings_ms.vllm / 1000)
        self._retries.labels(record.backend).inc(len(record.error_history or ()))
        usage = record.usage or {}
        for kind in ("prompt_tokens", "completion_tokens"):
            self._tokens.labels(kind.removesuffix("_tokens")).inc(usage.get(kind) or 0)

    def set_runs(self, counts: Mapping[str, int]) -> None:
        for status, count in counts.items():
            self._runs.labels(status).set(count)

    def exposition(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(name, text, (label,), registry=self.registry)
