"""Summaries of sessions: the input of the next one, and storing it. Zep has no such routes."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from langchain_zepstore.core.validation import checked_id
from langchain_zepstore.server.auth import Client
from langchain_zepstore.server.openapi import SummaryAnswer, SummaryInputAnswer, accepts, failures
from langchain_zepstore.server.responses import Answers
from langchain_zepstore.server.schemas import SummaryBody, read_body


def add_own_routes(router: APIRouter) -> None:
    """Add them."""

    @router.get("/unsummarized", response_model=SummaryInputAnswer, responses=failures(400, 404))
    async def summary_input(
        request: Request,
        client: Client,
        session_id: str,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 200,
    ) -> Response:
        """Return a session's summary and the messages after it, oldest first."""
        session_id = checked_id(session_id, "session_id")
        pending = await client.arun(lambda store: store.summaries.pending(session_id, limit))
        answers = Answers.to(request)
        return answers.json(
            {
                "summary": pending.summary,
                "messages": [answers.message_fields(message) for message in pending.messages],
                "state": pending.state,
            }
        )

    @router.post(
        "/summary",
        response_model=SummaryAnswer,
        openapi_extra=accepts(SummaryBody),
        responses=failures(400, 404),
    )
    async def put_summary(request: Request, client: Client) -> Response:
        """Keep a summary in the place of the one before, if that is still there."""
        body = await read_body(request, SummaryBody)
        session_id = checked_id(body.session_id, "session_id")
        summary = await client.arun(
            lambda store: store.summaries.put(session_id, body.summary, body.replacing, body.state)
        )
        return Answers.to(request).json({"summary": summary})
