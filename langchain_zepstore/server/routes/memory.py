"""The memory of a session: its messages as a whole."""

from fastapi import APIRouter, Request, Response

from langchain_zepstore.core.arguments import SessionDefaults
from langchain_zepstore.core.validation import checked_id
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.langchain import types_of
from langchain_zepstore.messages.parts import all_from_zep
from langchain_zepstore.messages.storable import check_metadata
from langchain_zepstore.messages.wire import summary_fields, to_json
from langchain_zepstore.models import Memory
from langchain_zepstore.server.auth import Client
from langchain_zepstore.server.openapi import OK, MemoryAnswer, accepts, failures
from langchain_zepstore.server.responses import Answers, ok_response
from langchain_zepstore.server.routes.messages import pages_of
from langchain_zepstore.server.schemas import Count, Id, MemoryBody, MessageId, Text, read_body
from langchain_zepstore.server.streaming import json_array
from langchain_zepstore.store_client import StoreClient


def add_routes(router: APIRouter, version: int) -> None:
    """Add Zep's routes."""

    @router.post(
        "/sessions/{session_id}/memory",
        openapi_extra=accepts(MemoryBody),
        responses={**OK, **failures(400, 404)},
    )
    async def add_memory(request: Request, client: Client, session_id: Id) -> Response:
        """Add messages at the end of a session; a message with an id that is there replaces it."""
        body = await read_body(request, MemoryBody)
        defaults = SessionDefaults(body.user_id, body.session_metadata)
        messages = all_from_zep(body.messages or [], may_be_cut=body.may_be_cut)
        if body.metadata:
            check_metadata(body.metadata, "memory.metadata")
        if body.before is not None:
            checked_id(body.before, "before")
        new_ids = await client.arun(
            lambda store: store.messages.add(
                session_id,
                messages,
                defaults,
                metadata=body.metadata,
                keep_deleted=body.keep_deleted,
                known_ids=body.ids,
                before=body.before,
            )
        )
        return Answers.to(request).json({"new_ids": new_ids}) if new_ids else ok_response()

    @router.get(
        "/sessions/{session_id}/memory", response_model=MemoryAnswer, responses=failures(400, 404)
    )
    async def get_memory(
        request: Request,
        client: Client,
        session_id: Id,
        lastn: Count = None,
        start_on: Text = None,
        user_id: Text = None,
        include_deleted: bool = False,
        branch: MessageId = None,
    ) -> Response:
        """Return a session's messages, oldest first: the last so many, or all of them.

        With `start_on`, types of LangChain's messages and commas between them, `lastn` reaches back
        to where the turn begins. With `user_id` another user's session is refused. With `branch`,
        the `uuid` of a message, it is the branch that holds it.
        """
        answers = Answers.to(request, version)
        if branch is not None or (include_deleted and lastn is not None):
            await _require_owner(client, session_id, user_id)
            memory = await client.memory.aget_memory(
                session_id, lastn, include_deleted=include_deleted, branch=branch
            )
            return answers.memory(memory)
        if lastn is not None:
            return answers.memory(await _window(client, session_id, lastn, start_on, user_id))
        await _require_owner(client, session_id, user_id)
        summary = await client.arun(lambda store: store.summaries.get(session_id))
        return await json_array(
            pages_of(client, session_id, include_deleted=include_deleted),
            None,
            answers.message_fields,
            answers.media_type,
            (b'{"messages":', b',"summary":' + to_json(summary_fields(summary)) + b"}"),
        )

    @router.delete("/sessions/{session_id}/memory", responses={**OK, **failures(400, 404)})
    async def delete_memory(client: Client, session_id: Id, user_id: Text = None) -> Response:
        """Soft-delete a session and its messages.

        With `user_id` another user's session is refused.
        """
        await client.arun(lambda store: store.deletion.delete_session(session_id, user_id))
        return ok_response()


async def _window(
    client: StoreClient, session_id: str, lastn: int, start_on: str | None, user_id: str | None
) -> Memory:
    types = types_of(start_on.split(",") if start_on else ())
    return await client.arun(
        lambda store: store.messages.memory(session_id, lastn, start_on=types, user_id=user_id)
    )


async def _require_owner(client: StoreClient, session_id: str, user_id: str | None) -> None:
    if user_id is None:
        return
    session = await client.arun(lambda store: store.sessions.find(session_id))
    if session is not None and session.user_id not in (None, user_id):
        raise BadRequestError(f"session {session_id!r} belongs to another user")
