"""Reserve a session's next sequence numbers. Creates or undeletes it as a side effect."""

import time

from bson import Int64

from langchain_zepstore.core.arguments import SessionDefaults
from langchain_zepstore.core.ids import new_id
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import NotFoundError
from langchain_zepstore.mongo.counters import next_number
from langchain_zepstore.mongo.deletion.marks import this_session
from langchain_zepstore.mongo.documents import Metadata, Query, Stage
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.driver.durability import Reservation
from langchain_zepstore.mongo.encoding import encoded_metadata
from langchain_zepstore.mongo.expressions import literal, merged
from langchain_zepstore.mongo.ownership import (
    check_owner,
    ensure_user,
    require_free,
    upsert_session,
)

RESERVATION_FIELDS = dict.fromkeys(("metadata", "summary", "deletion", "forks"), 0)
"""A projection with the fields of a session that a reservation needs.

It names those of any size: a server is faster to leave out few than to pick many.
"""


def reserve(
    database: Database,
    session_id: str,
    count: int,
    *,
    metadata: Metadata | None = None,
    defaults: SessionDefaults | None = None,
    incarnation: str | None = None,
) -> Operation[Reservation]:
    """Reserve the next sequence numbers of a session, which is created or undeleted if need be.

    For a live session that does not wait for the disk when the next insert can make it durable;
    whoever inserts must see to it that it did (``LastWriter.makes_durable``), or ``confirm`` it.

    Args:
        database: The database.
        session_id: The session's id.
        count: How many numbers.
        metadata: Encoded metadata, merged into the session's.
        defaults: What the session gets if it has to be created; its user must be the session's.
        incarnation: The only one in which; the session is not created.

    Raises:
        BadRequestError: The session is another user's; it stays as it is. In a view, likewise one
            that is nobody's.
        NotFoundError: The session has not the incarnation.
    """
    defaults = defaults or SessionDefaults()
    user_id = database.owner(defaults.user_id)
    update = reserving(count, metadata, user_id)
    writer = database.last_writer.get() if count else None
    begun_at = time.monotonic()
    # A query for _id alone is not planned; the update changes nothing but an incarnation.
    this: Query = {"_id": session_id}
    if incarnation is not None:
        this["uuid"] = incarnation
    session = yield from database.sessions.find_one_and_update(
        this, update, fields=RESERVATION_FIELDS, durable=writer is None
    )
    if session and "uuid" not in session:  # what an erasure leaves until it is complete
        session = None
    if session is None and incarnation is not None:
        raise NotFoundError(f"session {session_id!r} is gone")
    if session is None:
        yield from require_free(database, session_id)
        fields = yield from _defaults_on_insert(database, user_id, defaults.session_metadata)
        writer = None
        session = yield from upsert_session(
            database, session_id, [{"$set": fields}, *update], RESERVATION_FIELDS
        )
    check_owner(session, user_id)
    reservation = Reservation(session, writer, begun_at)
    if writer is not None and session.get("revived") == session["seq"]:
        # If the writer died with the server, a message would stay live in a deleted session.
        yield from confirm(database, reservation)
    return reservation


def confirm(database: Database, reservation: Reservation) -> Operation[bool]:
    """Make a reservation durable, unless it was lost. Returns whether it is there."""
    session = reservation.session
    held = {
        **this_session(session),
        "seq": {"$gte": session["seq"]},
        "turn": session.get("turn"),  # an edit may have been given the numbers of a lost one
    }
    there = yield from database.sessions.update(held, {"$max": {"seq": session["seq"]}})
    if there:
        reservation.note_durable()
    return bool(there)


def reserving(count: int, metadata: Metadata | None, user_id: str | None = None) -> list[Stage]:
    """Return the update that reserves the next numbers of a session, and undeletes it.

    It leaves what has no ``uuid`` as it is.

    Args:
        count: How many numbers.
        metadata: Encoded metadata, merged into the session's.
        user_id: Another user's session than this one's stays as it is.
    """
    last = {"$add": ["$seq", Int64(count)]}
    changes: Stage = {
        "seq": last,
        "revived": {"$cond": [_IS_DELETED, last, "$revived"]},
        "active_at": "$$NOW",
        "updated_at": {"$cond": [{"$ifNull": ["$deleted_at", False]}, "$$NOW", "$updated_at"]},
        "deletion": CLOSED_DELETION,
    }
    if metadata:
        changes["metadata"] = merged("$metadata", metadata)
        changes["updated_at"] = "$$NOW"
    changes["deleted_at"] = "$$REMOVE"
    applies: Stage = {"$gt": ["$uuid", None]}
    if user_id is not None:  # another user's session stays as it is
        owners = [None, literal(user_id)]
        applies = {"$and": [applies, {"$in": [{"$ifNull": ["$user_id", None]}, owners]}]}
    changes = {name: {"$cond": [applies, value, f"${name}"]} for name, value in changes.items()}
    return [{"$set": changes}]


_IS_DELETED = {"$or": [{"$ifNull": ["$deleted_at", False]}, {"$eq": ["$deletion.open", True]}]}

CLOSED_DELETION = {
    "$cond": [
        {"$eq": ["$deletion.open", True]},
        {"$mergeObjects": ["$deletion", {"open": False}]},
        "$deletion",
    ]
}
"""The ``deletion`` of a session that an add or an update keeps alive: closed if it was open."""


def _defaults_on_insert(
    database: Database, user_id: str | None, session_metadata: Metadata | None
) -> Operation[Stage]:
    metadata = None
    if session_metadata is not None:
        metadata = encoded_metadata(session_metadata, "session_metadata")
    if user_id is not None:
        yield from ensure_user(database, user_id)
    return (yield from fields_on_insert(database, new_id(), user_id, metadata))


def fields_on_insert(
    database: Database,
    token: str,
    user_id: str | None,
    metadata: Metadata | None,
    others: Stage | None = None,
) -> Operation[Stage]:
    """Return the ``$set`` that an upsert needs to create a session; an existing one stays.

    Of two upserts at once the first one's fields stay; the second one's ``id`` is a gap.

    Args:
        database: The database.
        token: The session's ``uuid``.
        user_id: Its user.
        metadata: Its metadata, encoded.
        others: Its other fields, as expressions.
    """
    number = yield from next_number(database, "sessions")
    return on_insert(number, token, user_id, metadata, others or {})


def on_insert(
    number: int, token: str, user_id: str | None, metadata: Metadata | None, others: Stage
) -> Stage:
    """Return the ``$set`` that creates a session with a number; see ``fields_on_insert``.

    Args:
        number: Its ``id``.
        token: Its ``uuid``.
        user_id: Its user.
        metadata: Its metadata, encoded.
        others: Its other fields, as expressions.
    """
    fields: Stage = {
        "uuid": token,
        "id": number,
        "seq": Int64(0),
        "created_at": "$$NOW",
        "updated_at": "$$NOW",
        "active_at": "$$NOW",
        "user_id": literal(user_id),
        "metadata": literal(metadata),
        "deleted_at": "$$REMOVE",
        **others,
    }
    is_insert = {"$eq": [{"$type": "$uuid"}, "missing"]}
    return {name: {"$cond": [is_insert, value, f"${name}"]} for name, value in fields.items()}
