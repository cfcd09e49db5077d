"""Statistics of recent activity, at a bounded cost."""

from collections import Counter
from typing import Any

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.models import Activity
from langchain_zepstore.mongo.documents import Query, SessionDocument, Stage
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.indexes import EXPIRY, LIVE, recent_index

MAX_SESSIONS = 2000
"""The sessions that are looked at."""

MAX_MESSAGES = 10_000
"""The messages that are looked at."""

_SIZES = [256, 1024, 4096, 16_384, 65_536, 1 << 20, 1 << 24]
_SIZE = {"$bsonSize": {name: f"${name}" for name in ("content", "langchain", "metadata")}}
_PER_DAY_ROLE_AND_SIZE: Stage = {
    "$group": {
        "_id": {
            "day": {"$dateToString": {"date": "$created_at", "format": "%Y-%m-%d"}},
            "role": "$role",
            "size": {
                "$switch": {
                    "branches": [
                        {"case": {"$lte": [_SIZE, size]}, "then": size} for size in _SIZES[:-1]
                    ],
                    "default": _SIZES[-1],
                }
            },
        },
        "number": {"$sum": 1},
    }
}


def activity(database: Database, user_id: str | None) -> Operation[Activity]:
    """Return statistics of recent activity.

    Args:
        database: The database, or a view.
        user_id: Only this user's sessions.
    """
    query: Query = LIVE if user_id is None else {**LIVE, "user_id": user_id}
    index = recent_index(query, user_id or database.viewer)
    yield from database.indexes.ensure(database.sessions, index)
    found: list[SessionDocument] = yield from database.sessions.find(
        query,
        sort={"active_at": -1, "id": -1},
        limit=MAX_SESSIONS + 1,
        fields={"user_id": 1, "seq": 1},
    )
    sessions = found[:MAX_SESSIONS]
    chosen, is_all = _messages_of(sessions)
    groups: list[Any] = []
    if sessions:
        groups = yield from database.messages.aggregate(
            [{"$match": {**LIVE, **chosen}}, {"$limit": MAX_MESSAGES}, _PER_DAY_ROLE_AND_SIZE],
            hint="live_by_number",
        )
    retention = yield from retention_seconds(database)
    per: dict[str, Counter[Any]] = {name: Counter() for name in ("day", "role", "size")}
    for group in groups:
        for name, counter in per.items():
            counter[group["_id"][name]] += group["number"]
    return Activity(
        sessions=len(sessions),
        messages=per["day"].total(),
        is_complete=is_all and len(found) == len(sessions),
        messages_per_day=dict(sorted(per["day"].items())),
        messages_per_role=dict(per["role"].most_common()),
        messages_per_size=dict(sorted(per["size"].items())),
        sessions_per_user=dict(
            Counter(each.get("user_id") or "" for each in sessions).most_common()
        ),
        retention_seconds=retention,
    )


def retention_seconds(database: Database) -> Operation[int | None]:
    """Return after how long deleted messages are removed; ``None`` if they are not."""
    indexes = yield from database.messages.index_information()
    seconds: int | None = indexes.get(EXPIRY, {}).get("expireAfterSeconds")
    return seconds


def _messages_of(sessions: list[SessionDocument]) -> tuple[Query, bool]:
    """Return a query for the messages of the first sessions that are few enough, and if of all."""
    chosen: list[str] = []
    left = MAX_MESSAGES
    for session in sessions:
        left -= session["seq"]
        if left < 0:
            break
        chosen.append(session["_id"])
    if sessions and not chosen:
        newest = {"$gt": sessions[0]["seq"] - MAX_MESSAGES}
        return {"session_id": sessions[0]["_id"], "seq": newest}, False
    return {"session_id": {"$in": chosen}}, len(chosen) == len(sessions)
