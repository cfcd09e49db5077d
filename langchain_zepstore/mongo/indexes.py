"""The indexes of all collections, and their creation."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import AuthError
from langchain_zepstore.mongo.documents import Query
from langchain_zepstore.mongo.driver.collection import Collection
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.driver.errors import is_forbidden

DEFAULT_RETENTION = timedelta(days=30)
SESSION_TTL_MARGIN = timedelta(days=1)
"""Sessions and users outlive their messages by this much."""

LIVE = {"deleted_at": None}
"""The partial filter of indexes on live documents."""

DELETED = {"deleted_at": {"$exists": True}}
"""The partial filter of indexes on soft-deleted documents."""

EXPIRY = "expiry"
OLD_WORD_INDEXES = ("live_by_words", "live_by_tokens")
"""Indexes of earlier versions, which searches by words do not use any more."""

_BY_TOKENS, _UNINDEXED = "by_tokens_", "unindexed_"

FIRST_MESSAGE_INDEXES = [
    IndexModel(
        [("session_id", ASCENDING), ("seq", ASCENDING)],
        name="live_by_number",  # every read of a conversation
        partialFilterExpression=LIVE,
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
"""The indexes that the first call makes; ``expiry`` as well, in each collection.

All others are made when they are first needed, since each costs whoever writes.
"""

DELETED_BY_SCOPE = IndexModel(
    # For an erasure or an export: under ids that others have now.
    [("scope", ASCENDING), ("_id", ASCENDING)],
    name="deleted_by_scope",
    partialFilterExpression=DELETED,
)
ERASED = IndexModel(
    [("expires_at", ASCENDING)],
    name="erased",  # the database removes what an erasure left
    expireAfterSeconds=0,
    partialFilterExpression={"expires_at": {"$exists": True}},
)
SCOPE_INDEX = IndexModel(
    # All that a user said, the latest first.
    [("scope", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)],
    name="live_by_scope",
    partialFilterExpression=LIVE,
)
MESSAGE_INDEXES = [*FIRST_MESSAGE_INDEXES, DELETED_BY_SCOPE, ERASED]

BY_ID = IndexModel([("id", ASCENDING)], name="by_id")
LIVE_BY_ID = IndexModel([("id", ASCENDING)], name="live_by_id", partialFilterExpression=LIVE)
BY_USER = IndexModel([("user_id", ASCENDING), ("id", ASCENDING)], name="by_user")
BY_SUMMARY_TAKEN = IndexModel(
    [("deletion.at", ASCENDING)],
    name="by_summary_taken",  # for the purge: of sessions that live again
    partialFilterExpression={"deletion.summary": {"$exists": True}},
)
ERASING_BY_USER = IndexModel(
    [("erasing.user_id", ASCENDING)],
    name="erasing_by_user",  # for the repeat of an erasure
    partialFilterExpression={"erasing": {"$exists": True}},
)


def _recent_indexes(
    name: str, keys: list[tuple[str, int]], only: Query, order: str = "active_at"
) -> tuple[IndexModel, IndexModel]:
    """Return the indexes for recent sessions with a filter: of everybody, and of a user.

    They are partial, so that a session which nobody organized has no keys in them.
    """
    by_time = [*keys, (order, DESCENDING), ("id", DESCENDING)]
    return (
        IndexModel(by_time, name=f"{name}_by_time", partialFilterExpression=only),
        IndexModel(
            [("user_id", ASCENDING), *by_time],
            name=f"{name}_by_user_and_time",
            partialFilterExpression=only,
        ),
    )


_LIVE_BY_ACTIVITY = (
    IndexModel(
        [("active_at", DESCENDING), ("id", DESCENDING)],
        name="live_by_activity",
        partialFilterExpression=LIVE,
    ),
    IndexModel(
        # Each turn moves its key: a session that is nobody's has none.
        [("user_id", ASCENDING), ("active_at", DESCENDING), ("id", DESCENDING)],
        name="live_by_user_and_activity",
        partialFilterExpression={**LIVE, "user_id": {"$gte": ""}},
    ),
)
_PINNED = _recent_indexes("pinned", [], {**LIVE, "pinned": True})
_ARCHIVED = _recent_indexes("archived", [], {**LIVE, "archived": True})
_TAGGED = _recent_indexes("tagged", [("tags", ASCENDING)], {**LIVE, "tags": {"$exists": True}})
_DELETED = _recent_indexes("deleted", [], DELETED, order="deleted_at")

SESSION_INDEXES = [
    *(BY_ID, LIVE_BY_ID, BY_USER, BY_SUMMARY_TAKEN, ERASING_BY_USER),
    *(*_LIVE_BY_ACTIVITY, *_PINNED, *_ARCHIVED, *_TAGGED, *_DELETED),
]
USER_INDEXES = [LIVE_BY_ID]


def recent_index(query: Query, user_id: str | None) -> IndexModel:
    """Return the index for recent sessions, or deleted ones, that match a query.

    Args:
        query: The query.
        user_id: Whose they are; ``None`` for everybody's.
    """
    if query.get("deleted_at"):
        pair = _DELETED
    elif query.get("pinned") is True:
        pair = _PINNED
    elif query.get("archived") is True:
        pair = _ARCHIVED
    else:
        pair = _TAGGED if "tags" in query else _LIVE_BY_ACTIVITY
    return pair[user_id is not None]


def listing_index(user_id: str | None, *, is_live: bool = True) -> IndexModel:
    """Return the index for sessions by their ``id``.

    Args:
        user_id: Whose they are; ``None`` for everybody's.
        is_live: Whether only live ones are listed.
    """
    if user_id is not None:
        return BY_USER
    return LIVE_BY_ID if is_live else BY_ID


def tokens_field(language: str) -> str:
    """Return the path of the tokens of a language in a message."""
    return f"tokens.{language}"


def token_index(language: str) -> str:
    """Return the name of the index of tokens in a language."""
    return _BY_TOKENS + language


def unindexed_index(language: str) -> str:
    """Return the name of the index of live messages that have no tokens in a language yet."""
    return _UNINDEXED + language


def indexed_language(names: Iterable[str]) -> str | None:
    """Return the language of searches by words that indexes of these names serve."""
    prefix = _BY_TOKENS
    return next((name.removeprefix(prefix) for name in names if name.startswith(prefix)), None)


def word_indexes(language: str) -> list[IndexModel]:
    """Return the indexes for searching by words in a language.

    They are prefixed by ``scope``: a search reads one user's words, or those of one session that
    has no user. A deletion removes the tokens, so that counting those of a word reads no message.
    """
    tokens = tokens_field(language)
    return [
        IndexModel(
            [("scope", ASCENDING), (tokens, ASCENDING)],
            name=token_index(language),
            partialFilterExpression={tokens: {"$exists": True}},
        ),
        IndexModel(
            [("scope", ASCENDING)],
            name=unindexed_index(language),
            partialFilterExpression={**LIVE, tokens: None},
        ),
    ]


def sharding_commands(database: str) -> list[Query]:
    """Return the commands by which an administrator shards the data, through a router.

    Sessions are spread by the hash of their id. Messages are split by session id, not by its hash:
    MongoDB keeps an index unique across shards only if it begins with the shard key. So a session's
    messages stand on one shard, and their ids and numbers stay unique there. Users and counters
    stay where they are.

    Each is a command for ``client.admin.command(…)``. The indexes must be there: let the
    application run once before. MongoDB splits and balances on its own from then on.

    Args:
        database: The database's name.
    """
    return [
        {"enableSharding": database},
        {"shardCollection": f"{database}.sessions", "key": {"_id": "hashed"}},
        {"shardCollection": f"{database}.messages", "key": {"session_id": 1}},
    ]


def ensure_indexes(database: Database, retention: timedelta | None) -> Operation[None]:
    """Create those of the first indexes that are missing, and set the retention if one is given.

    Without the right to do so, a warning; what works without them works more slowly. Nothing is
    purged then, and a message added again under its id is stored twice.
    """
    refusals = []
    for collection, indexes, margin in (
        (database.messages, FIRST_MESSAGE_INDEXES, timedelta()),
        (database.sessions, [], SESSION_TTL_MARGIN),
        (database.users, [], SESSION_TTL_MARGIN),
    ):
        try:
            yield from _ensure(database, collection, indexes, retention, margin)
        except AuthError as error:
            if not is_forbidden(error):
                raise
            refusals.append(str(error.__cause__))
    if refusals:
        database.indexes.warn(
            "these credentials may not create indexes, without which reads are slow, nothing is "
            "purged, and a message added again is stored twice; let an administrator make the "
            f"same calls once, or grant createIndex and collMod ({refusals[0]})"
        )


def _ensure(
    database: Database,
    collection: Collection[Any],
    indexes: list[IndexModel],
    retention: timedelta | None,
    margin: timedelta,
) -> Operation[None]:
    # Without a retention the setting of the database stays: a second program cannot shorten it by
    # accident.
    expiry = DEFAULT_RETENTION if retention is None else retention
    seconds = round((expiry + margin).total_seconds())
    there = yield from collection.index_information()
    database.indexes.note(collection, there)
    wanted = [
        *indexes,
        IndexModel(
            [("deleted_at", ASCENDING)],
            name=EXPIRY,
            expireAfterSeconds=seconds,
            partialFilterExpression=DELETED,
        ),
    ]
    missing = [index for index in wanted if index.document["name"] not in there]
    if missing:
        yield from collection.create_indexes(missing)
    if EXPIRY in there and retention is not None:
        current = there[EXPIRY].get("expireAfterSeconds")
        if current != seconds:
            yield from collection.set_expiry(EXPIRY, seconds)
