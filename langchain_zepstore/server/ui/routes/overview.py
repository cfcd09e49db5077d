"""Numbers of what was said lately."""

import asyncio
import time

from fastapi import APIRouter, Response

from langchain_zepstore.models import Activity
from langchain_zepstore.server.ui.charts import Row, day_chart, rows_of, size_label
from langchain_zepstore.server.ui.visits import Visit, Visiting

_MAX_AGE = 60.0  # seconds
_MAX_SECONDS = 8.0
_MAX_KEPT = 100  # views
_MAX_ROWS = 12


def add_routes(router: APIRouter) -> None:
    """Add the routes."""
    kept: dict[str | None, tuple[float, Activity]] = {}

    @router.get("/overview")
    async def overview(visit: Visiting) -> Response:
        activity = await _activity(visit, kept)
        if activity is None:
            return visit.render("overview.html", activity=None)
        users = [
            Row(
                row.label or "nobody",
                row.number,
                visit.url("users", row.label) if row.label else "",
            )
            for row in rows_of(activity.sessions_per_user, _MAX_ROWS)
        ]
        return visit.render(
            "overview.html",
            activity=activity,
            stats=await visit.request.app.state.stats.latest()
            if visit.access.user_id is None
            else None,
            days=day_chart(activity.messages_per_day),
            users=users,
            more_users=max(len(activity.sessions_per_user) - _MAX_ROWS, 0),
            roles=rows_of(activity.messages_per_role, _MAX_ROWS),
            sizes=[
                Row(size_label(size), number) for size, number in activity.messages_per_size.items()
            ],
        )


async def _activity(
    visit: Visit, kept: dict[str | None, tuple[float, Activity]]
) -> Activity | None:
    """Return the numbers, which are a minute old at most; ``None`` if counting takes too long."""
    user_id = visit.access.user_id
    until, activity = kept.get(user_id, (0.0, None))
    if activity is not None and time.monotonic() < until:
        return activity
    try:
        async with asyncio.timeout(_MAX_SECONDS):
            activity = await visit.client.aactivity()
    except TimeoutError:
        return None
    if len(kept) >= _MAX_KEPT:
        kept.clear()
    kept[user_id] = time.monotonic() + _MAX_AGE, activity
    return activity
