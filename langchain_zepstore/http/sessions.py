"""Operations on sessions and users as requests, and deletion."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from langchain_zepstore.errors import APIError, BadRequestError, NotFoundError
from langchain_zepstore.http.requests import Requests, marked_metadata, path
from langchain_zepstore.models import (
    CreateUserRequest,
    Message,
    Session,
    UpdateUserRequest,
    User,
)
from langchain_zepstore.running import Operation, Page
from langchain_zepstore.store import Listing
from langchain_zepstore.values import Encoder

_SESSIONS, _USERS = "sessions", "user"


class Sessions:
    """Creates, reads, updates and lists sessions."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def create(self, session: Session) -> Operation[Session]:
        """Create a session."""
        body = _given(session, "session_id", "user_id", "metadata", where="session")
        answer = yield from self._requests.send("POST", path(_SESSIONS), body=body)
        return answer.read(Session, answer.data)

    def get(self, session_id: str) -> Operation[Session]:
        """Return a live session."""
        answer = yield from self._requests.get(path(_SESSIONS, session_id))
        return answer.read(Session, answer.data)

    def find(self, session_id: str) -> Operation[Session | None]:
        """Return a session, live or deleted."""
        where = path(_SESSIONS, session_id)
        try:
            answer = yield from self._requests.get(where, include_deleted="true")
        except NotFoundError:
            return None
        return answer.read(Session, answer.data)

    def update(self, session: Session, unset: Sequence[Sequence[str]]) -> Operation[Session]:
        """Merge metadata into a session's and remove keys."""
        body = _given(session, "session_id", "user_id", "metadata", where="session")
        if unset:
            body["unset"] = unset
        answer = yield from self._requests.send(
            "PATCH", path(_SESSIONS, session.session_id), body=body, repeatable=True
        )
        return answer.read(Session, answer.data)

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
            answer = yield from self._requests.get(path(_SESSIONS), **asked)
        return answer.read_list(Session, answer.data)

    def page(self, listing: Listing, limit: int, cursor: Any) -> Operation[Page[Session]]:
        """Return the page after a page's cursor."""
        sessions = yield from self.listed(listing, limit, cursor or 0)
        return Page(sessions, _last_id(sessions) if len(sessions) == limit else None)

    def recent(
        self, limit: int, cursor: str | None, user_id: str | None
    ) -> Operation[Page[Session]]:
        """Return live sessions, the most recently active first."""
        if cursor is not None and not (isinstance(cursor, str) and cursor.isascii()):
            raise BadRequestError("cursor is none that recent_sessions gave as next_cursor")
        answer = yield from self._requests.get(
            path("recent-sessions"), limit=limit, cursor=cursor, user_id=user_id
        )
        sessions = answer.read_list(Session, answer.field("sessions"))
        return Page(sessions, answer.text("next_cursor"))


class Users:
    """Creates, reads, updates, lists and deletes users."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def create(self, request: CreateUserRequest) -> Operation[User]:
        """Create a user."""
        body = _given(request, *CreateUserRequest.model_fields, where="user")
        answer = yield from self._requests.send("POST", path(_USERS), body=body)
        return answer.read(User, answer.data)

    def get(self, user_id: str) -> Operation[User]:
        """Return a live user."""
        answer = yield from self._requests.get(path(_USERS, user_id))
        return answer.read(User, answer.data)

    def update(self, request: UpdateUserRequest) -> Operation[User]:
        """Change the fields that are given; ``None`` clears."""
        fields = CreateUserRequest.model_fields
        given = [name for name in fields if name in request.model_fields_set]
        body = _given(request, *given, where="user", with_none=True)
        answer = yield from self._requests.send(
            "PATCH", path(_USERS, request.user_id), body=body, repeatable=True
        )
        return answer.read(User, answer.data)

    def delete(self, user_id: str) -> Operation[None]:
        """Soft-delete a user and the user's sessions."""
        yield from self._requests.send("DELETE", path(_USERS, user_id))

    def listed(self, limit: int, cursor: int) -> Operation[list[User]]:
        """Return live users with ids above the cursor, by id; all of them with limit 0."""
        answer = yield from self._requests.get(
            path(_USERS), limit=limit or None, cursor=cursor or None
        )
        return answer.read_list(User, answer.data)

    def page(self, limit: int, cursor: Any) -> Operation[Page[User]]:
        """Return the page after a page's cursor."""
        users = yield from self.listed(limit, cursor or 0)
        return Page(users, _last_id(users) if len(users) == limit else None)

    def sessions(self, user_id: str) -> Operation[list[Session]]:
        """Return the live sessions of a user, by id."""
        answer = yield from self._requests.get(path(_USERS, user_id, "sessions"))
        return answer.read_list(Session, answer.data)


class Deletion:
    """Soft-deletes and undeletes; removes for good."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def delete_session(self, session_id: str) -> Operation[None]:
        """Soft-delete a live session and its messages."""
        yield from self._requests.send("DELETE", path(_SESSIONS, session_id, "memory"))

    def undelete_session(self, session_id: str) -> Operation[Session]:
        """Bring back a session and what its last deletion took."""
        answer = yield from self._requests.send("POST", path(_SESSIONS, session_id, "undelete"))
        return answer.read(Session, answer.data)

    def delete_message(self, session_id: str, uuid: str) -> Operation[None]:
        """Soft-delete a live message."""
        where = path(_SESSIONS, session_id, "messages", uuid)
        yield from self._requests.send("DELETE", where)

    def undelete_message(self, session_id: str, uuid: str) -> Operation[Message]:
        """Bring back a deleted message of a live session."""
        where = path(_SESSIONS, session_id, "messages", uuid, "undelete")
        answer = yield from self._requests.send("POST", where)
        return answer.read(Message, answer.data)

    def purge(self, older_than: timedelta | None) -> Operation[dict[str, int]]:
        """Remove what has been soft-deleted for so long; return how many of each kind."""
        seconds = None if older_than is None else older_than.total_seconds()
        answer = yield from self._requests.send(
            "POST", path("purge"), body={"older_than": seconds}, repeatable=True
        )
        return {kind: answer.count(kind) for kind in ("messages", "sessions", "users")}


def _given(model: Any, *names: str, where: str, with_none: bool = False) -> dict[str, Any]:
    given = {name: getattr(model, name) for name in names}
    for name, value in given.items():
        place = f"{where}.{name}"
        if name == "metadata" and value is not None:
            given[name] = marked_metadata(value, place)
        elif isinstance(value, str | None):
            given[name] = Encoder().encode(value, place)
        else:
            raise BadRequestError(f"{place} must be a str, not {type(value).__name__}")
    return {name: value for name, value in given.items() if with_none or value is not None}


def _last_id(listed: Sequence[Session | User]) -> int:
    last = listed[-1].id
    if last is None:
        raise APIError("a server listed something without an id, which is the cursor of listings")
    return last
