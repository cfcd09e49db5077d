"""Findings about the data: indexes, retention, searches, and interrupted operations."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.models import Finding
from langchain_zepstore.mongo.deletion.marks import numbers_between
from langchain_zepstore.mongo.documents import Query
from langchain_zepstore.mongo.driver.collection import Collection
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.indexes import (
    ERASING_BY_USER,
    EXPIRY,
    FIRST_MESSAGE_INDEXES,
    LIVE,
    OLD_WORD_INDEXES,
)
from langchain_zepstore.mongo.search.index import language_in

MEND = "zepstore doctor --mend"
UNSETTLED: Query = {
    "$or": [
        {"deletion": {"$exists": True}, "deletion.settled": None},
        {"undeletion": {"$exists": True}},
    ]
}
"""The sessions whose deletion or undeletion was interrupted."""

_RECENT_SESSIONS = 50
_RECENT_MESSAGES = 10_000
_OVERDUE = timedelta(hours=1)  # the database looks every minute
_ENABLE_TTL = "db.adminCommand({setParameter: 1, ttlMonitorEnabled: true})"

Indexes = Mapping[str, Mapping[str, Any]]


class Contents:
    """Checks what is stored in a database.

    Args:
        database: The database.
        model: The name of the client's embeddings; ``None`` without any.
    """

    def __init__(self, database: Database, model: str | None) -> None:
        self._database = database
        self._model = model

    def indexes(self) -> Operation[list[Finding]]:
        """Check the indexes, and that what is deleted expires."""
        database = self._database
        findings: list[Finding] = []
        for collection in (database.messages, database.sessions, database.users):
            there = yield from collection.index_information()
            wanted = FIRST_MESSAGE_INDEXES if collection is database.messages else []
            names = [each.document["name"] for each in wanted]
            findings.append(_indexes(collection.name, there, names))
            findings.append((yield from self._retention(collection, there)))
        return findings

    def _retention(self, collection: Collection[Any], there: Indexes) -> Operation[Finding]:
        name = f"retention of {collection.name}"
        seconds = there.get(EXPIRY, {}).get("expireAfterSeconds")
        if not there:
            return Finding(name=name, level="ok", message="nothing is stored yet")
        if seconds is None:
            message = "nothing that is deleted will be removed"
            return Finding(name=name, level="fault", message=message, cure=MEND)
        limit = datetime.now(UTC) - timedelta(seconds=seconds) - _OVERDUE
        overdue = yield from collection.find(
            {"deleted_at": {"$lt": limit}}, fields={"_id": 1}, limit=1, hint=EXPIRY
        )
        message = f"what is deleted is removed after {seconds / 86400:g} days"
        if overdue:
            message = f"{message}, but some of it is still there: the database does not remove it"
            return Finding(name=name, level="fault", message=message, cure=_ENABLE_TTL)
        return Finding(name=name, level="ok", message=message)

    def ttl_monitor(self) -> Operation[list[Finding]]:
        """Check that the database removes what has expired."""
        parameter = "ttlMonitorEnabled"
        answer = yield from self._database.command("getParameter", admin=True, **{parameter: 1})
        name = "TTL monitor"
        if answer[parameter]:
            return [Finding(name=name, level="ok", message="it runs")]
        message = "it is off: nothing that is deleted is removed"
        return [Finding(name=name, level="fault", message=message, cure=_ENABLE_TTL)]

    def search(self) -> Operation[list[Finding]]:
        """Check the indexes for searching by words, and their language."""
        name, wanted = "search by words", self._database.language
        there = yield from self._database.messages.index_information()
        language = language_in(there)
        if language is None:
            message = "the first search makes its indexes"
            return [Finding(name=name, level="ok", message=message)]
        message = f"in {language}"
        if old := sorted(there.keys() & {*OLD_WORD_INDEXES}):
            cure = f"db.messages.dropIndexes({old}), or search once"
            message += ", with an index of an older version"
            return [Finding(name=name, level="warning", message=message, cure=cure)]
        if wanted not in (None, language):
            message += f"; this client wants {wanted}, and its first search makes the indexes anew"
            cure = "give all clients the same language"
            return [Finding(name=name, level="warning", message=message, cure=cure)]
        return [Finding(name=name, level="ok", message=message)]

    def vectors(self) -> Operation[list[Finding]]:
        """Look for messages without a vector in the sessions last active."""
        recent = yield from self._recent()
        counted = yield from self._database.messages.aggregate(
            [
                {"$match": {**LIVE, "session_id": {"$in": [each["_id"] for each in recent]}}},
                {"$limit": _RECENT_MESSAGES},
                {"$group": {"_id": "$embedding.model", "number": {"$sum": 1}}},
            ],
            hint="live_by_number",
        )
        counts: dict[str | None, int] = {each["_id"]: each["number"] for each in counted}
        models = {model for model in counts if model is not None}
        if not models and self._model is None:
            return [
                Finding(name="vectors", level="ok", message="no search by meaning has been made")
            ]
        model = self._model or max(models, key=lambda each: counts[each])
        total = sum(counts.values())
        lacking = total - counts.get(model, 0)
        if not lacking:
            return [Finding(name="vectors", level="ok", message=f"all recent ones, of {model}")]
        message = f"{lacking} of {total} recent messages have none of {model}"
        cure = "client.memory.embed() makes them; else the next search by meaning does"
        return [Finding(name="vectors", level="warning", message=message, cure=cure)]

    def interrupted(self) -> Operation[list[Finding]]:
        """Look for deletions, undeletions and erasures that nobody has completed."""
        sessions = self._database.sessions
        deletions = yield from sessions.count(UNSETTLED)
        there = yield from sessions.index_information()
        name = ERASING_BY_USER.document["name"]  # made by the first erasure of a user
        hint = name if name in there else None
        erasures = yield from sessions.count({"erasing": {"$exists": True}}, hint=hint)
        erase = "zepstore sessions erase ID, or zepstore users erase ID"
        return [
            _counted("interrupted deletions", deletions, "sessions", MEND),
            _counted("interrupted erasures", erasures, "sessions", erase),
        ]

    def lost_adds(self) -> Operation[list[Finding]]:
        """Look for numbers that adds have reserved and not used, in the sessions last active."""
        lost = 0
        for session in (yield from self._recent()):
            fenced = session.get("fenced") or 0
            numbers = numbers_between(session, fenced, session["seq"])
            there = yield from self._database.messages.count(numbers, hint="_id_")
            lost += max(session["seq"] - fenced - there, 0)
        cure = "harmless; whoever was interrupted repeats the add"
        return [_counted("adds that never came", lost, "messages", cure)]

    def _recent(self) -> Operation[list[Any]]:
        fields = {"uuid": 1, "seq": 1, "fenced": 1}
        order = {"active_at": -1, "id": -1}
        found: list[Any] = yield from self._database.sessions.find(
            LIVE, sort=order, limit=_RECENT_SESSIONS, fields=fields
        )
        return found


def _indexes(name: str, there: Indexes, wanted: list[str]) -> Finding:
    missing = [each for each in wanted if each not in there]
    name = f"indexes of {name}"
    if missing and there:
        message = f"missing: {', '.join(missing)}"
        return Finding(name=name, level="fault", message=message, cure=MEND)
    number = len(there.keys() - {"_id_"})
    message = f"{number} are there, others come when needed"
    return Finding(name=name, level="ok", message=message)


def _counted(name: str, count: int, noun: str, cure: str) -> Finding:
    if count:
        return Finding(name=name, level="warning", message=f"{count} {noun}", cure=cure)
    return Finding(name=name, level="ok", message="none")
