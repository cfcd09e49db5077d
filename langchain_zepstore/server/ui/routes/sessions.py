"""The list of sessions."""

from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator

from langchain_zepstore.core.validation import rfc_3339
from langchain_zepstore.errors import BadRequestError, NotFoundError
from langchain_zepstore.messages.wire import from_json
from langchain_zepstore.models import Session
from langchain_zepstore.server.schemas import Text
from langchain_zepstore.server.ui.visits import Visit, Visiting

_PAGE_SIZE = 30
PREVIEW_BYTES = 1000
"""Last messages of more bytes are cut in lists."""


def _day(value: Any) -> Any:
    # A date alone is what browsers' date fields send.
    is_day = isinstance(value, str) and len(value) == len("2026-01-01")
    return rfc_3339(f"{value}T00:00:00Z" if is_day else value or None)


Day = Annotated[datetime | None, Query(), BeforeValidator(_day)]


def add_routes(router: APIRouter) -> None:
    """Add the routes."""

    @router.get("")
    async def sessions(
        visit: Visiting,
        cursor: Text = None,
        user_id: Text = None,
        tag: Text = None,
        show: Text = None,
        metadata: Text = None,
        q: Text = None,
        since: Day = None,
        until: Day = None,
    ) -> Response:
        found, next_cursor = await _found(
            visit,
            q,
            cursor,
            user_id=user_id,
            tags=[tag] if tag else None,
            metadata=_filter(metadata),
            since=since,
            until=until,
            **_shown(show),
        )
        filters = {
            name: value
            for name, value in visit.request.query_params.items()
            if value and name != "cursor"
        }
        return visit.render(
            "session_rows.html" if visit.is_partial and cursor else "sessions.html",
            sessions=found,
            filters=filters,
            next_cursor=next_cursor,
            is_first=cursor is None,
        )


def _shown(show: str | None) -> dict[str, bool | None]:
    if show == "pinned":
        return {"pinned": True, "archived": None}
    if show == "archived":
        return {"pinned": None, "archived": True}
    return {"pinned": None, "archived": None if show == "all" else False}


def _filter(text: str | None) -> dict[str, Any] | None:
    """Return a filter of metadata, written as JSON or as ``key=value``."""
    if text is None:
        return None
    if not text.lstrip().startswith("{"):
        key, _, value = text.partition("=")
        return {key.strip(): value.strip()}
    try:
        value = from_json(text.encode())
    except ValueError:
        raise BadRequestError("metadata must be a JSON object, or key=value") from None
    if not isinstance(value, dict):
        raise BadRequestError("metadata must be a JSON object, or key=value")
    return value


async def _found(
    visit: Visit, text: str | None, cursor: str | None, **which: Any
) -> tuple[list[Session], str | None]:
    memory = visit.client.memory
    if text is None:
        page = await memory.arecent_sessions(
            _PAGE_SIZE, cursor, preview=True, content_limit=PREVIEW_BYTES, **which
        )
        return page.sessions, page.next_cursor
    results = await memory.asearch(
        text,
        search_scope="sessions",
        user_id=which["user_id"],
        metadata=which["metadata"],
        start_date=which["since"],
        end_date=which["until"],
        limit=_PAGE_SIZE,
    )
    sessions = []
    for result in results:
        with suppress(NotFoundError):  # deleted since it was found
            sessions.append(await memory.aget_session(str(result.session_id)))
    wanted = {name: which[name] for name in ("pinned", "archived") if which[name] is not None}
    return [
        session
        for session in sessions
        if all(getattr(session, name) == value for name, value in wanted.items())
        and set(which["tags"] or ()) <= set(session.tags)
    ], None
