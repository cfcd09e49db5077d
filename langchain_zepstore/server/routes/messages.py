"""The messages of a session one by one."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from langchain_zepstore.core.operation import Page
from langchain_zepstore.core.validation import MAX_WINDOW, checked_text
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.wire import NEXT_CURSOR_HEADER
from langchain_zepstore.models import Message
from langchain_zepstore.server.auth import Client
from langchain_zepstore.server.openapi import (
    LINES,
    OK,
    ExcerptAnswer,
    MessageAnswer,
    MessagesAnswer,
    accepts,
    failures,
)
from langchain_zepstore.server.responses import Answers, ok_response
from langchain_zepstore.server.schemas import (
    Cursor,
    Id,
    Limit,
    MessageId,
    MessagePatch,
    Text,
    Window,
    read_body,
)
from langchain_zepstore.server.streaming import PAGE, Fetch, encoded_lines, json_lines
from langchain_zepstore.store_client import StoreClient

WindowLimit = Annotated[int, Query(description="How many at most.", ge=1, le=MAX_WINDOW)]
ContentLimit = Annotated[
    int | None, Query(description="The bytes beyond which a message is cut.", ge=1, lt=2**31)
]

_PAGE = 100
_MAX_PAGE = 10_000  # messages in a page of lines; more would be held in memory
_NDJSON = "application/x-ndjson"


def add_routes(router: APIRouter, version: int) -> None:
    """Add Zep's routes."""

    @router.get(
        "/sessions/{session_id}/messages", response_model=MessagesAnswer, responses=failures(400)
    )
    async def get_messages(
        request: Request,
        client: Client,
        session_id: Id,
        limit: Limit = None,
        cursor: Cursor = None,
        user_id: Text = None,
    ) -> Response:
        """Return a page of a session's messages, oldest first; `cursor` is its number, from 1.

        With `user_id` another user's session is refused.
        """
        answers = Answers.to(request, version)
        messages = await client.arun(
            lambda store: store.messages.numbered_page(
                session_id, limit or _PAGE, cursor or 1, user_id=user_id
            )
        )
        total = await client.message.acount(session_id)
        return answers.json(
            {
                "messages": [answers.message_fields(message) for message in messages],
                "total_count": total,
                "row_count": len(messages),
            }
        )

    @router.get(
        "/sessions/{session_id}/messages/{message_id}",
        response_model=MessageAnswer,
        responses=failures(400, 404),
    )
    async def get_message(
        request: Request, client: Client, session_id: Id, message_id: Id
    ) -> Response:
        """Return a message."""
        message = await client.message.aget_session_message(session_id, message_id)
        return Answers.to(request, version).message(message)

    @router.patch(
        "/sessions/{session_id}/messages/{message_id}",
        response_model=MessageAnswer,
        openapi_extra=accepts(MessagePatch),
        responses=failures(400, 404),
    )
    async def update_message(
        request: Request, client: Client, session_id: Id, message_id: Id
    ) -> Response:
        """Merge metadata into a message's, and replace its content if there is one."""
        body = await read_body(request, MessagePatch)
        content = None if body.content is None else checked_text(body.content, "content")
        message = await client.arun(
            lambda store: store.messages.update(
                session_id, message_id, metadata=body.metadata, content=content
            )
        )
        return Answers.to(request, version).message(message)


def add_own_routes(router: APIRouter) -> None:
    """Add the routes that Zep does not have."""

    @router.delete(
        "/sessions/{session_id}/messages/{message_id}", responses={**OK, **failures(400, 404)}
    )
    async def delete_message(client: Client, session_id: Id, message_id: Id) -> Response:
        """Soft-delete a message."""
        await client.message.adelete_message(session_id, message_id)
        return ok_response()

    @router.post(
        "/sessions/{session_id}/messages/{message_id}/undelete",
        response_model=MessageAnswer,
        responses=failures(400, 404),
    )
    async def undelete_message(
        request: Request, client: Client, session_id: Id, message_id: Id
    ) -> Response:
        """Bring a soft-deleted message of a live session back."""
        message = await client.message.aundelete_message(session_id, message_id)
        return Answers.to(request).message(message)

    @router.get(
        "/sessions/{session_id}/messages/{message_id}/around",
        response_model=list[MessageAnswer],
        responses=failures(400, 404),
    )
    async def messages_around(
        request: Request, client: Client, session_id: Id, message_id: Id, window: Window = 2
    ) -> Response:
        """Return a message with so many before and after it, oldest first."""
        around = await client.arun(
            lambda store: store.messages.around(session_id, message_id, window)
        )
        answers = Answers.to(request)
        return answers.json([answers.message_fields(message) for message in around])

    @router.get(
        "/sessions/{session_id}/window",
        response_model=list[ExcerptAnswer],
        responses=failures(400, 404),
    )
    async def window(
        request: Request,
        client: Client,
        session_id: Id,
        limit: WindowLimit = 50,
        before: MessageId = None,
        after: MessageId = None,
        around: MessageId = None,
        include_deleted: bool = False,
        content_limit: ContentLimit = None,
    ) -> Response:
        """Return the last messages, or those before, after or around one, oldest first.

        Of messages of more than `content_limit` bytes only the beginning.
        """
        excerpts = await client.message.awindow(
            session_id,
            limit,
            before=before,
            after=after,
            around=around,
            include_deleted=include_deleted,
            content_limit=content_limit,
        )
        answers = Answers.to(request)
        return answers.json([answers.message_fields(excerpt) for excerpt in excerpts])

    @router.get("/sessions/{session_id}/messages.ndjson", responses={**LINES, **failures(400)})
    async def stream_messages(
        request: Request,
        client: Client,
        session_id: Id,
        limit: Limit = None,
        after: Text = None,
        after_id: MessageId = None,
        include_deleted: bool = False,
        all_branches: bool = False,
    ) -> Response:
        """Return a session's messages, oldest first, one JSON object per line.

        Without `limit` all of them, as a stream. With it so many, up to 10,000, and the header
        `X-Next-Cursor` is the `after` of the next page; at the end it is missing. `after_id` is the
        id of a message to begin after. With `all_branches` they come in the order of adding, each
        with its `parent_uuid`.
        """
        answers = Answers.to(request)
        media_type = answers.media_type if answers.is_exact else _NDJSON
        cursor = _checked_cursor(after)
        options: dict[str, Any] = {
            "after_id": after_id,
            "include_deleted": include_deleted,
            "all_branches": all_branches,
        }
        if limit is None:
            fetch = pages_of(client, session_id, **options)
            return await json_lines(fetch, cursor, answers.message_fields, media_type)
        size = min(limit, _MAX_PAGE)
        page = await client.arun(
            lambda store: store.messages.page(session_id, cursor, size, **options)
        )
        headers = {} if page.cursor is None else {NEXT_CURSOR_HEADER: str(page.cursor)}
        content = encoded_lines(page, answers.message_fields)
        return Response(content, headers=headers, media_type=media_type)


def pages_of(client: StoreClient, session_id: str, **options: Any) -> Fetch[Message]:
    """Return a function that reads a session's messages page by page."""

    async def fetch(after: Any) -> Page[Message]:
        page = await client.arun(
            lambda store: store.messages.page(session_id, after, PAGE, **options)
        )
        # Messages that are added while it is read need not come.
        return page if len(page.items) == PAGE else Page(page.items, None)

    return fetch


def _checked_cursor(after: str | None) -> int | None:
    if after is None:
        return None
    if not after.isascii() or not after.isdecimal() or len(after) > 18:  # noqa: PLR2004 - 63 bits
        raise BadRequestError("after is none of the cursors that X-Next-Cursor gave")
    return int(after)
