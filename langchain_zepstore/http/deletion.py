"""Soft deletion, undeletion and the purge as requests."""

from datetime import timedelta
from typing import Any

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import ErasurePage
from langchain_zepstore.http.transport import Requests, path
from langchain_zepstore.models import Message, Session


class Deletion:
    """Soft-deletes and undeletes; removes for good."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def delete_session(self, session_id: str, user_id: str | None = None) -> Operation[None]:
        """Soft-delete a live session and its messages."""
        where, query = path("sessions", session_id, "memory"), {"user_id": user_id}
        yield from self._requests.send("DELETE", where, query=query)

    def undelete_session(self, session_id: str) -> Operation[Session]:
        """Bring back a session and the messages of its last deletion."""
        answer = yield from self._requests.send("POST", path("sessions", session_id, "undelete"))
        return answer.read_session(answer.data)

    def delete_message(self, session_id: str, uuid: str) -> Operation[None]:
        """Soft-delete a live message."""
        where = path("sessions", session_id, "messages", uuid)
        yield from self._requests.send("DELETE", where)

    def undelete_message(self, session_id: str, uuid: str) -> Operation[Message]:
        """Bring back a deleted message of a live session."""
        where = path("sessions", session_id, "messages", uuid, "undelete")
        answer = yield from self._requests.send("POST", where)
        return answer.read(Message, answer.data)

    def erase_session(
        self,
        session_id: str,
        cursor: str | None,
        *,
        user_id: str | None = None,
        dry_run: bool = False,
    ) -> Operation[ErasurePage]:
        """Take a step of removing a session for good."""
        body = {"cursor": cursor, "user_id": user_id, "dry_run": dry_run}
        return self._erase(path("sessions", session_id, "erase"), body)

    def erase_user(
        self, user_id: str, cursor: str | None, *, dry_run: bool = False
    ) -> Operation[ErasurePage]:
        """Take a step of removing a user and all that is the user's."""
        return self._erase(path("user", user_id, "erase"), {"cursor": cursor, "dry_run": dry_run})

    def _erase(self, where: str, body: dict[str, Any]) -> Operation[ErasurePage]:
        answer = yield from self._requests.send("POST", where, body=body, repeatable=True)
        counts = {name: answer.count(name) for name in ("users", "sessions", "messages")}
        return ErasurePage(counts, answer.text("cursor"))

    def purge(
        self,
        older_than: timedelta | None,
        user_id: str | None = None,
        session_id: str | None = None,
    ) -> Operation[dict[str, int]]:
        """Remove data that has been soft-deleted for so long; return the counts."""
        body = {
            "older_than": None if older_than is None else older_than.total_seconds(),
            "user_id": user_id,
            "session_id": session_id,
        }
        answer = yield from self._requests.send("POST", path("purge"), body=body, repeatable=True)
        return {name: answer.count(name) for name in ("messages", "sessions", "users")}
