"""Sessions."""

from typing import Any

from fastapi import APIRouter, Request, Response

from langchain_zepstore.core.arguments import RecentQuery
from langchain_zepstore.core.operation import Page
from langchain_zepstore.errors import NotFoundError
from langchain_zepstore.models import Session, SessionPage
from langchain_zepstore.server.auth import Client
from langchain_zepstore.server.openapi import accepts, failures
from langchain_zepstore.server.responses import Answers
from langchain_zepstore.server.routes.messages import ContentLimit
from langchain_zepstore.server.schemas import (
    Cursor,
    Date,
    Id,
    Limit,
    ListingBody,
    OrganizeBody,
    SessionBody,
    SessionPatch,
    Tags,
    Text,
    read_arguments,
    read_body,
    read_filter,
)
from langchain_zepstore.server.streaming import PAGE, json_array
from langchain_zepstore.store_client import StoreClient


def add_routes(router: APIRouter) -> None:
    """Add Zep's routes, with the parameters that we add to them."""

    @router.post(
        "/sessions",
        status_code=201,
        response_model=Session,
        openapi_extra=accepts(SessionBody),
        responses=failures(400),
    )
    async def add_session(request: Request, client: Client) -> Response:
        """Create a session; a soft-deleted one lives again, without its messages."""
        body = await read_body(request, SessionBody)
        session = body.session(body.session_id, body.user_id)
        created = await client.memory.aadd_session(session)
        return Answers.to(request).session(created, 201)

    @router.get("/sessions", response_model=list[Session], responses=failures(400))
    async def list_sessions(
        request: Request,
        client: Client,
        limit: Limit = None,
        cursor: Cursor = None,
        user_id: Text = None,
        metadata: Text = None,
        include_deleted: bool = False,
    ) -> Response:
        """List sessions by their `id`; `metadata` is a JSON object that theirs must hold."""
        return await listed(
            client,
            Answers.to(request),
            limit,
            cursor,
            user_id=user_id,
            metadata=read_filter(metadata),
            include_deleted=include_deleted,
        )

    @router.get("/sessions/{session_id}", response_model=Session, responses=failures(400, 404))
    async def get_session(
        request: Request,
        client: Client,
        session_id: Id,
        include_deleted: bool = False,
    ) -> Response:
        """Return a session."""
        if include_deleted:
            found = await client.arun(lambda store: store.sessions.find(session_id))
            if found is None:
                raise NotFoundError(f"there is no session {session_id!r}")
        else:
            found = await client.memory.aget_session(session_id)
        return Answers.to(request).session(found)

    @router.patch(
        "/sessions/{session_id}",
        response_model=Session,
        openapi_extra=accepts(SessionPatch),
        responses=failures(400, 404),
    )
    async def update_session(request: Request, client: Client, session_id: Id) -> Response:
        """Merge metadata into a session's; a soft-deleted one lives again, without its messages."""
        body = await read_body(request, SessionPatch)
        session = body.session(session_id, body.user_id)
        updated = await client.memory.aupdate_session(session, unset=body.unset)
        return Answers.to(request).session(updated)


def add_own_routes(router: APIRouter) -> None:
    """Add the routes that Zep does not have."""

    @router.post(
        "/list-sessions",
        response_model=list[Session],
        openapi_extra=accepts(ListingBody),
        responses=failures(400),
    )
    async def list_sessions_by(request: Request, client: Client) -> Response:
        """List sessions as `GET /sessions` does, by a filter that is too long for a URL."""
        body = await read_arguments(request, ListingBody)
        return await listed(
            client,
            Answers.to(request),
            body.limit,
            body.cursor,
            user_id=body.user_id,
            metadata=body.metadata,
            include_deleted=body.include_deleted,
        )

    @router.get("/recent-sessions", response_model=SessionPage, responses=failures(400))
    async def recent_sessions(
        request: Request,
        client: Client,
        limit: Limit = None,
        cursor: str | None = None,
        user_id: Text = None,
        archived: bool | None = None,
        pinned: bool | None = None,
        tags: Tags = None,
        since: Date = None,
        until: Date = None,
        deleted: bool = False,
        preview: bool = False,
        content_limit: ContentLimit = None,
    ) -> Response:
        """List the most recently active sessions first; `next_cursor` leads to the next page.

        `tags` are all of these; `since` and `until` are the time of the last activity. With
        `deleted` it is the trash, the last deleted first; with `preview` each session has a
        `message_count`, up to 1,000, and its `last_message`.
        """
        query = RecentQuery(
            limit=limit or 20,
            cursor=cursor,
            user_id=user_id,
            archived=archived,
            pinned=pinned,
            tags=tags,
            since=since,
            until=until,
            deleted=deleted,
            preview=preview,
            content_limit=content_limit,
        )
        return await _recent(client, request, query)

    @router.post(
        "/recent-sessions",
        response_model=SessionPage,
        openapi_extra=accepts(RecentQuery),
        responses=failures(400),
    )
    async def recent_sessions_by(request: Request, client: Client) -> Response:
        """List recent sessions as `GET /recent-sessions` does, also by their metadata."""
        return await _recent(client, request, await read_arguments(request, RecentQuery))

    @router.post(
        "/sessions/{session_id}/organize",
        response_model=Session,
        openapi_extra=accepts(OrganizeBody),
        responses=failures(400, 404),
    )
    async def organize_session(request: Request, client: Client, session_id: Id) -> Response:
        """Change a session's title, pin, archive mark and tags, and merge metadata."""
        body = await read_body(request, OrganizeBody)
        changes = body.changes()
        session = await client.arun(lambda store: store.sessions.organize(session_id, changes))
        return Answers.to(request).session(session, is_own=True)

    @router.post(
        "/sessions/{session_id}/undelete", response_model=Session, responses=failures(400, 404)
    )
    async def undelete_session(request: Request, client: Client, session_id: Id) -> Response:
        """Bring back a session and the messages that its last deletion took."""
        session = await client.memory.aundelete_session(session_id)
        return Answers.to(request).session(session, is_own=True)


async def _recent(client: StoreClient, request: Request, query: RecentQuery) -> Response:
    page = await client.arun(lambda store: store.sessions.recent(query))
    return Answers.to(request).session_page(page)


async def listed(
    client: StoreClient, answers: Answers, limit: int | None, cursor: int | None, **which: Any
) -> Response:
    """Return a page of sessions, or page by page all of them."""
    if limit is not None:
        sessions = await client.memory.alist_sessions(limit, cursor, **which)
        return answers.json([answers.session_fields(session) for session in sessions])

    async def fetch(after: Any) -> Page[Session]:
        sessions = await client.memory.alist_sessions(PAGE, after, **which)
        return Page(sessions, sessions[-1].id if len(sessions) == PAGE else None)

    return await json_array(fetch, cursor, answers.session_fields, answers.media_type)
