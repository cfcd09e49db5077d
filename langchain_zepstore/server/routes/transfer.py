"""Export and import."""

from fastapi import APIRouter, Request, Response

from langchain_zepstore.core.records import times_as_text
from langchain_zepstore.messages.marks import JSON
from langchain_zepstore.server.auth import Client
from langchain_zepstore.server.openapi import ExportAnswer, ImportAnswer, accepts, failures
from langchain_zepstore.server.responses import Answers
from langchain_zepstore.server.schemas import ExportBody, ImportBody, read_arguments, read_body


def add_own_routes(router: APIRouter) -> None:
    """Add the routes that Zep does not have."""

    @router.post(
        "/export",
        response_model=ExportAnswer,
        openapi_extra=accepts(ExportBody),
        responses=failures(400),
    )
    async def export_records(request: Request, client: Client) -> Response:
        """Return a page of users, sessions and messages; `cursor` leads to the next one."""
        body = await read_arguments(request, ExportBody)
        page = await client.arun(
            lambda store: store.transfer.page(body.user_id, body.session_id, body.cursor)
        )
        records = JSON.mark([times_as_text(record) for record in page.items])
        return Answers.to(request).json({"records": records, "cursor": page.cursor})

    @router.post(
        "/import",
        response_model=ImportAnswer,
        openapi_extra=accepts(ImportBody),
        responses=failures(400),
    )
    async def import_records(request: Request, client: Client) -> Response:
        """Store exported records; `reasons` says of each why it was refused, or null."""
        body = await read_body(request, ImportBody)
        reasons = await client.arun(lambda store: store.transfer.load(body.records))
        return Answers.to(request).json({"reasons": reasons})
