"""The messages of a session one by one."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from langchain_zepstore.client import ZepClient
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.models import Message
from langchain_zepstore.server.access import access_of
from langchain_zepstore.server.answers import Answers, done
from langchain_zepstore.server.documenting import (
    LINES,
    OK,
    MessageAnswer,
    MessagesAnswer,
    accepts,
    failures,
)
from langchain_zepstore.server.reading import Cursor, Id, Limit, MessagePatch, Text, read_body
from langchain_zepstore.wire import NEXT_CURSOR_HEADER, to_json

_PAGE = 100
_CHUNK = 500
_NDJSON = "application/x-ndjson"


def add_routes(router: APIRouter, client: ZepClient, version: int) -> None:
    """Add Zep's routes."""

    @router.get(
        "/sessions/{session_id}/messages", response_model=MessagesAnswer, responses=failures(400)
    )
    async def get_messages(
        request: Request, session_id: Id, limit: Limit = None, cursor: Cursor = None
    ) -> Response:
        """Return a page of a session's messages, oldest first; `cursor` is its number, from 1."""
        answers = Answers.to(request, version)
        messages, total = [], 0
        if await access_of(request).may_see(client, session_id):
            messages = await client.message.aget_session_messages(
                session_id, limit or _PAGE, cursor or 1
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
    async def get_message(request: Request, session_id: Id, message_id: Id) -> Response:
        """Return a message."""
        await access_of(request).session(client, session_id)
        message = await client.message.aget_session_message(session_id, message_id)
        return Answers.to(request, version).message(message)

    @router.patch(
        "/sessions/{session_id}/messages/{message_id}",
        response_model=MessageAnswer,
        openapi_extra=accepts(MessagePatch),
        responses=failures(400, 404),
    )
    async def update_message(request: Request, session_id: Id, message_id: Id) -> Response:
        """Merge metadata into a message's."""
        body = await read_body(request, MessagePatch)
        await access_of(request).session(client, session_id)
        message = await client.message.aupdate_message_metadata(
            session_id, message_id, body.metadata or {}
        )
        return Answers.to(request, version).message(message)


def add_own_routes(router: APIRouter, client: ZepClient) -> None:
    """Add what Zep has not."""

    @router.delete(
        "/sessions/{session_id}/messages/{message_id}", responses={**OK, **failures(400, 404)}
    )
    async def delete_message(request: Request, session_id: Id, message_id: Id) -> Response:
        """Soft-delete a message."""
        await access_of(request).session(client, session_id)
        await client.message.adelete_message(session_id, message_id)
        return done()

    @router.post(
        "/sessions/{session_id}/messages/{message_id}/undelete",
        response_model=MessageAnswer,
        responses=failures(400, 404),
    )
    async def undelete_message(request: Request, session_id: Id, message_id: Id) -> Response:
        """Bring a soft-deleted message of a live session back."""
        await access_of(request).session(client, session_id)
        message = await client.message.aundelete_message(session_id, message_id)
        return Answers.to(request).message(message)

    @router.get("/sessions/{session_id}/messages.ndjson", responses={**LINES, **failures(400)})
    async def stream_messages(
        request: Request, session_id: Id, limit: Limit = None, after: Text = None
    ) -> Response:
        """Return a session's messages, oldest first, one JSON object per line.

        Without `limit` all of them, as a stream. With it so many, and the header `X-Next-Cursor`
        has what to pass as `after` for those behind them; at the end it is missing.
        """
        answers = Answers.to(request)
        place = _place(after)
        headers: dict[str, str] = {}
        if not await access_of(request).may_see(client, session_id):
            return _lines(answers, b"", headers)
        if limit is None:
            return StreamingResponse(
                _stream(client, answers, session_id, place),
                media_type=_kind(answers),
            )
        page = await client.arun(lambda store: store.messages.page(session_id, place, limit))
        if page.cursor is not None:
            headers[NEXT_CURSOR_HEADER] = str(page.cursor)
        return _lines(answers, _encoded(answers, page.items), headers)


def _kind(answers: Answers) -> str:
    return answers.media_type if answers.is_exact else _NDJSON


def _lines(answers: Answers, content: bytes, headers: dict[str, str]) -> Response:
    return Response(content, headers=headers, media_type=_kind(answers))


def _encoded(answers: Answers, messages: list[Message]) -> bytes:
    return b"".join(to_json(answers.message_fields(message)) + b"\n" for message in messages)


async def _stream(
    client: ZepClient, answers: Answers, session_id: str, place: int | None
) -> AsyncIterator[bytes]:
    while True:
        after = place
        page = await client.arun(lambda store: store.messages.page(session_id, after, _CHUNK))  # noqa: B023 - run at once
        if page.items:
            yield _encoded(answers, page.items)
        if page.cursor is None:
            return
        place = page.cursor


def _place(after: str | None) -> int | None:
    if after is None:
        return None
    if not after.isascii() or not after.isdecimal() or len(after) > 18:  # noqa: PLR2004 - 63 bits
        raise BadRequestError("after is none of the cursors that X-Next-Cursor gave")
    return int(after)
