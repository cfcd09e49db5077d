"""Indexes: which there are, what each is for, and making sure of them."""

import warnings
from datetime import timedelta

from pymongo import ASCENDING, DESCENDING, IndexModel

from langchain_zepstore.errors import AuthError
from langchain_zepstore.mongo.collections import Collection, Database
from langchain_zepstore.mongo.failures import UNAUTHORIZED
from langchain_zepstore.running import Operation

DEFAULT_RETENTION = timedelta(days=30)
SESSIONS_LINGER = timedelta(days=1)  # sessions are purged so much later than their messages

_LIVE = {"deleted_at": None}
_EXPIRY = "expiry"

MESSAGE_INDEXES = [
    IndexModel(
        [("session_id", ASCENDING), ("seq", ASCENDING)],
        name="live_by_number",  # every read of a conversation
        partialFilterExpression=_LIVE,
    ),
    IndexModel(
        # A message id exists once per session, but for deleted messages that gave way to another.
        [("session_id", ASCENDING), ("uuid", ASCENDING), ("superseded", ASCENDING)],
        name="by_uuid",
        unique=True,
    ),
    IndexModel(
        [("session_id", ASCENDING), ("deletion", ASCENDING), ("seq", ASCENDING)],
        name="by_deletion",  # what a deletion took
        partialFilterExpression={"deletion": {"$exists": True}},
    ),
]
SESSION_INDEXES = [
    IndexModel([("id", ASCENDING)], name="by_id"),  # listings that include the deleted
    IndexModel([("id", ASCENDING)], name="live_by_id", partialFilterExpression=_LIVE),
    IndexModel([("user_id", ASCENDING), ("id", ASCENDING)], name="by_user"),
    IndexModel(
        [("active_at", DESCENDING), ("id", DESCENDING)],
        name="live_by_activity",
        partialFilterExpression=_LIVE,
    ),
    IndexModel(
        [("user_id", ASCENDING), ("active_at", DESCENDING), ("id", DESCENDING)],
        name="live_by_user_and_activity",
        partialFilterExpression=_LIVE,
    ),
]
USER_INDEXES = [
    IndexModel([("id", ASCENDING)], name="live_by_id", partialFilterExpression=_LIVE),
]


def ensure_indexes(database: Database, retention: timedelta | None) -> Operation[None]:
    """Create the indexes that are missing, and set the retention if one is given.

    Without the right to do so, a warning; everything works without, if more slowly, but for the
    purge and the uniqueness of message ids under concurrent writers.
    """
    try:
        for collection, indexes, linger in (
            (database.messages, MESSAGE_INDEXES, timedelta()),
            (database.sessions, SESSION_INDEXES, SESSIONS_LINGER),
            (database.users, USER_INDEXES, SESSIONS_LINGER),
        ):
            yield from collection.create_indexes(indexes)
            yield from _ensure_expiry(collection, retention, linger)
    except AuthError as error:
        if getattr(error.__cause__, "code", None) != UNAUTHORIZED:
            raise
        warnings.warn(
            "these credentials may not create indexes; let an administrator run the application "
            f"once, or grant createIndex and collMod ({error.__cause__})",
            stacklevel=2,
        )


def _ensure_expiry(
    collection: Collection, retention: timedelta | None, linger: timedelta
) -> Operation[None]:
    """Let the database remove what has been deleted for the retention.

    Without one, the setting of the database stays: a second program cannot shorten it by accident.
    """
    indexes = yield from collection.index_information()
    if _EXPIRY not in indexes:
        seconds = round(((retention or DEFAULT_RETENTION) + linger).total_seconds())
        index = IndexModel(
            [("deleted_at", ASCENDING)],
            name=_EXPIRY,
            expireAfterSeconds=seconds,
            partialFilterExpression={"deleted_at": {"$exists": True}},
        )
        yield from collection.create_indexes([index])
    elif retention is not None:
        seconds = round((retention + linger).total_seconds())
        if indexes[_EXPIRY].get("expireAfterSeconds") != seconds:
            yield from collection.set_expiry(_EXPIRY, seconds)
