"""The OpenAPI schema of bodies and answers that routes read and write themselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter

from langchain_zepstore.messages.wire import PLAIN
from langchain_zepstore.models import Excerpt, Message, Summary, UTCDatetime

_REF = "#/components/schemas/{model}"
_FAILURES = {
    400: "The request is invalid; the text says why.",
    401: "The key is missing or unknown.",
    403: "The key does not allow this.",
    404: "Not found, or deleted.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    501: "Not implemented by this server.",
    503: "The store cannot be reached; try again.",
}
_ALWAYS = (401, 403, 408, 413, 503)
_TEXT = {"text/plain": {"schema": {"type": "string"}}}

Responses = dict[int | str, dict[str, Any]]

OK: Responses = {200: {"description": "Done.", "content": _TEXT}}
LINES: Responses = {
    200: {
        "description": "One message per line.",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
}


class MessageAnswer(Message):
    """A message as Zep's clients read it."""

    updated_at: UTCDatetime


class ExcerptAnswer(Excerpt, MessageAnswer):
    """A message of a window, or its beginning."""


class MemoryAnswer(BaseModel):
    """A session's messages, oldest first; the summary is all zero if there is none."""

    messages: list[MessageAnswer]
    summary: Summary


class MessagesAnswer(BaseModel):
    """A page of a session's messages."""

    messages: list[MessageAnswer]
    total_count: int
    row_count: int


class SearchAnswer(BaseModel):
    """A search result."""

    message: MessageAnswer | None = None
    summary: Summary | None = None
    metadata: dict[str, Any] | None = None
    dist: float | None = None
    score: float | None = None
    embedding: list[float] | None = None


class OwnSearchAnswer(SearchAnswer):
    """A search result on a route of our own."""

    session_id: str | None = None
    session_title: str | None = None
    snippet: str | None = None
    highlights: list[tuple[int, int]] = []


class SummaryInputAnswer(BaseModel):
    """A session's summary and the messages after it."""

    summary: Summary | None
    messages: list[MessageAnswer]
    state: str


class SummaryAnswer(BaseModel):
    """The stored summary; null if it was replaced meanwhile or its messages are deleted."""

    summary: Summary | None


class EmbedAnswer(BaseModel):
    """Progress of making vectors."""

    total: int
    seen: int
    made: int
    cursor: str | None


class IndexAnswer(BaseModel):
    """The number of messages that a step of indexing has indexed; 0 if none was left."""

    indexed: int


class PurgeAnswer(BaseModel):
    """The counts of removed documents."""

    messages: int
    sessions: int
    users: int


class ExportAnswer(BaseModel):
    """A page of an export."""

    records: list[dict[str, Any]]
    cursor: str | None


class ImportAnswer(BaseModel):
    """For each record why it was refused, or null."""

    reasons: list[str | None]


class EraseAnswer(PurgeAnswer):
    """The number of removed documents, and the cursor to go on from."""

    cursor: str | None


def failures(*statuses: int) -> Responses:
    """Return the error responses of a route."""
    return {
        status: {"description": _FAILURES[status], "content": _TEXT}
        for status in sorted({*statuses, *_ALWAYS})
    }


def accepts(body: type[Any]) -> dict[str, Any]:
    """Return the schema of the body that a route reads itself."""
    schema = {"$ref": _REF.format(model=body.__name__)}
    _BODIES[body.__name__] = body
    return {"requestBody": {"required": True, "content": {PLAIN: {"schema": schema}}}}


_BODIES: dict[str, type[Any]] = {}


def document(app: FastAPI, *, with_keys: bool) -> None:
    """Add the bodies that routes read themselves to an application's OpenAPI schema."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app, with_keys=with_keys)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _described(app: FastAPI, *, with_keys: bool) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
    )
    components = schema.setdefault("components", {})
    models = components.setdefault("schemas", {})
    for name, body in _BODIES.items():
        described = TypeAdapter(body).json_schema(ref_template=_REF)
        models |= described.pop("$defs", {})
        models[name] = described
    for path in schema["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)  # it is a 400
    for unused in ("HTTPValidationError", "ValidationError"):
        models.pop(unused, None)
    if with_keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"key": []}]
    return schema
