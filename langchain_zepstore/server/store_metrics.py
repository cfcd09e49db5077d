"""Metrics of the store, at a bounded cost."""

import asyncio
import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from langchain_zepstore.errors import ZepStoreError
from langchain_zepstore.models import Stats
from langchain_zepstore.store_client import StoreClient

_MIN_AGE = 10.0  # seconds
_MAX_SHARE = 0.05  # of the time is spent on counting
_PATIENCE = 2.0  # seconds that a scrape waits for new counts


class StoreMetrics:
    """Counts documents, anew only when the last counts are old enough.

    Args:
        client: The store.
    """

    def __init__(self, client: StoreClient) -> None:
        self._client = client
        self._stats: Stats | None = None
        self._due = 0.0
        self._counting: asyncio.Task[None] | None = None

    async def text(self) -> bytes:
        """Return the metrics as Prometheus reads them."""
        registry = CollectorRegistry()
        registry.register(_Counts(await self.latest()))
        return generate_latest(registry)

    async def latest(self, patience: float = _PATIENCE) -> Stats | None:
        """Return the last counts, after so many seconds at most; ``None`` until there are any."""
        if self._counting is None or self._counting.done():
            if time.monotonic() < self._due:
                return self._stats
            self._counting = asyncio.create_task(self._count())
        await asyncio.wait([self._counting], timeout=patience)
        return self._stats

    async def _count(self) -> None:
        begun = time.monotonic()
        try:
            self._stats = await self._client.astats()
        except ZepStoreError:
            self._stats = None
        now = time.monotonic()
        self._due = now + max(_MIN_AGE, (now - begun) / _MAX_SHARE)


class _Counts(Collector):
    def __init__(self, stats: Stats | None) -> None:
        self._stats = stats

    def collect(self) -> Iterable[GaugeMetricFamily]:
        stats = self._stats
        yield GaugeMetricFamily(
            "zepstore_store_up", "Whether the store could be counted.", float(stats is not None)
        )
        if stats is None:
            return
        for noun in ("sessions", "messages", "users"):
            family = GaugeMetricFamily(
                f"zepstore_{noun}", f"How many {noun} are stored.", labels=["state"]
            )
            family.add_metric(["live"], getattr(stats, noun))
            family.add_metric(["deleted"], getattr(stats, f"deleted_{noun}"))
            yield family
        sizes = GaugeMetricFamily("zepstore_disk_bytes", "Bytes on disk.", labels=["part"])
        sizes.add_metric(["data"], stats.data_bytes)
        sizes.add_metric(["indexes"], stats.index_bytes)
        yield sizes
