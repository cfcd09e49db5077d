"""Operations on messages, except deletion."""

from collections.abc import Iterator, Sequence
from typing import Literal, TypeVar, cast

from bson import ObjectId

from langchain_zepstore.core.arguments import SessionDefaults
from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.messages import langchain as lc_messages
from langchain_zepstore.models import Message
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.deletion.marks import Marking
from langchain_zepstore.mongo.documents import (
    MessageDocument,
    Metadata,
    Query,
    SessionDocument,
    Stage,
    Update,
)
from langchain_zepstore.mongo.driver.collection import Conflict
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.driver.durability import Reservation
from langchain_zepstore.mongo.encoding import mergeable
from langchain_zepstore.mongo.expressions import literal, merged
from langchain_zepstore.mongo.message_reads import MessageReads, existing, live
from langchain_zepstore.mongo.reservation import confirm, reserve

T = TypeVar("T")

_MAX_PART_MESSAGES = 1000
_MAX_PART_BYTES = 8 * 1024 * 1024
_CONTENT_FIELDS: tuple[Literal["role", "content"], ...] = ("role", "content")
_HOLDER_FIELDS = dict.fromkeys(
    ("seq", "uuid", "created_at", "deleted_at", "restored", "embedding", *_CONTENT_FIELDS), 1
)


class Messages(MessageReads):
    """Adds and reads messages."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._marking = Marking(database)

    def add(
        self,
        session_id: str,
        messages: Sequence[MessageParts],
        defaults: SessionDefaults | None = None,
        *,
        metadata: Metadata | None = None,
        keep_deleted: bool = False,
    ) -> Operation[None]:
        """Store messages at the end of a session.

        What cannot be stored is refused before the first write. A call goes in one insert, or in
        parts of up to 1,000 messages or 8 MB, in order.
        """
        patch = mergeable(metadata, "memory.metadata") if metadata else None
        return self._add(session_id, codecs.with_sizes(messages), patch, defaults, keep_deleted)

    def _add(
        self,
        session_id: str,
        sized: list[tuple[Stage, int]],
        metadata: Metadata | None,
        defaults: SessionDefaults | None,
        keep_deleted: bool,
    ) -> Operation[None]:
        if not sized and not metadata:
            return
        bodies = [body for body, _ in sized]
        sizes = [size for _, size in sized]
        superseded: list[ObjectId] = []
        while True:
            reservation = yield from reserve(
                self._database, session_id, len(bodies), metadata=metadata, defaults=defaults
            )
            inserting = self._insert(reservation, bodies, sizes, superseded, keep_deleted)
            if (yield from inserting):
                break
            # The numbers are fenced, or their reservation was lost with a server: the whole call is
            # repeated under new ones, with what has landed already.
            if (yield from confirm(self._database, reservation)):
                metadata = None
            yield from self._marking.settle_last(session_id)
            yield from self._move_on(reservation.session, bodies, superseded)
        if superseded:
            uuids = [body["uuid"] for body in bodies]
            yield from self._marking.forget(
                {
                    "session_id": session_id,
                    "uuid": {"$in": uuids},
                    "superseded": {"$in": superseded},
                }
            )

    def _insert(
        self,
        reservation: Reservation,
        bodies: Sequence[Stage],
        sizes: Sequence[int],
        superseded: list[ObjectId],
        keep_deleted: bool,
    ) -> Operation[bool]:
        """Insert messages under reserved numbers; ``False`` if those were lost or fenced."""
        session = reservation.session
        for part in _parts(codecs.with_sequence_numbers(session, bodies), sizes):
            remaining: list[MessageDocument] | None = part
            while remaining:
                inserted = yield from self._messages.insert(remaining)
                carried = self._database.last_writer.makes_durable(reservation, inserted.writer)
                if not (carried or (yield from confirm(self._database, reservation))):
                    return False
                if not inserted.conflicts:
                    break
                remaining = yield from self._settle(
                    session, remaining, inserted.conflicts, superseded, keep_deleted
                )
                if remaining is None:
                    return False
        return True

    def _move_on(
        self, session: SessionDocument, bodies: Sequence[Stage], superseded: list[ObjectId]
    ) -> Operation[None]:
        """Supersede what has landed under the reserved numbers."""
        superseded.append(ObjectId())
        numbers = {"$gt": session["seq"] - len(bodies), "$lte": session["seq"]}
        yield from self._messages.update(
            {
                "session_id": session["_id"],
                "uuid": {"$in": [body["uuid"] for body in bodies]},
                "superseded": None,
                "_id.s": session["uuid"],
                "seq": numbers,
            },
            _superseding(superseded[-1]),
            many=True,
        )

    def _settle(
        self,
        session: SessionDocument,
        messages: Sequence[MessageDocument],
        conflicts: Sequence[Conflict],
        superseded: list[ObjectId],
        keep_deleted: bool,
    ) -> Operation[list[MessageDocument] | None]:
        """Resolve the conflicts of an insert: messages whose id or number is taken.

        Returns:
            The messages to insert again; ``None`` if their numbers are fenced.
        """
        refused = [(messages[conflict.index], conflict.on_id) for conflict in conflicts]
        uuids = [message["uuid"] for message, _ in refused]
        found = yield from self._messages.find(
            {"session_id": session["_id"], "uuid": {"$in": uuids}, "superseded": None},
            fields=_HOLDER_FIELDS,
        )
        holders = {holder["uuid"]: holder for holder in found}
        remaining = []
        for message, on_id in refused:
            holder = holders.get(message["uuid"])
            if holder and holder["_id"] == message["_id"]:
                continue  # it had landed, only the answer was lost
            if on_id:
                return None
            if holder and keep_deleted and holder.get("deleted_at"):
                continue
            if holder and (holder.get("deleted_at") or _is_stray(holder, session)):
                superseded.append(ObjectId())
                yield from self._supersede(session, holder, superseded[-1])
                remaining.append(message)
            elif not (holder and (yield from self._replace(session, holder, message))):
                remaining.append(message)
        return remaining

    def _supersede(
        self, session: SessionDocument, holder: MessageDocument, by: ObjectId
    ) -> Operation[int]:
        """Free the id of a deleted or stray message for a new one.

        The old message stays until the new one is stored, so that a killed writer loses neither.
        """
        query = _this(session["_id"], holder)
        if not _is_stray(holder, session):
            query["deleted_at"] = {"$ne": None}  # it may have been restored since it was read
        return self._messages.update(query, _superseding(by))

    def _replace(
        self, session: SessionDocument, holder: MessageDocument, message: MessageDocument
    ) -> Operation[bool]:
        """Replace the live message with the same id. Returns whether it was unchanged."""
        this = _this(session["_id"], holder)
        kept: Stage = {name: holder[name] for name in ("_id", "seq", "restored") if name in holder}
        if message["created_at"] is session["active_at"]:  # the caller gave none
            kept["created_at"] = holder["created_at"]
        if "embedding" in holder and all(
            holder.get(name) == message[name] for name in _CONTENT_FIELDS
        ):
            kept["embedding"] = holder["embedding"]
        # Restored since it was read, it would lose ``restored``.
        unchanged = {"deleted_at": None, "restored": holder.get("restored")}
        replacement = cast("MessageDocument", {**message, **kept})
        return bool((yield from self._messages.replace({**this, **unchanged}, replacement)))

    def update_metadata(self, session_id: str, uuid: str, metadata: Metadata) -> Operation[Message]:
        """Merge metadata into a message's, in one update."""
        patch = mergeable(metadata, "metadata")
        updated = yield from self._messages.find_one_and_update(
            {**live(session_id), "uuid": uuid},
            [{"$set": {"metadata": merged("$metadata", patch)}}],
            fields=codecs.MESSAGE_FIELDS,
        )
        return codecs.to_message(existing(updated, session_id, uuid))

    def update_content(self, session_id: str, uuid: str, content: str) -> Operation[Message]:
        """Replace a live message's words, and remove what was made from the old ones."""
        role = (yield from self.get(session_id, uuid)).role
        tokens = lc_messages.approximate_tokens(Message(role=role, content=content))
        updated = yield from self._messages.find_one_and_update(
            {**live(session_id), "uuid": uuid},
            [
                {"$set": {"content": literal(content), "token_count": tokens}},
                {"$unset": list(codecs.DERIVED_FIELDS)},
            ],
            fields=codecs.MESSAGE_FIELDS,
        )
        return codecs.to_message(existing(updated, session_id, uuid))


def _parts(
    messages: list[MessageDocument], sizes: Sequence[int]
) -> Iterator[list[MessageDocument]]:
    part: list[MessageDocument] = []
    room = _MAX_PART_BYTES
    for message, size in zip(messages, sizes, strict=True):
        if part and (len(part) == _MAX_PART_MESSAGES or size > room):
            yield part
            part, room = [], _MAX_PART_BYTES
        part.append(message)
        room -= size
    if part:
        yield part


def _is_stray(message: MessageDocument, session: SessionDocument) -> bool:
    # Stored under an incarnation that its server lost before it was durable.
    return bool(message["_id"]["s"] != session["uuid"])


def _superseding(by: ObjectId) -> Update:
    return [
        {
            "$set": {
                "superseded": by,
                "deleted_at": {"$ifNull": ["$deleted_at", "$$NOW"]},
                "own_deletion": {
                    "$cond": [{"$ifNull": ["$deleted_at", False]}, "$own_deletion", ObjectId()]
                },
            }
        }
    ]


def _this(session_id: str, message: MessageDocument) -> Query:
    # A router finds the shard by the session id; else _id would do.
    return {"_id": message["_id"], "session_id": session_id, "uuid": message["uuid"]}
