"""Numbers of the store, counted once a minute at most."""

import asyncio
import time

from langchain_zepstore.models import Activity, Stats
from langchain_zepstore.server.store_metrics import StoreMetrics
from langchain_zepstore.store_client import StoreClient

_MAX_AGE = 60.0  # seconds
_MAX_SECONDS = 8.0
_MAX_KEPT = 100  # views
_PATIENCE = 0.25  # seconds; counting goes on, for the next visit


class Numbers:
    """Counts documents.

    Args:
        metrics: Counts the whole store.
    """

    def __init__(self, metrics: StoreMetrics) -> None:
        self._metrics = metrics
        self._kept: dict[str | None, tuple[float, Activity]] = {}

    async def stats(self) -> Stats | None:
        """Return the numbers of the whole store; ``None`` if they are still being counted."""
        return await self._metrics.latest(_PATIENCE)

    async def activity(self, client: StoreClient) -> Activity | None:
        """Return the activity of a view; ``None`` if counting takes too long."""
        until, activity = self._kept.get(client.user_id, (0.0, None))
        if activity is not None and time.monotonic() < until:
            return activity
        try:
            async with asyncio.timeout(_MAX_SECONDS):
                activity = await client.aactivity()
        except TimeoutError:
            return None
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        self._kept[client.user_id] = time.monotonic() + _MAX_AGE, activity
        return activity
