"""What is stored, in numbers, and whether the database is as it should be."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.models import Finding, Stats
from langchain_zepstore.mongo.deletion.marks import numbers_between
from langchain_zepstore.mongo.documents import Query
from langchain_zepstore.mongo.driver.collection import Collection
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.indexes import (
    DELETED,
    LIVE,
    MESSAGE_INDEXES,
    SESSION_INDEXES,
    USER_INDEXES,
)

_DAYS = 30
_OLDEST_VERSION = 6
_MAX_SKEW = timedelta(seconds=60)
_LOOKED_AT = 50  # sessions
_ACTIONS = {"find", "insert", "update", "remove", "createIndex", "collMod"}
_MEND_INDEXES = "run the application once with credentials that may create indexes"
_MEND_DELETION = "repeat the deletion or undeletion, or purge"


class Diagnosis:
    """Counts what is stored, and checks the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stats(self) -> Operation[Stats]:
        """Return what is stored, in numbers."""
        database = self._database.require_whole()
        counts: dict[str, int] = {}
        sizes = {"data_bytes": 0, "index_bytes": 0}
        for collection in (database.sessions, database.messages, database.users):
            name = collection.name
            is_shown = {} if name == "messages" else {"uuid": {"$exists": True}}
            trash: Query = {**DELETED, "placeholder": None, **is_shown}
            counts[f"deleted_{name}"] = yield from collection.count(trash)
            counts[name] = yield from collection.count(LIVE)
            size = yield from database.command("collStats", value=name)
            sizes["data_bytes"] += int(size.get("storageSize", 0))
            sizes["index_bytes"] += int(size.get("totalIndexSize", 0))
        since = datetime.now(UTC) - timedelta(days=_DAYS)
        day = {"$dateToString": {"date": "$active_at", "format": "%Y-%m-%d"}}
        found = yield from database.sessions.aggregate(
            [
                {"$match": {**LIVE, "active_at": {"$gte": since}}},
                {"$group": {"_id": day, "n": {"$sum": 1}}},
                {"$sort": {"_id": 1}},
            ]
        )
        per_day = {each["_id"]: each["n"] for each in found}
        return Stats(**counts, **sizes, active_sessions_per_day=per_day)

    def diagnose(self) -> Operation[list[Finding]]:
        """Check the database; the first findings are about the server."""
        database = self._database.require_whole()
        hello = yield from database.command("hello")
        build = yield from database.command("buildInfo")
        status = yield from database.command("connectionStatus", showPrivileges=True)
        findings = [_server(hello, build), _write_concern(database.messages), _clock(hello)]
        findings.append(_rights(status["authInfo"]))
        for collection, indexes in (
            (database.messages, MESSAGE_INDEXES),
            (database.sessions, SESSION_INDEXES),
            (database.users, USER_INDEXES),
        ):
            there = yield from collection.index_information()
            wanted = [index.document["name"] for index in indexes]
            findings += _indexes(collection.name, there, wanted)
        findings.append((yield from self._interrupted()))
        findings.append((yield from self._erasing()))
        findings.append((yield from self._lost_adds()))
        return findings

    def _interrupted(self) -> Operation[Finding]:
        unsettled: Query = {"deletion": {"$exists": True}, "deletion.settled": None}
        query: Query = {"$or": [unsettled, {"undeletion": {"$exists": True}}]}
        count = yield from self._database.sessions.count(query)
        return _counted("interrupted deletions", count, "sessions", _MEND_DELETION)

    def _erasing(self) -> Operation[Finding]:
        count = yield from self._database.sessions.count({"erasing": {"$exists": True}})
        return _counted("interrupted erasures", count, "sessions", "repeat the erasure")

    def _lost_adds(self) -> Operation[Finding]:
        fields = {"uuid": 1, "seq": 1, "fenced": 1}
        recent = yield from self._database.sessions.find(
            LIVE, sort={"active_at": -1, "id": -1}, limit=_LOOKED_AT, fields=fields
        )
        lost = 0
        for session in recent:
            fenced = session.get("fenced") or 0
            numbers = numbers_between(session, fenced, session["seq"])
            there = yield from self._database.messages.count(numbers, hint="_id_")
            lost += max(session["seq"] - fenced - there, 0)
        cure = "harmless; whoever was interrupted repeats the add"
        return _counted("adds that never came", lost, "messages", cure)


def _server(hello: Any, build: Any) -> Finding:
    version = str(build.get("version", "unknown"))
    shape = "standalone server"
    if hello.get("msg") == "isdbgrid":
        shape = "sharded cluster"
    elif "setName" in hello:
        shape = f"replica set {hello['setName']}"
    major = version.partition(".")[0]
    if not major.isdecimal() or int(major) < _OLDEST_VERSION:
        cure = f"use MongoDB {_OLDEST_VERSION}.0 or later"
        return Finding(name="server", level="fault", message=f"{version}, {shape}", cure=cure)
    return Finding(name="server", level="ok", message=f"MongoDB {version}, {shape}")


def _write_concern(collection: Collection[Any]) -> Finding:
    concern = collection.write_concern
    shown = ", ".join(f"{name}={value}" for name, value in concern.items())
    if concern.get("w") == "majority" and concern.get("j"):
        return Finding(name="write concern", level="ok", message=shown)
    cure = "leave w and journal out of the URL: the default is w=majority, journal=true"
    return Finding(name="write concern", level="warning", message=shown, cure=cure)


def _clock(hello: Any) -> Finding:
    skew = abs(datetime.now(UTC) - hello["localTime"].replace(tzinfo=UTC))
    message = f"the clocks of client and server differ by {skew.total_seconds():.0f} s"
    if skew > _MAX_SKEW:
        cure = "set both by NTP: times of messages and the purge depend on them"
        return Finding(name="clock", level="warning", message=message, cure=cure)
    return Finding(name="clock", level="ok", message=message)


def _rights(status: Any) -> Finding:
    if not status.get("authenticatedUsers"):
        return Finding(name="rights", level="ok", message="nobody has to log in")
    privileges = status.get("authenticatedUserPrivileges", ())
    missing = _ACTIONS - {action for each in privileges for action in each["actions"]}
    if missing and "anyAction" not in {a for each in privileges for a in each["actions"]}:
        message = f"these credentials lack {', '.join(sorted(missing))}"
        cure = "grant the role dbAdmin or readWrite on the database"
        return Finding(name="rights", level="warning", message=message, cure=cure)
    return Finding(name="rights", level="ok", message="these credentials may do what is needed")


def _indexes(name: str, there: Any, wanted: list[str]) -> Iterator[Finding]:
    missing = [index for index in wanted if index not in there]
    if missing:
        message = f"missing: {', '.join(missing)}"
        yield Finding(name=f"indexes of {name}", level="fault", message=message, cure=_MEND_INDEXES)
    else:
        message = f"all {len(wanted)} are there"
        yield Finding(name=f"indexes of {name}", level="ok", message=message)
    seconds = there.get("expiry", {}).get("expireAfterSeconds")
    if seconds is None:
        message = "nothing that is deleted will be removed"
        yield Finding(
            name=f"retention of {name}", level="fault", message=message, cure=_MEND_INDEXES
        )
    else:
        message = f"what is deleted is removed after {seconds / 86400:g} days"
        yield Finding(name=f"retention of {name}", level="ok", message=message)


def _counted(name: str, count: int, noun: str, cure: str) -> Finding:
    if count:
        return Finding(name=name, level="warning", message=f"{count} {noun}", cure=cure)
    return Finding(name=name, level="ok", message="none")
