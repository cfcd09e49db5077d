"""Operations on messages, except deletion."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar, cast

from bson import ObjectId
from langchain_core.messages import BaseMessage

from langchain_zepstore.core.arguments import SessionDefaults
from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.errors import NotFoundError
from langchain_zepstore.models import Memory, Message
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.deletion.marks import Marking
from langchain_zepstore.mongo.documents import (
    Fields,
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
from langchain_zepstore.mongo.expressions import merged
from langchain_zepstore.mongo.reservation import confirm, reserve
from langchain_zepstore.mongo.summaries import Summaries

T = TypeVar("T")

_MAX_PART_MESSAGES = 1000
_MAX_PART_BYTES = 8 * 1024 * 1024
_CONTENT_FIELDS: tuple[Literal["role", "content"], ...] = ("role", "content")
_HOLDER_FIELDS = dict.fromkeys(
    ("seq", "uuid", "created_at", "deleted_at", "restored", "embedding", *_CONTENT_FIELDS), 1
)


class Messages:
    """Adds and reads messages."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._messages = database.messages
        self._marking = Marking(database)
        self._summaries = Summaries(database)

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

    def read(self, session_id: str, lastn: int | None = None) -> Operation[list[Message]]:
        """Return the last messages of a session, oldest first; all of them without ``lastn``."""
        return self._window(session_id, lastn, codecs.to_message, codecs.MESSAGE_FIELDS)

    def memory(
        self, session_id: str, lastn: int | None = None, *, include_deleted: bool = False
    ) -> Operation[Memory]:
        """Return the same with the session's summary."""
        if include_deleted:
            raise NotImplementedError
        messages = yield from self.read(session_id, lastn)
        summary = yield from self._summaries.get(session_id)
        return Memory(messages=messages, summary=summary)

    def read_langchain(
        self, session_id: str, lastn: int | None = None
    ) -> Operation[list[BaseMessage]]:
        """Return the same as LangChain's messages, without a detour over Zep's."""
        fields = codecs.LANGCHAIN_FIELDS
        return self._window(session_id, lastn, codecs.to_langchain, fields)

    def _window(
        self,
        session_id: str,
        lastn: int | None,
        decode: Callable[[MessageDocument], T],
        fields: Fields,
    ) -> Operation[list[T]]:
        if lastn == 0:
            return []
        found = yield from self._messages.find(
            _live(session_id),
            sort={"seq": 1 if lastn is None else -1},
            limit=lastn or 0,
            fields=fields,
        )
        if lastn is not None:
            found.reverse()
        return [decode(document) for document in found]

    def page(
        self,
        session_id: str,
        after: Any,
        limit: int,
        *,
        after_id: str | None = None,
        include_deleted: bool = False,
    ) -> Operation[Page[Message]]:
        """Return the next messages of a session after a page's cursor, oldest first."""
        if after_id is not None or include_deleted:
            raise NotImplementedError
        query = _live(session_id)
        if after is not None:
            query["seq"] = {"$gt": after}
        found = yield from self._messages.find(
            query, sort={"seq": 1}, limit=limit, fields=codecs.MESSAGE_FIELDS
        )
        items = [codecs.to_message(document) for document in found]
        # A short page is not the last: messages may be added meanwhile.
        return Page(items, found[-1]["seq"] if found else None)

    def numbered_page(self, session_id: str, limit: int, number: int) -> Operation[list[Message]]:
        """Return a page of a session's messages by its number, from 1, oldest first."""
        found = yield from self._messages.find(
            _live(session_id),
            sort={"seq": 1},
            skip=(number - 1) * limit,
            limit=limit,
            fields=codecs.MESSAGE_FIELDS,
        )
        return [codecs.to_message(document) for document in found]

    def around(self, session_id: str, uuid: str, window: int) -> Operation[list[Message]]:
        """Return a live message with so many before and after it, oldest first."""
        live = _live(session_id)
        fields = codecs.MESSAGE_FIELDS
        found = yield from self._messages.find_one({**live, "uuid": uuid}, fields=fields)
        message = _existing(found, session_id, uuid)
        seq = message["seq"]
        before: list[MessageDocument] = []
        after: list[MessageDocument] = []
        if window:
            before = yield from self._messages.find(
                {**live, "seq": {"$lt": seq}}, sort={"seq": -1}, limit=window, fields=fields
            )
            after = yield from self._messages.find(
                {**live, "seq": {"$gt": seq}}, sort={"seq": 1}, limit=window, fields=fields
            )
        return [codecs.to_message(each) for each in (*reversed(before), message, *after)]

    def get(self, session_id: str, uuid: str) -> Operation[Message]:
        """Return one message."""
        found = yield from self._messages.find_one(
            {**_live(session_id), "uuid": uuid}, fields=codecs.MESSAGE_FIELDS
        )
        return codecs.to_message(_existing(found, session_id, uuid))

    def update_metadata(self, session_id: str, uuid: str, metadata: Metadata) -> Operation[Message]:
        """Merge metadata into a message's, in one update."""
        patch = mergeable(metadata, "metadata")
        updated = yield from self._messages.find_one_and_update(
            {**_live(session_id), "uuid": uuid},
            [{"$set": {"metadata": merged("$metadata", patch)}}],
            fields=codecs.MESSAGE_FIELDS,
        )
        return codecs.to_message(_existing(updated, session_id, uuid))

    def update_content(self, session_id: str, uuid: str, content: str) -> Operation[Message]:
        """Replace a live message's words."""
        raise NotImplementedError

    def count(self, session_id: str) -> Operation[int]:
        """Return how many messages a session has."""
        return self._messages.count(_live(session_id))


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


def _live(session_id: str) -> Query:
    return {"session_id": session_id, "deleted_at": None}


def _existing(found: MessageDocument | None, session_id: str, uuid: str) -> MessageDocument:
    if found is None:
        raise NotFoundError(f"session {session_id!r} has no message {uuid!r}")
    return found
