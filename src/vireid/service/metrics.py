"""Figures for Prometheus. Labels are routes, never paths or keys, so that their number stays small."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The figures of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "vireid_requests", "Answered requests", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "vireid_request_seconds",
            "Time to the end of the answer",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batches = Histogram(
            "vireid_query_batch",
            "Pictures of queries that were embedded at once",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.audit_entries = Gauge("vireid_audit_entries", "Number of the audit's last entry", registry=self.registry)
        self.audit_anchored = Gauge(
            "vireid_audit_anchored", "Number of the last entry that is anchored", registry=self.registry
        )
        self.alarms = Gauge("vireid_alarms", "Alarms on repeated searches that are kept", registry=self.registry)
        self.jobs = Gauge("vireid_jobs_waiting", "Jobs that have not ended", registry=self.registry)
        self.retention = Gauge(
            "vireid_retention_sound", "1 if the last deletion of what had expired went well", registry=self.registry
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer; status 0 stands for a connection that was cut."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
