"""Search."""

from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from langchain_zepstore.core.search_query import SearchQuery
from langchain_zepstore.core.validation import checked_id
from langchain_zepstore.models import MemorySearchPayload
from langchain_zepstore.server.auth import Client
from langchain_zepstore.server.openapi import (
    EmbedAnswer,
    IndexAnswer,
    OwnSearchAnswer,
    SearchAnswer,
    accepts,
    failures,
)
from langchain_zepstore.server.responses import Answers
from langchain_zepstore.server.schemas import (
    EmbedBody,
    Id,
    IndexBody,
    Limit,
    read_arguments,
    read_body,
)


def add_routes(router: APIRouter, version: int) -> None:
    """Add Zep's route."""

    @router.post(
        "/sessions/{session_id}/search",
        response_model=list[SearchAnswer],
        openapi_extra=accepts(MemorySearchPayload),
        responses=failures(400),
    )
    async def search_memory(
        request: Request, client: Client, session_id: Id, limit: Limit = None
    ) -> Response:
        """Search a session."""
        payload = await read_body(request, MemorySearchPayload)
        found = await client.memory.asearch_memory(session_id, payload, limit)
        return Answers.to(request, version).results(found)


def add_own_routes(router: APIRouter) -> None:
    """Add the routes that Zep does not have."""

    @router.post(
        "/search",
        response_model=list[OwnSearchAnswer],
        openapi_extra=accepts(SearchQuery),
        responses=failures(400),
    )
    async def search(request: Request, client: Client) -> Response:
        """Search a session, or all sessions of a user."""
        query = await read_arguments(request, SearchQuery, user_id=client.user_id)
        found = await client.arun(lambda store: store.search.find(query))
        return Answers.to(request).results(found, is_own=True)

    @router.post(
        "/embed",
        response_model=EmbedAnswer,
        openapi_extra=accepts(EmbedBody),
        responses=failures(400),
    )
    async def embed(request: Request, client: Client) -> Response:
        """Make the vectors that a page of messages lacks."""
        body = await read_arguments(request, EmbedBody)
        for name in ("session_id", "user_id"):
            if (value := getattr(body, name)) is not None:
                checked_id(value, name)
        page = await client.arun(
            lambda store: store.search.embed(body.session_id, body.user_id, body.after, body.limit)
        )
        return Answers.to(request).json(asdict(page))

    @router.post(
        "/index",
        response_model=IndexAnswer,
        openapi_extra=accepts(IndexBody),
        responses=failures(400),
    )
    async def index(request: Request, client: Client) -> Response:
        """Index messages that no search by words has met yet, for about a second."""
        body = await read_arguments(request, IndexBody)
        for name in ("session_id", "user_id"):
            if (value := getattr(body, name)) is not None:
                checked_id(value, name)
        indexed = await client.arun(lambda store: store.search.index(body.session_id, body.user_id))
        return Answers.to(request).json({"indexed": indexed})
