"""Responses: models as JSON, errors as status and text."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.responses import PlainTextResponse, Response

from langchain_zepstore import errors
from langchain_zepstore.core.operation import Page
from langchain_zepstore.messages.wire import (
    ERROR_HEADER,
    EXACT,
    PLAIN,
    Fields,
    message_fields,
    role_type,
    session_fields,
    summary_fields,
    to_json,
    user_fields,
)
from langchain_zepstore.models import Memory, MemorySearchResult, Message, Session, User

_LOG = logging.getLogger("langchain_zepstore.server")
_STATUS: list[tuple[type[errors.ZepStoreError], int]] = [
    (errors.NotFoundError, 404),
    (errors.AlreadyExistsError, 400),
    (errors.BadRequestError, 400),
    (errors.AuthError, 503),  # the database refused the server, not the server its caller
    (errors.StoreUnavailableError, 503),
]
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""The headers of the page and of errors: nothing is kept, framed, or loaded from elsewhere."""
_HIDDEN = {503: "the store cannot be reached", 500: "internal server error"}


def text_response(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a status with a line of text, Zep's form of an error."""
    return PlainTextResponse(text + "\n", status, {**HEADERS, **(headers or {})})


def error_response(error: errors.ZepStoreError) -> Response:
    """Return the response for an error."""
    status, text = status_of(error), shown_text(error)
    headers = {ERROR_HEADER: type(error).__name__}
    if status in _HIDDEN:
        headers = {ERROR_HEADER: "StoreUnavailableError", "Retry-After": "1"}
        if status != 503:  # noqa: PLR2004
            headers = {ERROR_HEADER: "APIError"}
    return text_response(status, text, headers)


def status_of(error: errors.ZepStoreError) -> int:
    """Return the status of an error."""
    return next((status for error_class, status in _STATUS if isinstance(error, error_class)), 500)


def shown_text(error: errors.ZepStoreError) -> str:
    """Return the text of an error. The cause of a 5xx goes to the log only."""
    hidden = _HIDDEN.get(status_of(error))
    if hidden is None:
        return str(error)
    _LOG.error("%s: %s", type(error).__name__, error)
    return hidden


@dataclass(frozen=True, slots=True)
class Answers:
    """Makes the responses to one request.

    Attributes:
        is_exact: Whether values that JSON cannot hold are marked (see ``wire``).
        version: The version of Zep's interface; in 2, messages have a ``role_type``.
    """

    is_exact: bool
    version: int

    @classmethod
    def to(cls, request: Request, version: int = 1) -> "Answers":
        """Return the ``Answers`` for a request."""
        return cls(EXACT in request.headers.get("accept", ""), version)

    def json(
        self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return a value as it is."""
        return Response(to_json(value), status, dict(headers or {}), self.media_type)

    @property
    def media_type(self) -> str:
        """The media type of the JSON."""
        return EXACT if self.is_exact else PLAIN

    def message(self, message: Message) -> Response:
        """Return a message."""
        return self.json(self.message_fields(message))

    def message_fields(self, message: Message) -> Fields:
        """Return a message's JSON object."""
        fields = message_fields(message, is_exact=self.is_exact)
        if self.version > 1:
            fields["role_type"] = role_type(message.role, message.langchain)
        return fields

    def memory(self, memory: Memory) -> Response:
        """Return a memory."""
        return self.json(
            {
                "messages": [self.message_fields(message) for message in memory.messages],
                "summary": summary_fields(memory.summary),
            }
        )

    def session(self, session: Session, status: int = 200, *, is_own: bool = False) -> Response:
        """Return a session; on routes of our own with all of its fields."""
        return self.json(session_fields(session, is_exact=self.is_exact, is_own=is_own), status)

    def session_fields(self, session: Session) -> Fields:
        """Return a session's JSON object on Zep's routes."""
        return session_fields(session, is_exact=self.is_exact)

    def session_page(self, page: Page[Session]) -> Response:
        """Return a page of recent sessions, with all of their fields."""
        sessions = [
            session_fields(session, is_exact=self.is_exact, is_own=True) for session in page.items
        ]
        return self.json({"sessions": sessions, "next_cursor": page.cursor})

    def user_fields(self, user: User) -> Fields:
        """Return a user's JSON object."""
        return user_fields(user, is_exact=self.is_exact)

    def user(self, user: User, status: int = 200) -> Response:
        """Return a user."""
        return self.json(self.user_fields(user), status)

    def results(self, results: Iterable[MemorySearchResult], *, is_own: bool = False) -> Response:
        """Return the results of a search; on routes of our own with all of their fields."""
        return self.json([self._result_fields(result, is_own=is_own) for result in results])

    def _result_fields(self, result: MemorySearchResult, *, is_own: bool) -> Fields:
        fields = {
            "message": self.message_fields(result.message) if result.message else None,
            "summary": result.summary,
            "metadata": result.metadata,
            "dist": result.dist,
            "score": result.score,
            "embedding": None,
        }
        own = {
            "session_id": result.session_id,
            "session_title": result.session_title,
            "snippet": result.snippet,
            "highlights": result.highlights,
        }
        return fields | own if is_own else fields

    def users(self, users: Iterable[User]) -> Response:
        """Return users."""
        return self.json([self.user_fields(user) for user in users])


def ok_response() -> Response:
    """Return "OK", Zep's answer of success."""
    return PlainTextResponse("OK")
