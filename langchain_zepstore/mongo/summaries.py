"""Summaries of sessions. Each stands in its session's document.

So one update decides whether a summary gets there before a deletion does: a deletion takes it along
in the update that opens it, and undeletion gives it back.
"""

from typing import Any

from langchain_zepstore.models import Summary
from langchain_zepstore.mongo import documents
from langchain_zepstore.mongo.collections import Database, Document
from langchain_zepstore.mongo.merging import literal
from langchain_zepstore.running import Operation
from langchain_zepstore.store import Unsummarized
from langchain_zepstore.values import Encoder, encoded_metadata


class Summaries:
    """Keeps the summaries of sessions."""

    def __init__(self, database: Database) -> None:
        self._sessions = database.sessions
        self._messages = database.messages

    def get(self, session_id: str) -> Operation[Summary | None]:
        """Return a live session's summary."""
        return documents.to_summary((yield from self._kept(session_id)))

    def pending(self, session_id: str, limit: int) -> Operation[Unsummarized]:
        """Return a live session's summary and what was said after it."""
        kept = yield from self._kept(session_id)
        query: Document = {"session_id": session_id, "deleted_at": None}
        if kept:
            query["seq"] = {"$gt": kept["seq"]}
        found = yield from self._messages.find(
            query, sort={"seq": 1}, limit=limit, fields=documents.MESSAGE_FIELDS
        )
        return Unsummarized(
            documents.to_summary(kept), [documents.to_message(message) for message in found]
        )

    def put(
        self, session_id: str, summary: Summary, replacing: str | None
    ) -> Operation[Summary | None]:
        """Store a summary in the place of the one with that uuid."""
        encoded = self._encoded(summary)
        last = yield from self._messages.find_one(
            {"session_id": session_id, "uuid": summary.recent_message_uuid, "deleted_at": None},
            fields={"seq": 1},
        )
        if last is None:
            return None
        fields = {name: literal(value) for name, value in encoded.items()}
        yield from self._sessions.update(
            {
                "_id": session_id,
                "uuid": last["_id"]["s"],
                "deleted_at": None,
                "summary.uuid": replacing,
                "deletion.open": {"$ne": True},
                # A deletion takes what was said up to it, and what sums that up.
                "$or": [{"deletion": None}, {"deletion.seq": {"$lt": last["seq"]}}],
            },
            [
                {"$unset": "summary"},
                {"$set": {"summary": {**fields, "seq": last["seq"], "created_at": "$$NOW"}}},
            ],
        )
        kept = yield from self._kept(session_id)
        return documents.to_summary(kept) if kept and kept["uuid"] == summary.uuid else None

    def _kept(self, session_id: str) -> Operation[Document | None]:
        session = yield from self._sessions.find_one(
            {"_id": session_id, "deleted_at": None}, fields={"summary": 1}
        )
        return (session or {}).get("summary")

    def _encoded(self, summary: Summary) -> dict[str, Any]:
        encode = Encoder().encode
        encoded = {
            name: encode(getattr(summary, name), f"summary.{name}")
            for name in ("uuid", "content", "recent_message_uuid", "token_count")
        }
        if summary.metadata is not None:
            encoded["metadata"] = encoded_metadata(summary.metadata, "summary.metadata")
        return encoded
