"""The users that own sessions: checked, or created when they are first named."""

from typing import Literal

from langchain_zepstore.core.ids import new_id
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import AlreadyExistsError, BadRequestError
from langchain_zepstore.mongo.counters import next_number
from langchain_zepstore.mongo.deletion.marks import with_id
from langchain_zepstore.mongo.documents import (
    Fields,
    MessageDocument,
    Query,
    SessionDocument,
    Stage,
    Update,
    UserDocument,
)
from langchain_zepstore.mongo.driver.collection import Collection
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.expressions import literal


def check_owner(session: SessionDocument | None, user_id: str | None) -> None:
    """Raise ``BadRequestError`` if a session is another user's; without an owner, it is not."""
    if session and user_id is not None and session.get("user_id") not in (None, user_id):
        raise BadRequestError(f"session {session['_id']!r} belongs to another user")


def find_owned(
    messages: Collection[MessageDocument],
    query: Query,
    user_id: str | None,
    *,
    order: Literal[1, -1],
    skip: int,
    limit: int,
    fields: Fields,
) -> Operation[list[MessageDocument]]:
    """Return messages of a session by their numbers, and check its owner in the same command.

    Args:
        messages: The collection.
        query: The session's id, and what else they match.
        user_id: The session's user, if it has one; ``None``: whoever it is.
        order: 1 for the first ones first, -1 for the last ones.
        skip: How many to leave out.
        limit: How many to return at most; 0 for all.
        fields: A projection, with ``seq`` and ``scope``.

    Raises:
        BadRequestError: The session, live or deleted, is another user's.
    """
    if user_id is None:
        found = messages.find(query, sort={"seq": order}, skip=skip, limit=limit, fields=fields)
        return (yield from found)
    session_id = query["session_id"]
    owner = [{"$match": {"_id": session_id}}, {"$project": {"user_id": 1}}]
    stages = [
        {"$match": query},
        {"$sort": {"seq": order}},
        *([{"$skip": skip}] if skip else ()),
        *([{"$limit": limit}] if limit else ()),
        {"$project": fields},
        {"$unionWith": {"coll": "sessions", "pipeline": owner}},
    ]
    documents = yield from messages.aggregate(stages)
    for session in (each for each in documents if "seq" not in each):
        check_owner(session, user_id)
    messages_read = [each for each in documents if "seq" in each]
    # The session may have become another user's while it was read.
    own = {None, f"u:{user_id}", f"s:{session_id}"}  # None: as old as before scopes
    if any(each.get("scope") not in own for each in messages_read):
        raise BadRequestError(f"session {session_id!r} belongs to another user")
    # MongoDB promises no order behind the union.
    return sorted(messages_read, key=lambda each: order * each["seq"])


def require_free(database: Database, session_id: str) -> Operation[None]:
    """Raise ``BadRequestError`` if a session that a view does not show has the id."""
    if database.viewer is None:
        return
    found = yield from database.whole.sessions.find_one(with_id(session_id), fields={"user_id": 1})
    if found and found.get("user_id") != database.viewer:
        raise _taken(database, session_id)


def shown_or_free(database: Database, session_id: str) -> Query:
    """Return the query for a session unless a view hides it; also for what an erasure left."""
    query: Query = {"_id": session_id}
    if database.viewer is not None:
        query["$or"] = [{"user_id": database.viewer}, {"uuid": {"$exists": False}}]
    return query


def upsert_session(
    database: Database, session_id: str, update: Update, fields: Fields | None = None
) -> Operation[SessionDocument]:
    """Update a session, which is inserted if need be, and return it.

    Raises:
        BadRequestError: A session that a view does not show has the id.
    """
    try:
        session = yield from database.whole.sessions.find_one_and_update(
            shown_or_free(database, session_id), update, fields=fields, upsert=True
        )
    except AlreadyExistsError as error:
        raise _taken(database, session_id) from error
    assert session is not None
    return session


def _taken(database: Database, session_id: str) -> BadRequestError:
    return BadRequestError(
        f"session {session_id!r} exists already and does not belong to user {database.viewer!r}"
    )


class MissingUserError(BadRequestError):
    """There is no user of that id."""


def require_user(database: Database, user_id: str) -> Operation[None]:
    """Raise ``MissingUserError`` unless there is such a user."""
    found = yield from database.users.find_one(
        {"_id": user_id, "deleted_at": None}, fields={"_id": 1}
    )
    if found is None:
        raise MissingUserError(f"there is no user {user_id!r}; add it first")


def ensure_user(database: Database, user_id: str) -> Operation[None]:
    """Create a user unless there is one; undelete a deleted one."""
    found = yield from database.users.find_one(
        {"_id": user_id, "deleted_at": None}, fields={"_id": 1}
    )
    if found is None:
        yield from upsert_user(database, user_id, new_id(), {})


def upsert_user(
    database: Database, user_id: str, token: str, fields: Stage, times: Stage | None = None
) -> Operation[UserDocument]:
    """Create or undelete a user with these fields; a live one stays as it is.

    Args:
        database: The database.
        user_id: The user's id.
        token: The ``uuid`` of a new one.
        fields: What the user gets.
        times: What a new one gets in place of the present moment.
    """
    number = yield from next_number(database, "users")
    is_insert = {"$eq": [{"$type": "$uuid"}, "missing"]}
    revived = {"$ne": [{"$ifNull": ["$deleted_at", None]}, None]}
    is_new = {"$or": [is_insert, revived]}
    first = {"uuid": token, "id": number, "created_at": "$$NOW"}
    changes: Stage = {
        **{name: {"$cond": [is_insert, value, f"${name}"]} for name, value in first.items()},
        **{name: {"$cond": [is_new, literal(value), f"${name}"]} for name, value in fields.items()},
        "revival": {"$cond": [revived, token, "$revival"]},
        "updated_at": {"$cond": [is_new, "$$NOW", "$updated_at"]},
        "deleted_at": "$$REMOVE",
        "deleting": "$$REMOVE",
    }
    for name, time in (times or {}).items():
        changes[name] = {"$cond": [is_insert, literal(time), changes[name]]}
    user = yield from database.users.find_one_and_update(
        {"_id": user_id}, [{"$set": changes}], upsert=True
    )
    assert user is not None
    return user
