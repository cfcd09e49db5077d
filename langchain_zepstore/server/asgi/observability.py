"""Metrics for Prometheus and an access log of one JSON object per request."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from langchain_zepstore.core.results import Connections
from langchain_zepstore.messages.wire import to_json

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the directory in which several processes count together."""

ACCESS_LOG = logging.getLogger("langchain_zepstore.server.access")
_POOL_SECONDS = 1.0  # between two looks at the pool
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Metrics:
    """Counts and times requests: of one application, or of all processes that count together.

    Args:
        connections: Returns how many connections to the database there are.

    Attributes:
        pool_due: When these are to be looked at again.
    """

    def __init__(self, connections: Callable[[], Connections]) -> None:
        self.registry = CollectorRegistry()
        self.pool_due = 0.0
        self._connections = connections
        self.seconds = Histogram(
            "zepstore_request_seconds",
            "How long requests took.",
            ("method", "route", "status"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.under_way = Gauge(
            "zepstore_requests_under_way",
            "How many requests are under way.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.pool = Gauge(
            "zepstore_pool_connections",
            "How many connections to MongoDB there were a moment ago.",
            ("state",),
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.read = Counter(
            "zepstore_request_bytes_total", "Bytes of bodies read.", registry=self.registry
        )
        self.sent = Counter(
            "zepstore_response_bytes_total", "Bytes of bodies sent.", registry=self.registry
        )

    def sample_pool(self) -> None:
        """Look how many connections there are."""
        self.pool_due = time.perf_counter() + _POOL_SECONDS
        use = self._connections()
        self.pool.labels("open").set(use.opened)
        self.pool.labels("in use").set(use.in_use)

    def text(self) -> bytes:
        """Return the metrics as Prometheus reads them."""
        self.sample_pool()
        registry = self.registry
        if directory := os.environ.get(METRICS_VARIABLE):
            _mark_dead(Path(directory))
            registry = CollectorRegistry()
            MultiProcessCollector(registry, directory)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _mark_dead(directory: Path) -> None:
    """Leave out gauges of dead processes; their counters stay."""
    for file in directory.glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            with suppress(FileNotFoundError):  # another process was faster
                mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
        except PermissionError:
            continue


class Observability:
    """Measures and logs every request, without its parameters, contents or key.

    Args:
        app: The next application.
        metrics: The metrics to update.
        headers: Added to every answer.
    """

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, headers: list[tuple[bytes, bytes]]
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, read, sent = time.perf_counter(), 500, 0, 0

        async def counting_receive() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            return message

        async def counting_send(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *self._headers]
            sent += len(message.get("body", b""))
            await send(message)

        self._metrics.under_way.inc()
        if begun > self._metrics.pool_due:
            self._metrics.sample_pool()
        try:
            await self._app(scope, counting_receive, counting_send)
        finally:
            self._metrics.under_way.dec()
            self._record(scope, status, time.perf_counter() - begun, read, sent)

    def _record(self, scope: Scope, status: int, seconds: float, read: int, sent: int) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.seconds.labels(method, route, status).observe(seconds)
        self._metrics.read.inc(read)
        self._metrics.sent.inc(sent)
        if not ACCESS_LOG.isEnabledFor(logging.INFO):
            return
        access: Any = scope.get("zepstore.access")
        entry = {
            "time": datetime.now(UTC),
            "method": method,
            "path": scope["path"],
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "bytes_in": read,
            "bytes_out": sent,
            "client": (scope.get("client") or [None])[0],
            "key": access.name if access else None,
        }
        ACCESS_LOG.info("%s", to_json(entry).decode())
