"""Handing out numbers: a session's next ones, which creates and revives it, and the dense ids."""

from uuid import uuid4

from bson import Int64

from langchain_zepstore.mongo.collections import Database, Document
from langchain_zepstore.mongo.merging import literal, merged
from langchain_zepstore.mongo.values import encoded_metadata
from langchain_zepstore.running import Operation
from langchain_zepstore.store import Newborn

_RESERVED = {"uuid": 1, "seq": 1, "user_id": 1, "active_at": 1}


def reserve(
    database: Database,
    session_id: str,
    count: int,
    *,
    metadata: Document | None = None,
    newborn: Newborn | None = None,
) -> Operation[Document]:
    """Hand out the next numbers of a session, which it creates, revives and stamps by the way.

    The update does not wait for durability: the insert that follows does, and carries it. Only a
    creation waits, since on a sharded cluster the messages may be on another machine.

    Args:
        database: Where.
        session_id: Whose numbers.
        count: How many.
        metadata: Merged into the session's, encoded.
        newborn: What the session gets if it has to be created.

    Returns:
        ``_id``, ``uuid``, ``user_id``, ``active_at`` and the last number as ``seq``.
    """
    query = {"_id": session_id}
    update = _reserving(count, metadata)
    session = yield from database.sessions.find_one_and_update(
        query, update, fields=_RESERVED, swift=True
    )
    if session is None:
        birth = yield from _birth(database, newborn or Newborn())
        session = yield from database.sessions.find_one_and_update(
            query, [{"$set": birth}, *update], fields=_RESERVED, upsert=True
        )
    assert session is not None
    return session


def _reserving(count: int, metadata: Document | None) -> list[Document]:
    changes: Document = {
        "seq": {"$add": ["$seq", Int64(count)]},
        "active_at": "$$NOW",
        "updated_at": {"$cond": [{"$ifNull": ["$deleted_at", False]}, "$$NOW", "$updated_at"]},
        "deletion": CLOSED_DELETION,
    }
    if metadata:
        changes["metadata"] = merged("$metadata", metadata)
        changes["updated_at"] = "$$NOW"
    return [{"$set": changes}, {"$unset": "deleted_at"}]


CLOSED_DELETION = {
    "$cond": [
        {"$eq": ["$deletion.open", True]},
        {"$mergeObjects": ["$deletion", {"open": False}]},
        "$deletion",
    ]
}
"""A session's deletion, closed if it was open: whoever adds to a session keeps it alive."""


def _birth(database: Database, newborn: Newborn) -> Operation[Document]:
    # Two may give birth at once; the fields of the first stay, the second's number is a gap.
    number = yield from next_number(database, "sessions")
    fields: Document = {
        "uuid": str(uuid4()),
        "id": number,
        "seq": Int64(0),
        "created_at": "$$NOW",
        "updated_at": "$$NOW",
    }
    metadata = newborn.metadata
    if metadata is not None:
        metadata = encoded_metadata(metadata, "session_metadata")
    birth: Document = {name: {"$ifNull": [f"${name}", value]} for name, value in fields.items()}
    for name, value in (("user_id", newborn.user_id), ("metadata", metadata)):
        if value is not None:
            is_new = {"$eq": [{"$type": "$uuid"}, "missing"]}
            birth[name] = {"$cond": [is_new, literal(value), f"${name}"]}
    return birth


def next_number(database: Database, kind: str) -> Operation[int]:
    """Hand out the next of the small dense numbers by which a kind of thing is listed."""
    counter = yield from database.counters.find_one_and_update(
        {"_id": kind}, {"$inc": {"last": 1}}, upsert=True
    )
    assert counter is not None
    return int(counter["last"])
