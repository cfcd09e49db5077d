"""Operations on sessions as requests, but for deletion."""

from collections.abc import Sequence
from typing import Any

from langchain_zepstore.core.arguments import Listing, RecentQuery, SessionChanges, changes_in
from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.errors import NotFoundError
from langchain_zepstore.http.responses import last_id
from langchain_zepstore.http.transport import Requests, given_fields, marked_metadata, path
from langchain_zepstore.models import Session


class Sessions:
    """Creates, reads, updates and lists sessions."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def create(self, session: Session) -> Operation[Session]:
        """Create a session."""
        body = _fields(session)
        answer = yield from self._requests.send("POST", path("sessions"), body=body)
        return answer.read_session(answer.data)

    def get(self, session_id: str) -> Operation[Session]:
        """Return a live session."""
        answer = yield from self._requests.get(path("sessions", session_id))
        return answer.read_session(answer.data)

    def find(self, session_id: str) -> Operation[Session | None]:
        """Return a session, live or deleted."""
        where = path("sessions", session_id)
        try:
            answer = yield from self._requests.get(where, include_deleted="true")
        except NotFoundError:
            return None
        return answer.read_session(answer.data)

    def update(self, session: Session, unset: Sequence[Sequence[str]]) -> Operation[Session]:
        """Merge metadata into a session's and remove keys."""
        body = _fields(session)
        if unset:
            body["unset"] = unset
        answer = yield from self._requests.send(
            "PATCH", path("sessions", session.session_id), body=body, repeatable=True
        )
        return answer.read_session(answer.data)

    def listed(self, listing: Listing, limit: int, cursor: int) -> Operation[list[Session]]:
        """Return sessions with ids above the cursor, by id; all of them with limit 0."""
        asked: dict[str, Any] = {
            "limit": limit or None,
            "cursor": cursor or None,
            "user_id": listing.user_id,
            "include_deleted": listing.include_deleted or None,
        }
        if listing.metadata:
            # What a filter may hold is more than a URL can carry.
            asked["metadata"] = marked_metadata(listing.metadata, "metadata")
            body = {name: value for name, value in asked.items() if value is not None}
            where = path("list-sessions")
            answer = yield from self._requests.send("POST", where, body=body, repeatable=True)
        else:
            answer = yield from self._requests.get(path("sessions"), **asked)
        return answer.read_sessions(answer.data)

    def page(self, listing: Listing, limit: int, cursor: Any) -> Operation[Page[Session]]:
        """Return the page after a page's cursor."""
        sessions = yield from self.listed(listing, limit, cursor or 0)
        return Page(sessions, last_id(sessions) if len(sessions) == limit else None)

    def organize(self, session_id: str, changes: SessionChanges) -> Operation[Session]:
        """Change a live session's title, pin, archive mark, tags and metadata."""
        body = changes.given()
        if "metadata" in body:
            body["metadata"] = marked_metadata(body["metadata"], "metadata")
        answer = yield from self._requests.send(
            "POST", path("sessions", session_id, "organize"), body=body, repeatable=True
        )
        return answer.read_session(answer.data)

    def recent(self, query: RecentQuery) -> Operation[Page[Session]]:
        """Return live sessions, the most recently active first; or deleted ones, likewise."""
        body = query.given()
        if query.metadata:
            body["metadata"] = marked_metadata(query.metadata, "metadata")
        answer = yield from self._requests.send(
            "POST", path("recent-sessions"), body=body, repeatable=True
        )
        sessions = answer.read_sessions(answer.field("sessions"))
        return Page(sessions, answer.text("next_cursor"))


def _fields(session: Session) -> dict[str, Any]:
    fields = given_fields(session, "session_id", "user_id", "metadata", where="session")
    return fields | changes_in(session).given()
