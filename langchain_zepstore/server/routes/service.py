"""Health, metrics, purging, and routes of Zep's that this server does not implement."""

import asyncio
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse

from langchain_zepstore.core.arguments import Listing
from langchain_zepstore.errors import ZepStoreError
from langchain_zepstore.models import Activity, Finding, Stats
from langchain_zepstore.server.asgi.observability import Metrics
from langchain_zepstore.server.auth import Client, require_whole
from langchain_zepstore.server.openapi import EraseAnswer, PurgeAnswer, accepts, failures
from langchain_zepstore.server.responses import Answers, text_response
from langchain_zepstore.server.schemas import (
    EraseBody,
    Id,
    PurgeBody,
    Text,
    read_arguments,
    read_body,
)
from langchain_zepstore.server.store_metrics import StoreMetrics
from langchain_zepstore.store_client import StoreClient

_READY_SECONDS = 5.0
_MAX_ID = 2**62
_WELCOME = (
    "zepstore: Zep's sessions on MongoDB. The API is under /api/v1, its documentation at /docs."
)


async def check_store(client: StoreClient) -> None:
    """Ask the store something that costs it nothing.

    Raises:
        ZepStoreError: It cannot be reached.
    """
    await client.arun(lambda store: store.sessions.listed(Listing(), 1, _MAX_ID))


def add_routes(
    router: APIRouter, client: StoreClient, metrics: Metrics, store_metrics: StoreMetrics
) -> None:
    """Add the routes outside of Zep's interface."""

    @router.get("/", response_class=PlainTextResponse)
    async def welcome() -> Response:
        """Name this server and its documentation."""
        return text_response(200, _WELCOME)

    @router.get("/healthz", response_class=PlainTextResponse)
    async def health() -> Response:
        """Answer while the process runs, with the dot that Zep's clients expect."""
        return PlainTextResponse(".")

    @router.get("/readyz", response_class=PlainTextResponse, responses=failures(503))
    async def readiness() -> Response:
        """Answer 200 if the database answers, else 503."""
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await check_store(client)
        except (ZepStoreError, TimeoutError):
            return text_response(503, "the store cannot be reached")
        return PlainTextResponse("ready")

    @router.get("/metrics", response_class=PlainTextResponse)
    async def prometheus(request: Request) -> Response:
        """Return metrics for Prometheus."""
        require_whole(request)
        text = metrics.text() + await store_metrics.text()
        return Response(text, media_type=CONTENT_TYPE_LATEST)


def add_own_routes(router: APIRouter) -> None:
    """Add the routes that Zep lacks."""

    @router.post(
        "/purge",
        response_model=PurgeAnswer,
        openapi_extra=accepts(PurgeBody),
        responses=failures(400),
    )
    async def purge(request: Request, client: Client) -> Response:
        """Remove soft-deleted data now, before the database does."""
        body = await read_arguments(request, PurgeBody)
        seconds = body.older_than
        counts = await client.apurge(
            None if seconds is None else timedelta(seconds=seconds),
            user_id=body.user_id,
            session_id=body.session_id,
        )
        return Answers.to(request).json(counts)


def add_diagnosis_routes(router: APIRouter) -> None:
    """Add the administrators' routes."""

    @router.get("/stats", response_model=Stats)
    async def stats(request: Request, client: Client) -> Response:
        """Return statistics of the store."""
        require_whole(request)
        return Answers.to(request).json((await client.astats()).model_dump())

    @router.get("/activity", response_model=Activity, responses=failures(400))
    async def activity(request: Request, client: Client, user_id: Text = None) -> Response:
        """Return statistics of recent activity, at a bounded cost."""
        return Answers.to(request).json(
            (await client.aactivity(user_id=user_id)).model_dump(mode="json")
        )

    @router.get("/diagnosis", response_model=list[Finding])
    async def diagnosis(request: Request, client: Client) -> Response:
        """Check the database; return findings, each with its cure."""
        require_whole(request)
        return await _diagnosed(request, client, mend=False)

    @router.post("/diagnosis", response_model=list[Finding])
    async def mended_diagnosis(request: Request, client: Client) -> Response:
        """Make the harmless repairs, then check the database."""
        return await _diagnosed(request, client, mend=True)


async def _diagnosed(request: Request, client: StoreClient, *, mend: bool) -> Response:
    require_whole(request)
    findings = await client.adiagnose(mend=mend)
    return Answers.to(request).json([finding.model_dump() for finding in findings])


def add_erasing_routes(router: APIRouter) -> None:
    """Add the routes that remove data for good."""
    options: dict[str, Any] = {
        "response_model": EraseAnswer,
        "openapi_extra": accepts(EraseBody),
        "responses": failures(400, 404),
    }

    @router.post("/sessions/{session_id}/erase", **options)
    async def erase_session(request: Request, client: Client, session_id: Id) -> Response:
        """Remove a session at once and for good, in steps; `cursor` leads to the next step."""
        body = await read_arguments(request, EraseBody)
        page = await client.arun(
            lambda store: store.deletion.erase_session(
                session_id, body.cursor, user_id=body.user_id, dry_run=body.dry_run
            )
        )
        return Answers.to(request).json({**page.counts, "cursor": page.cursor})

    @router.post("/user/{user_id}/erase", **options)
    async def erase_user(request: Request, client: Client, user_id: Id) -> Response:
        """Remove a user at once and for good, with all that the user said, in steps."""
        body = await read_body(request, EraseBody)
        page = await client.arun(
            lambda store: store.deletion.erase_user(user_id, body.cursor, dry_run=body.dry_run)
        )
        return Answers.to(request).json({**page.counts, "cursor": page.cursor})


def add_missing_routes(router: APIRouter) -> None:
    """Add the routes of Zep's that answer 501 here."""

    @router.post("/sessions/{session_id}/classify", responses=failures(501), status_code=501)
    async def classify(session_id: Id) -> Response:  # noqa: ARG001 - of the path
        """Answer 501: classifying needs a language model."""
        return _missing("classifying sessions")

    @router.get(
        "/sessions/{session_id}/synthesize_question", responses=failures(501), status_code=501
    )
    async def synthesize_question(session_id: Id) -> Response:  # noqa: ARG001 - of the path
        """Answer 501: making up questions needs a language model."""
        return _missing("making up questions")

    @router.api_route(
        "/collection",
        methods=["GET", "POST", "PATCH", "DELETE"],
        include_in_schema=False,
    )
    @router.api_route(
        "/collection/{rest:path}",
        methods=["GET", "POST", "PATCH", "DELETE"],
        include_in_schema=False,
    )
    async def collections() -> Response:
        """Answer 501: document collections are not chat history."""
        return _missing("document collections")


def _missing(feature: str) -> Response:
    return text_response(501, f"this server has no {feature}")
