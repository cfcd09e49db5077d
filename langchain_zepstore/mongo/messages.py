"""Operations on messages, except deletion."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal, TypeVar, cast

from bson import ObjectId

from langchain_zepstore.core.arguments import KnownIds, SessionDefaults
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
from langchain_zepstore.mongo.known_ids import Repetition
from langchain_zepstore.mongo.message_reads import MessageReads, existing, live
from langchain_zepstore.mongo.reservation import confirm, reserve

T = TypeVar("T")

_MAX_PART_MESSAGES = 1000
_MAX_PART_BYTES = 8 * 1024 * 1024
_CONTENT_FIELDS: tuple[Literal["role", "content"], ...] = ("role", "content")
_HOLDER_FIELDS = dict.fromkeys(
    (
        *("seq", "uuid", "created_at", "deleted_at", "restored", "embedding", "langchain"),
        *_CONTENT_FIELDS,
    ),
    1,
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
        known_ids: KnownIds | None = None,
    ) -> Operation[dict[str, str]]:
        """Store messages at the end of a session.

        What cannot be stored is refused before the first write. A call goes in one insert, or in
        parts of up to 1,000 messages or 8 MB, in order.
        """
        patch = mergeable(metadata, "memory.metadata") if metadata else None
        repetition = Repetition(known_ids, keep_deleted=keep_deleted)
        return self._add(session_id, codecs.with_sizes(messages), patch, defaults, repetition)

    def _add(
        self,
        session_id: str,
        sized: list[tuple[Stage, int]],
        metadata: Metadata | None,
        defaults: SessionDefaults | None,
        repetition: Repetition,
    ) -> Operation[dict[str, str]]:
        if not sized and not metadata:
            return {}
        bodies = [body for body, _ in sized]
        sizes = [size for _, size in sized]
        superseded: list[ObjectId] = []
        while True:
            reservation = yield from reserve(
                self._database, session_id, len(bodies), metadata=metadata, defaults=defaults
            )
            inserting = self._insert(reservation, bodies, sizes, superseded, repetition)
            if (yield from inserting):
                break
            # The numbers are fenced, or their reservation was lost with a server: the whole call is
            # repeated under new ones, with what has landed already.
            if (yield from confirm(self._database, reservation)):
                metadata = None
            yield from self._marking.settle_last(session_id)
            bodies = repetition.restart(bodies)
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
        return repetition.new_ids

    def _insert(
        self,
        reservation: Reservation,
        bodies: Sequence[Stage],
        sizes: Sequence[int],
        superseded: list[ObjectId],
        repetition: Repetition,
    ) -> Operation[bool]:
        """Insert messages under reserved numbers; ``False`` if those were lost or fenced."""
        session = reservation.session
        for part in _parts(codecs.with_sequence_numbers(session, bodies), sizes):
            remaining: list[MessageDocument] | None = part
            while remaining:
                # In order, what two who add the same have stored stands in the same order.
                inserted = yield from self._messages.insert(
                    remaining, ordered=repetition.is_ordered
                )
                carried = self._database.last_writer.makes_durable(reservation, inserted.writer)
                if not (carried or (yield from confirm(self._database, reservation))):
                    return False
                if not inserted.conflicts:
                    repetition.note_landed(remaining)
                    break
                remaining = yield from self._settle(
                    session, remaining, inserted.conflicts, superseded, repetition
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
        repetition: Repetition,
    ) -> Operation[list[MessageDocument] | None]:
        """Resolve the conflicts of an insert: messages whose id or number is taken.

        Returns:
            The messages to insert again; ``None`` if their numbers are fenced.
        """
        first = conflicts[0].index
        fenced = {conflict.index for conflict in conflicts if conflict.on_id}
        indexes: Sequence[int] = [conflict.index for conflict in conflicts]
        if repetition.is_ordered:
            indexes = range(first, len(messages))
        refused = [messages[index] for index in indexes]
        uuids = [message["uuid"] for message in refused]
        found = yield from self._holders(
            session["_id"], uuids if repetition.after is None else [*uuids, repetition.after]
        )
        holders = {holder["uuid"]: holder for holder in found}
        repetition.begin(messages[:first], refused[0], holders.get(repetition.after or ""))
        remaining = []
        for index, given in zip(indexes, refused, strict=True):
            message, holder, is_repeated = yield from repetition.resolve(
                given, holders.get(given["uuid"]), partial(self._holder, session["_id"])
            )
            if is_repeated:
                continue
            if holder and holder["_id"] == message["_id"]:
                continue  # it had landed, only the answer was lost
            if index in fenced:
                return None
            if holder and repetition.keep_deleted and holder.get("deleted_at"):
                continue
            if holder and (holder.get("deleted_at") or _is_stray(holder, session)):
                superseded.append(ObjectId())
                yield from self._supersede(session, holder, superseded[-1])
                remaining.append(message)
            elif not (holder and (yield from self._replace(session, holder, message))):
                remaining.append(message)
        return remaining

    def _holders(self, session_id: str, uuids: list[str]) -> Operation[list[MessageDocument]]:
        return self._messages.find(
            {"session_id": session_id, "uuid": {"$in": uuids}, "superseded": None},
            fields=_HOLDER_FIELDS,
        )

    def _holder(self, session_id: str, uuid: str) -> Operation[MessageDocument | None]:
        found = yield from self._holders(session_id, [uuid])
        return found[0] if found else None

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
