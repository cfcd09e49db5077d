"""Removing for good what is soft-deleted, now instead of when its time has come."""

from datetime import UTC, datetime, timedelta

from langchain_zepstore.mongo import documents
from langchain_zepstore.mongo.collections import Collection, Database, Document
from langchain_zepstore.running import Operation

_CHUNK = 1000
_MESSAGE = {"placeholder": None}


class Purging:
    """Purges."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def purge(self, older_than: timedelta | None) -> Operation[dict[str, int]]:
        """Remove messages, then sessions, then users that have been deleted for so long.

        A message that was deleted within the last hour leaves a placeholder: an add that is on its
        way, or is repeated, must find its number taken, even when its session is gone.
        """
        now = datetime.now(UTC)
        until = now - (older_than or timedelta())
        past: Document = {"deleted_at": {"$lte": min(until, now - documents.GRACE)}}
        recent: Document = {"deleted_at": {"$lte": until}, **_MESSAGE}
        messages = self._database.messages
        removed = yield from _remove(messages, {**past, **_MESSAGE})
        yield from _remove(messages, past)
        removed += yield from _forget(messages, recent)
        gone: Document = {"deleted_at": {"$lte": until}}
        return {
            "messages": removed,
            "sessions": (yield from _remove(self._database.sessions, gone)),
            "users": (yield from _remove(self._database.users, {**gone, "deleting": None})),
        }


# In chunks: one command over millions of documents would outlast the timeout.


def _remove(collection: Collection, query: Document) -> Operation[int]:
    removed = 0
    while chunk := (yield from _chunk(collection, query)):
        removed += yield from collection.delete({**query, "_id": {"$in": chunk}})
    return removed


def _forget(collection: Collection, query: Document) -> Operation[int]:
    forgotten = 0
    while chunk := (yield from _chunk(collection, query)):
        forgotten += yield from collection.update(
            {**query, "_id": {"$in": chunk}}, documents.FORGETTING, many=True
        )
    return forgotten


def _chunk(collection: Collection, query: Document) -> Operation[list[object]]:
    found = yield from collection.find(query, limit=_CHUNK, fields={"_id": 1})
    return [document["_id"] for document in found]
