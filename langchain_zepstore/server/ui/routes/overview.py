"""The page of recent activity."""

from fastapi import APIRouter, Response

from langchain_zepstore.server.ui.charts import Row, day_chart, rows_of, size_label
from langchain_zepstore.server.ui.visits import Visiting

_MAX_ROWS = 12


def add_routes(router: APIRouter) -> None:
    """Add the routes."""

    @router.get("/overview")
    async def overview(visit: Visiting) -> Response:
        activity = await visit.numbers.activity(visit.client)
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
            stats=await visit.numbers.stats() if visit.access.user_id is None else None,
            days=day_chart(activity.messages_per_day),
            users=users,
            more_users=max(len(activity.sessions_per_user) - _MAX_ROWS, 0),
            roles=rows_of(activity.messages_per_role, _MAX_ROWS),
            sizes=[
                Row(size_label(size), number) for size, number in activity.messages_per_size.items()
            ],
        )
