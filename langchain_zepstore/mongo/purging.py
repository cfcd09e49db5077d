"""Removing for good what is soft-deleted, now instead of when its time has come."""

from datetime import UTC, datetime, timedelta

from langchain_zepstore.mongo.collections import Collection, Database, Document
from langchain_zepstore.running import Operation

_CHUNK = 1000


class Purging:
    """Purges."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def purge(self, older_than: timedelta | None) -> Operation[dict[str, int]]:
        """Remove messages, then sessions, then users that have been deleted for so long.

        Placeholders stay their hour (their ``deleted_at`` lies ahead): an add that is on its way
        must find its number taken, even when its session is gone.
        """
        until = datetime.now(UTC) - (older_than or timedelta())
        query: Document = {"deleted_at": {"$lte": until}}
        return {
            "messages": (yield from _remove(self._database.messages, query)),
            "sessions": (yield from _remove(self._database.sessions, query)),
            "users": (yield from _remove(self._database.users, {**query, "deleting": None})),
        }


def _remove(collection: Collection, query: Document) -> Operation[int]:
    # In chunks: one command over millions of documents would outlast the timeout.
    removed = 0
    while found := (yield from collection.find(query, limit=_CHUNK, fields={"_id": 1})):
        ids = [document["_id"] for document in found]
        removed += yield from collection.delete({**query, "_id": {"$in": ids}})
    return removed
