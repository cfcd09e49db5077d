"""Summaries of sessions, each stored in its session's document.

So one update decides between a summary and a deletion: the update that opens a deletion takes the
summary along, and the undeletion restores it.
"""

from collections.abc import Sequence

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import SummaryInput
from langchain_zepstore.core.validation import checked_count, checked_text
from langchain_zepstore.errors import BadRequestError, NotFoundError
from langchain_zepstore.models import Summary
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.branches.reads import TABLE_FIELDS, find_along
from langchain_zepstore.mongo.branches.table import Range, clipped, holds, table_of
from langchain_zepstore.mongo.deletion.marks import Marking, with_id
from langchain_zepstore.mongo.documents import Query, SessionDocument, Stage, SummaryDocument
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.encoding import encoded_metadata
from langchain_zepstore.mongo.expressions import literal
from langchain_zepstore.mongo.ownership import check_owner

_KEPT_FIELDS = dict.fromkeys(("summary", "seq", "forks", "user_id", "deleted_at"), 1)


class Summaries:
    """Keeps the summaries of sessions."""

    def __init__(self, database: Database) -> None:
        self._sessions = database.sessions
        self._messages = database.messages
        self._marking = Marking(database)

    def get(
        self,
        session_id: str,
        user_id: str | None = None,
        *,
        branch: Sequence[Range] | None = None,
    ) -> Operation[Summary | None]:
        """Return a live session's summary, if it covers the active branch, or another."""
        return codecs.to_summary((yield from self._kept(session_id, user_id, branch)))

    def pending(self, session_id: str, limit: int) -> Operation[SummaryInput]:
        """Return a live session's summary and the messages after it."""
        session = yield from self._recovered(session_id)
        if session is None:
            raise NotFoundError(f"there is no session {session_id!r}")
        kept = covering_summary(session)
        query: Query = {"session_id": session_id, "deleted_at": None}
        last, fields = kept["seq"] if kept else 0, codecs.MESSAGE_FIELDS
        if session.get("forks"):
            ranges = clipped(table_of(session).active(), first=last + 1)
            found = yield from find_along(self._messages, query, ranges, limit=limit, fields=fields)
        else:
            if kept:
                query["seq"] = {"$gt": last}
            found = yield from self._messages.find(
                query, sort={"seq": 1}, limit=limit, fields=fields
            )
        messages = [codecs.to_message(document) for document in found]
        return SummaryInput(codecs.to_summary(kept), messages, _state(session))

    def put(
        self, session_id: str, summary: Summary, replacing: str | None, state: str
    ) -> Operation[Summary | None]:
        """Store a summary in the place of the one with that uuid."""
        encoded = self._encoded(summary)
        last = yield from self._messages.find_one(
            {"session_id": session_id, "uuid": summary.recent_message_uuid, "deleted_at": None},
            fields={"seq": 1, "branched": 1},
        )
        if last is None:
            return None
        replaced: Query | None = {"summary.uuid": replacing}
        if last.get("branched"):
            replaced = yield from self._replaced(session_id, last["seq"], replacing)
        if replaced is None:
            return None
        fields = {name: literal(value) for name, value in encoded.items()}
        yield from self._sessions.update(
            {
                "_id": session_id,
                "uuid": last["_id"]["s"],
                "deleted_at": None,
                "deletion.open": {"$ne": True},
                "undeletion": None,
                **replaced,
                **_unchanged(state),
            },
            [
                {"$unset": "summary"},
                {"$set": {"summary": {**fields, "seq": last["seq"], "created_at": "$$NOW"}}},
            ],
        )
        kept = yield from self._kept(session_id)
        return codecs.to_summary(kept) if kept and kept["uuid"] == summary.uuid else None

    def _replaced(
        self, session_id: str, last: int, replacing: str | None
    ) -> Operation[Query | None]:
        """Return the query for a session that has branched and whose summary is replaced.

        Another branch's counts as none. ``None`` if the last message is not on the active branch.
        """
        session = yield from self._sessions.find_one(
            with_id(session_id), fields={"summary.uuid": 1, "summary.seq": 1, **TABLE_FIELDS}
        )
        if session is None or not holds(table_of(session).active(), last):
            return None
        if replacing is None and "summary" in session and not covering_summary(session):
            replacing = session["summary"]["uuid"]
        return {"summary.uuid": replacing, "turn": session.get("turn")}

    def _recovered(self, session_id: str) -> Operation[SessionDocument | None]:
        """Return a live session, after finishing an interrupted deletion or undeletion."""
        while True:
            session = yield from self._sessions.find_one(with_id(session_id))
            if session is None or not (yield from self._marking.recover(session)):
                return None if session is None or session.get("deleted_at") else session

    def _kept(
        self,
        session_id: str,
        user_id: str | None = None,
        branch: Sequence[Range] | None = None,
    ) -> Operation[SummaryDocument | None]:
        session = yield from self._sessions.find_one({"_id": session_id}, fields=_KEPT_FIELDS)
        check_owner(session, user_id)
        if session is None or session.get("deleted_at"):
            return None
        return covering_summary(session, branch)

    def _encoded(self, summary: Summary) -> Stage:
        encoded: Stage = {
            name: checked_text(getattr(summary, name), f"summary.{name}")
            for name in ("uuid", "content", "recent_message_uuid")
        }
        encoded["token_count"] = checked_count(summary.token_count, "summary.token_count")
        if summary.metadata is not None:
            encoded["metadata"] = encoded_metadata(summary.metadata, "summary.metadata")
        return encoded


def covering_summary(
    session: SessionDocument, branch: Sequence[Range] | None = None
) -> SummaryDocument | None:
    """Return a session's summary, if the last message that it covers is on the branch."""
    kept = session.get("summary")
    if kept and session.get("forks"):
        ranges = table_of(session).active() if branch is None else branch
        return kept if holds(ranges, kept["seq"]) else None
    return kept


def _state(session: SessionDocument) -> str:
    """Return a token that changes when the session is deleted or undeleted."""
    deletion = session.get("deletion")
    return f"{session.get('deletion_count') or 0}:{deletion['id'] if deletion else 0}"


def _unchanged(state: str) -> Query:
    """Return the query for a session that was neither deleted nor undeleted since."""
    numbers = [int(number) for number in state.split(":") if number.isascii() and number.isdigit()]
    if len(numbers) != 2 or max(numbers) >= 2**63:  # noqa: PLR2004
        raise BadRequestError("state is not one that came with the messages to summarize")
    count, deletion = numbers
    return {
        "deletion_count": count or {"$in": [None, 0]},
        "deletion.id": deletion or None,
    }
