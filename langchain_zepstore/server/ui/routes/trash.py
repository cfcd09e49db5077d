"""The trash: deleted sessions, until the database removes them."""

from datetime import datetime, timedelta

from fastapi import APIRouter, Response

from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.models import Session
from langchain_zepstore.server.schemas import Text
from langchain_zepstore.server.ui.routes.sessions import PREVIEW_BYTES
from langchain_zepstore.server.ui.visits import Visit, Visiting

_PAGE_SIZE = 50
CONFIRMATION = "empty the trash"
"""The confirmation that is typed before the trash is emptied."""


def add_routes(router: APIRouter) -> None:
    """Add the routes."""

    @router.get("/trash")
    async def trash(visit: Visiting, cursor: Text = None, user_id: Text = None) -> Response:
        page = await visit.client.memory.arecent_sessions(
            _PAGE_SIZE, cursor, user_id=user_id, deleted=True, content_limit=PREVIEW_BYTES
        )
        retention = await _retention(visit)
        return visit.render(
            "trash.html",
            sessions=[(session, _end(session, retention)) for session in page.sessions],
            days=retention and retention / timedelta(days=1),
            user_id=user_id,
            next_cursor=page.next_cursor,
            is_first=cursor is None,
            confirmation=CONFIRMATION,
        )

    @router.post("/trash/empty")
    async def empty(visit: Visiting) -> Response:
        if visit.field("confirmation").strip().lower() != CONFIRMATION:
            raise BadRequestError(f"to empty the trash, type {CONFIRMATION!r}; nothing was removed")
        counts = await visit.client.apurge(user_id=visit.form.get("user_id", [None])[0])
        numbers = f"{counts['sessions']:,} sessions and {counts['messages']:,} messages"
        return visit.redirect("trash", text=f"Removed for good: {numbers}.")


async def _retention(visit: Visit) -> timedelta | None:
    activity = await visit.numbers.activity(visit.client)
    if activity is None or activity.retention_seconds is None:
        return None
    return timedelta(seconds=activity.retention_seconds)


def _end(session: Session, retention: timedelta | None) -> datetime | None:
    """Return when the messages of a deleted session are removed; the session goes a day later."""
    if session.deleted_at is None or retention is None:
        return None
    return session.deleted_at + retention
