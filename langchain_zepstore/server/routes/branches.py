"""The branches of a session."""

from fastapi import APIRouter, Request, Response

from langchain_zepstore.messages.langchain import types_of
from langchain_zepstore.messages.parts import from_langchain
from langchain_zepstore.messages.wire import parts_fields
from langchain_zepstore.models import Branch, Session
from langchain_zepstore.server.auth import Client
from langchain_zepstore.server.openapi import OK, MessageAnswer, accepts, failures
from langchain_zepstore.server.responses import Answers, ok_response
from langchain_zepstore.server.schemas import (
    ForkBody,
    Id,
    ResumeBody,
    RewindBody,
    SwitchBody,
    read_body,
)


def add_own_routes(router: APIRouter) -> None:
    """Add the routes that Zep does not have."""

    @router.post(
        "/sessions/{session_id}/rewind",
        openapi_extra=accepts(RewindBody),
        responses={**OK, **failures(400, 404)},
    )
    async def rewind(request: Request, client: Client, session_id: Id) -> Response:
        """End the active branch before a message; the following messages stay as another branch."""
        body = await read_body(request, RewindBody)
        await client.memory.arewind(session_id, body.before)
        return ok_response()

    @router.post(
        "/sessions/{session_id}/switch-branch",
        openapi_extra=accepts(SwitchBody),
        responses={**OK, **failures(400, 404)},
    )
    async def switch_branch(request: Request, client: Client, session_id: Id) -> Response:
        """Activate the branch that holds a message; of several the last active one."""
        body = await read_body(request, SwitchBody)
        await client.memory.aswitch_branch(session_id, body.message_id)
        return ok_response()

    @router.post(
        "/sessions/{session_id}/resume",
        openapi_extra=accepts(ResumeBody),
        responses=failures(400),
    )
    async def resume(request: Request, client: Client, session_id: Id) -> Response:
        """Return the messages from which an agent's run goes on, and which one its input edits."""
        body = await read_body(request, ResumeBody)
        found = await client.arun(
            lambda store: store.branches.resume(
                session_id,
                body.lastn,
                body.given,
                start_on=types_of(body.start_on),
                user_id=body.user_id,
            )
        )
        return Answers.to(request).json(
            {
                "messages": [parts_fields(from_langchain(message)) for message in found.messages],
                "repeated": found.repeated,
                "edited": found.edited,
                "previous": found.previous,
            }
        )

    @router.get(
        "/sessions/{session_id}/branches", response_model=list[Branch], responses=failures(400)
    )
    async def branches(request: Request, client: Client, session_id: Id) -> Response:
        """List a session's branches, in the order of their making."""
        found = await client.memory.abranches(session_id)
        return Answers.to(request).json([dict(branch) for branch in found])

    @router.post(
        "/sessions/{session_id}/fork",
        status_code=201,
        response_model=Session,
        openapi_extra=accepts(ForkBody),
        responses=failures(400, 404),
    )
    async def fork_session(request: Request, client: Client, session_id: Id) -> Response:
        """Create a session of the same user with a copy of the active branch, up to `at`."""
        body = await read_body(request, ForkBody)
        forked = await client.memory.afork_session(
            session_id, at=body.at, new_session_id=body.new_session_id
        )
        return Answers.to(request).session(forked, 201, is_own=True)

    @router.get(
        "/sessions/{session_id}/messages/{message_id}/alternatives",
        response_model=list[MessageAnswer],
        responses=failures(400, 404),
    )
    async def alternatives(
        request: Request, client: Client, session_id: Id, message_id: Id
    ) -> Response:
        """Return the alternatives of a message in all branches, the oldest first."""
        found = await client.message.aalternatives(session_id, message_id)
        answers = Answers.to(request)
        return answers.json([answers.message_fields(message) for message in found])
