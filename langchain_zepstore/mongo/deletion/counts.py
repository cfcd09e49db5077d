"""Marks of changes on a session's document, and the count of live messages that it keeps.

``counted`` says how many messages numbered up to ``counted.seq`` are live on the active branch. The
numbers are fenced before they are counted, so that no add lands among them later. Whatever else
changes which of them are live, or what they say, removes ``counted`` and sets a new
``uncounted.stamp`` first, in one update, and is pending until it is complete. A count is stored
only where nothing was pending, and only if the stamp is still the one from before the messages were
counted. So a count may be missing, and is never wrong. What a killed process left pending is
ignored after an hour.

The vectors and words that a client keeps of a session are valid in the same way: but for what was
added, they are those of its live messages as long as the stamp is the same, if nothing was pending.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from bson import ObjectId

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.deletion.marks import this_session
from langchain_zepstore.mongo.documents import Counted, Query, SessionDocument, Stage, Update
from langchain_zepstore.mongo.driver.database import Database

T = TypeVar("T")


def uncounting() -> list[Stage]:
    """Return the stages that remove a count, for an update that leaves a change pending itself."""
    return [{"$set": {"uncounted.stamp": ObjectId()}}, {"$unset": ["counted"]}]


def changing(database: Database, session_ids: Iterable[str], change: Operation[T]) -> Operation[T]:
    """Make a change of which messages of sessions are live, or of what they say; mark it before."""
    sessions, token = database.sessions, ObjectId()
    these: Query = {"_id": {"$in": sorted(session_ids)}, "uuid": {"$exists": True}}
    begin: Update = {
        "$set": {"uncounted.stamp": token},
        "$addToSet": {"uncounted.pending": token},
        "$unset": {"counted": 1},
    }
    yield from sessions.update(these, begin, many=True)
    result = yield from change
    end: Update = {"$pull": {"uncounted.pending": token}}
    yield from sessions.update(these, end, many=True, durable=False)
    return result


MARK_FIELDS = dict.fromkeys(
    ("uncounted", "undeletion", "deletion.id", "deletion.settled", "fenced"), 1
)
"""The projection for ``may_count`` and ``stamp_of``."""


def stamp_of(session: SessionDocument) -> ObjectId | None:
    """Return the stamp of a session's last change."""
    return session.get("uncounted", {}).get("stamp")


def may_count(session: SessionDocument) -> bool:
    """Return whether nothing is changing which messages of a session are live."""
    deletion = session.get("deletion")
    return not (
        session.get("undeletion")
        or (deletion and not deletion.get("settled"))
        or any(map(_may_go_on, session.get("uncounted", {}).get("pending", ())))
    )


def _may_go_on(pending: ObjectId) -> bool:
    return pending > ObjectId.from_datetime(datetime.now(UTC) - codecs.MAX_ADD_DURATION)


def counting(session: SessionDocument, counted: Counted) -> tuple[Query, Update]:
    """Return the update that stores a count, if nothing has changed since the session was read."""
    query: Query = {
        **this_session(session),
        "turn": session.get("turn"),
        "uncounted.stamp": stamp_of(session),
    }
    return query, {"$set": {"counted": counted}, "$max": {"fenced": counted["seq"]}}
