"""Inserting the messages of one call, whatever has their ids or numbers already."""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Literal, cast

from bson import ObjectId

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.adding.known_ids import Repetition
from langchain_zepstore.mongo.adding.reservation import confirm
from langchain_zepstore.mongo.deletion.counts import changing
from langchain_zepstore.mongo.deletion.marks import Marking
from langchain_zepstore.mongo.documents import (
    MessageDocument,
    Query,
    SessionDocument,
    Stage,
    Update,
)
from langchain_zepstore.mongo.driver.collection import Conflict
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.driver.durability import Reservation

_MAX_PART_MESSAGES = 1000
_MAX_PART_BYTES = 8 * 1024 * 1024
_CONTENT_FIELDS: tuple[Literal["role", "content"], ...] = ("role", "content")
_KEPT_FIELDS: tuple[Literal["_id", "seq", "restored", "branched"], ...] = (
    *("_id", "seq", "restored", "branched"),
)
_HOLDER_FIELDS = dict.fromkeys(
    (
        *(*_KEPT_FIELDS, "uuid", "created_at", "deleted_at", "embedding", "given"),
        *(*_CONTENT_FIELDS, "langchain", "escaped", "marked"),
    ),
    1,
)


class Outcome(Enum):
    """The outcome of inserting messages."""

    STORED = "stored"
    #: The numbers are fenced or too low, or their reservation was lost with a server.
    LOST = "lost"
    #: Another call stores the same ids.
    TAKEN = "taken"


class Insertion:
    """The insertion of one call's messages, under one reservation after another if need be.

    Args:
        database: The database.
        session_id: The session's id.
        sized: The messages' bodies, each with its size.
        repetition: Which of them repeat stored ones.
    """

    def __init__(
        self,
        database: Database,
        session_id: str,
        sized: Sequence[tuple[Stage, int]],
        repetition: Repetition | None = None,
    ) -> None:
        self._database = database
        # A number or an id may be taken by what a view does not show.
        self._messages = database.whole.messages
        self._marking = Marking(database)
        self._session_id = session_id
        self._bodies = [body for body, _ in sized]
        self._sizes = [size for _, size in sized]
        self._repetition = repetition or Repetition(None, keep_deleted=False)
        self._superseded: list[ObjectId] = []

    @property
    def uuids(self) -> list[str]:
        """The messages' ids."""
        return [body["uuid"] for body in self._bodies]

    def insert(self, reservation: Reservation) -> Operation[Outcome]:
        """Insert the messages under reserved numbers."""
        session = reservation.session
        for part in _parts(codecs.with_sequence_numbers(session, self._bodies), self._sizes):
            remaining = part
            while remaining:
                # In order, what two who add the same have stored stands in the same order.
                inserted = yield from self._messages.insert(
                    remaining, ordered=self._repetition.is_ordered
                )
                carried = self._database.last_writer.makes_durable(reservation, inserted.writer)
                if not (carried or (yield from confirm(self._database, reservation))):
                    return Outcome.LOST
                if not inserted.conflicts:
                    self._repetition.note_landed(remaining)
                    break
                settled = yield from self._settle(session, remaining, inserted.conflicts)
                if isinstance(settled, Outcome):
                    return settled
                remaining = settled
        return Outcome.STORED

    def give_way(self, reservation: Reservation) -> Operation[None]:
        """Supersede what has landed under numbers that are lost, before others are reserved."""
        session = reservation.session
        yield from self._marking.settle_last(session)
        self._bodies = self._repetition.restart(self._bodies)
        self._superseded.append(ObjectId())
        numbers = {"$gt": session["seq"] - len(self._bodies), "$lte": session["seq"]}
        superseding = self._messages.update(
            {
                "session_id": self._session_id,
                "uuid": {"$in": self.uuids},
                "superseded": None,
                "_id.s": session["uuid"],
                "seq": numbers,
            },
            _superseding(self._superseded[-1]),
            many=True,
        )
        yield from changing(self._database, [self._session_id], superseding)

    def finish(self) -> Operation[None]:
        """Forget what was superseded, once the messages are stored."""
        if self._superseded:
            yield from self._marking.forget(
                {
                    "session_id": self._session_id,
                    "uuid": {"$in": self.uuids},
                    "superseded": {"$in": self._superseded},
                }
            )

    def _settle(
        self,
        session: SessionDocument,
        messages: Sequence[MessageDocument],
        conflicts: Sequence[Conflict],
    ) -> Operation[list[MessageDocument] | Outcome]:
        """Resolve the conflicts of an insert: messages whose id or number is taken.

        Returns:
            The messages to insert again, or why there is no use in that.
        """
        repetition = self._repetition
        first = conflicts[0].index
        fenced = {conflict.index for conflict in conflicts if conflict.on_id}
        indexes: Sequence[int] = [conflict.index for conflict in conflicts]
        if repetition.is_ordered:
            indexes = range(first, len(messages))
        refused = [repetition.as_given(messages[index]) for index in indexes]
        uuids = [message["uuid"] for message in refused]
        found = yield from self._holders(
            uuids if repetition.after is None else [*uuids, repetition.after]
        )
        holders = {holder["uuid"]: holder for holder in found}
        repetition.begin(messages[:first], refused[0], holders.get(repetition.after or ""))
        remaining = []
        for index, given in zip(indexes, refused, strict=True):
            message, holder, is_repeated = yield from repetition.resolve(
                given, holders.get(given["uuid"]), self._holder
            )
            has_landed = holder and holder["_id"] == message["_id"]  # only the answer was lost
            if is_repeated or has_landed:
                continue
            if index in fenced or repetition.is_overtaken(message):
                return Outcome.LOST
            settled = yield from self._settle_one(session, holder, message)
            if isinstance(settled, Outcome):
                return settled
            if not settled:
                remaining.append(message)
        return remaining

    def _settle_one(
        self,
        session: SessionDocument,
        holder: MessageDocument | None,
        message: MessageDocument,
    ) -> Operation[bool | Outcome]:
        """Let the holder of a message's id give way; return whether nothing is left to insert."""
        if holder is None:
            return False
        is_stray = _is_stray(holder, session)
        if not (holder.get("deleted_at") or is_stray):
            return (yield from self._settle_live(session, holder, message))
        if self._repetition.keep_deleted and holder.get("deleted_at") and not is_stray:
            return True
        yield from self._supersede(session, holder)
        return False

    def _holders(self, uuids: list[str]) -> Operation[list[MessageDocument]]:
        return self._messages.find(
            {"session_id": self._session_id, "uuid": {"$in": uuids}, "superseded": None},
            fields=_HOLDER_FIELDS,
        )

    def _holder(self, uuid: str) -> Operation[MessageDocument | None]:
        found = yield from self._holders([uuid])
        return found[0] if found else None

    def _supersede(
        self, session: SessionDocument, holder: MessageDocument, *, live: bool = False
    ) -> Operation[None]:
        """Free the id of a deleted or stray message, or of a live one, for a new one.

        The old message stays until the new one is stored, so that a killed writer loses neither.
        """
        self._superseded.append(ObjectId())
        query = _this(self._session_id, holder)
        if not (live or _is_stray(holder, session)):
            query["deleted_at"] = {"$ne": None}  # it may have been restored since it was read
        superseding = self._messages.update(query, _superseding(self._superseded[-1]))
        if live:
            superseding = changing(self._database, [self._session_id], superseding)
        yield from superseding

    def _settle_live(
        self, session: SessionDocument, holder: MessageDocument, message: MessageDocument
    ) -> Operation[bool | Outcome]:
        """Replace the live message with the same id. Returns whether it was unchanged."""
        this = _this(self._session_id, holder)
        kept: Stage = {name: holder[name] for name in _KEPT_FIELDS if name in holder}
        if message["created_at"] is session["active_at"]:  # the caller gave none
            kept["created_at"] = holder["created_at"]
        is_same = all(holder.get(name) == message[name] for name in _CONTENT_FIELDS)
        if is_same and "embedding" in holder:
            kept["embedding"] = holder["embedding"]
        if self._repetition.replaces(message["uuid"]) and (given := codecs.given_for(holder)):
            kept["given"] = given
        # Restored or flagged since it was read, it would lose that.
        unchanged = {
            "deleted_at": None,
            "restored": holder.get("restored"),
            "branched": holder.get("branched"),
        }
        replacement = cast("MessageDocument", {**message, **kept})
        replacing = self._messages.replace({**this, **unchanged}, replacement)
        if not is_same:
            replacing = changing(self._database, [self._session_id], replacing)
        return bool((yield from replacing))


class AsideInsertion(Insertion):
    """The insertion of an edit's messages.

    Attributes:
        supersedes: Whether live messages of the same ids are parts of calls that stored the same
            edit and did not finish: those with lower numbers give way.
    """

    supersedes = False

    def _settle_live(
        self,
        session: SessionDocument,
        holder: MessageDocument,
        message: MessageDocument,  # noqa: ARG002 - the base has it
    ) -> Operation[bool | Outcome]:
        if not self.supersedes or holder["seq"] > session["seq"]:
            return Outcome.TAKEN
        yield from self._supersede(session, holder, live=True)
        return False


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
    # Said under an earlier incarnation, or one that its server lost before it was durable.
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
