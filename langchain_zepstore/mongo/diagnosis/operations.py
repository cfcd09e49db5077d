"""Statistics of the database, and its diagnosis."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import APIError, AuthError
from langchain_zepstore.models import Activity, Finding, Stats
from langchain_zepstore.mongo.deletion.marks import Marking
from langchain_zepstore.mongo.diagnosis import server
from langchain_zepstore.mongo.diagnosis.activity import activity, retention_seconds
from langchain_zepstore.mongo.diagnosis.contents import MEND, UNSETTLED, Contents
from langchain_zepstore.mongo.documents import Query
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.driver.errors import UNAUTHORIZED, MissingIndexError
from langchain_zepstore.mongo.indexes import DELETED, LIVE, ensure_indexes

_DAYS = 30
_MENDED_SESSIONS = 1000


class Diagnosis:
    """Counts what is stored, and checks the database.

    Args:
        database: The database.
        model: The name of the client's embeddings; ``None`` without any.
    """

    def __init__(self, database: Database, model: str | None) -> None:
        self._database = database
        self._model = model

    def stats(self) -> Operation[Stats]:
        """Return statistics of the store."""
        database = self._database.require_whole()
        counts: dict[str, int] = {}
        for collection in (database.sessions, database.messages, database.users):
            name = collection.name
            is_shown = {} if name == "messages" else {"uuid": {"$exists": True}}
            trash: Query = {**DELETED, "placeholder": None, **is_shown}
            counts[f"deleted_{name}"] = yield from collection.count(trash)
            counts[name] = yield from collection.count(LIVE)
        data_bytes, index_bytes = yield from self._sizes()
        since = datetime.now(UTC) - timedelta(days=_DAYS)
        day = {"$dateToString": {"date": "$active_at", "format": "%Y-%m-%d"}}
        found = yield from database.sessions.aggregate(
            [
                {"$match": {**LIVE, "active_at": {"$gte": since}}},
                {"$group": {"_id": day, "n": {"$sum": 1}}},
                {"$sort": {"_id": 1}},
            ]
        )
        retention = yield from retention_seconds(database)
        per_day = {each["_id"]: each["n"] for each in found}
        return Stats(
            **counts,
            data_bytes=data_bytes,
            index_bytes=index_bytes,
            retention_seconds=retention,
            active_sessions_per_day=per_day,
        )

    def activity(self, user_id: str | None) -> Operation[Activity]:
        """Return statistics of recent activity."""
        return activity(self._database, user_id)

    def _sizes(self) -> Operation[tuple[int, int]]:
        """Return the bytes of documents and of indexes."""
        database = self._database
        data_bytes = index_bytes = 0
        for collection in (database.sessions, database.messages, database.users):
            size = yield from database.command("collStats", value=collection.name)
            data_bytes += int(size.get("storageSize", 0))
            index_bytes += int(size.get("totalIndexSize", 0))
        return data_bytes, index_bytes

    def diagnose(self, *, mend: bool) -> Operation[list[Finding]]:
        """Check the database; the first findings are about the server."""
        database = self._database.require_whole()
        if mend:
            yield from self._mend()
        contents = Contents(database, self._model)
        checks: list[tuple[str, Callable[[], Operation[list[Finding]]]]] = [
            ("server", self._server),
            ("indexes", contents.indexes),
            ("TTL monitor", contents.ttl_monitor),
            ("disk", self._disk),
            ("memory", self._memory),
            ("search by words", contents.search),
            ("vectors", contents.vectors),
            ("interrupted deletions", contents.interrupted),
            ("adds that never came", contents.lost_adds),
        ]
        findings: list[Finding] = []
        for name, check in checks:
            try:
                findings += yield from check()
            except MissingIndexError:
                message = "it cannot be seen without the indexes"
                findings.append(Finding(name=name, level="warning", message=message, cure=MEND))
            except (APIError, AuthError) as error:
                findings.append(_unseen(name, error))
        return findings

    def _server(self) -> Operation[list[Finding]]:
        database = self._database
        hello = yield from database.command("hello")
        build = yield from database.command("buildInfo")
        status = yield from database.command("connectionStatus", showPrivileges=True)
        return [
            server.server(hello, build, database.embedded),
            server.write_concern(database.messages.write_concern),
            server.clock(hello),
            server.rights(status, database.name),
        ]

    def _disk(self) -> Operation[list[Finding]]:
        return list(server.disk((yield from self._database.command("dbStats"))))

    def _memory(self) -> Operation[list[Finding]]:
        _, index_bytes = yield from self._sizes()
        status = yield from self._database.command("serverStatus")
        return list(server.memory(status, index_bytes))

    def _mend(self) -> Operation[None]:
        database = self._database
        yield from ensure_indexes(database, retention=None)
        marking = Marking(database)
        sessions: list[Any] = yield from database.sessions.find(UNSETTLED, limit=_MENDED_SESSIONS)
        for session in sessions:
            yield from marking.recover(session)


def _unseen(name: str, error: APIError | AuthError) -> Finding:
    if isinstance(error, APIError):
        return Finding(name=name, level="ok", message=f"it cannot be seen here: {error}")
    if getattr(error.__cause__, "code", None) != UNAUTHORIZED:
        raise error
    cure = "grant the role clusterMonitor, or let an administrator look"
    message = "these credentials may not see it"
    return Finding(name=name, level="ok", message=message, cure=cure)
