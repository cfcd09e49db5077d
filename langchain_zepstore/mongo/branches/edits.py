"""Changes of a session's branches: edits, rewinds, switches.

An edit is made aside: its numbers are reserved on a branch that is not active, its messages are
inserted, then the branch is activated. So no reader sees a part of it, and a killed edit changes
nothing. The first one prepares the session: all messages get ``branched``, and numbers that no
message has are fenced, since their adds do not know of it.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from langchain_zepstore.core.arguments import SessionDefaults
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.records import MAX_FORKS
from langchain_zepstore.errors import BadRequestError, NotFoundError
from langchain_zepstore.messages.langchain import HUMAN_TYPES
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.adding.insertion import AsideInsertion, Outcome
from langchain_zepstore.mongo.adding.known_ids import Repetition
from langchain_zepstore.mongo.adding.reservation import RESERVATION_FIELDS, reserving
from langchain_zepstore.mongo.branches import updates
from langchain_zepstore.mongo.branches.reads import TABLE_FIELDS
from langchain_zepstore.mongo.branches.repeats import stored_edit
from langchain_zepstore.mongo.branches.table import holds, table_of
from langchain_zepstore.mongo.deletion.marks import Marking, numbers_between, this_session
from langchain_zepstore.mongo.documents import (
    MessageDocument,
    Metadata,
    Query,
    SessionDocument,
    Stage,
)
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.driver.durability import Reservation

_FLAGGING_SPAN = 50_000  # sequence numbers in one update
_EDIT_FORKS = 3  # of the edit, of what it interrupts, of what it interrupts once more


class Edits:
    """Makes branches and activates them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sessions = database.sessions
        self._messages = database.messages
        self._marking = Marking(database)

    def edit(
        self,
        session_id: str,
        before: str,
        sized: Sequence[tuple[Stage, int]],
        metadata: Metadata | None = None,
        defaults: SessionDefaults | None = None,
        *,
        keep_deleted: bool = False,
    ) -> Operation[None]:
        """Store messages in the place of one and of what follows it; their branch gets active.

        Repeated with the same ids, it is completed.
        """
        user_id = self._database.owner(defaults.user_id if defaults else None)
        repetition = Repetition(None, keep_deleted=keep_deleted)
        insertion = AsideInsertion(self._database, session_id, sized, repetition)
        if not sized:
            raise BadRequestError("before needs messages; rewind ends a branch without any")
        if before in insertion.uuids:
            raise BadRequestError(
                f"message {before!r} cannot be replaced under its own id: give the new one another"
            )
        while True:
            stored = yield from stored_edit(self._database, session_id, before, insertion.uuids)
            if stored.first:
                first, incarnation = stored.first["seq"], stored.first["_id"]["s"]
                break
            insertion.supersedes = stored.has_part
            message = yield from self.live(session_id, before)
            reservation = yield from self._reserve_aside(message, len(sized), metadata, user_id)
            if reservation is None:
                continue
            outcome = yield from insertion.insert(reservation)
            session = reservation.session
            if outcome is Outcome.STORED:
                first, incarnation = session["seq"] - len(sized) + 1, session["uuid"]
                break
            if outcome is Outcome.LOST:
                yield from insertion.give_way(reservation)
        yield from insertion.finish()
        yield from self._sessions.update(
            {
                "_id": session_id,
                "uuid": incarnation,
                "forks": {"$elemMatch": {"first": first, "pending": True}},
            },
            updates.activated(first, first + len(sized) - 1),
        )

    def on_branch_of(
        self, uuid: str, reservation: Reservation, bodies: Sequence[Stage]
    ) -> Operation[Reservation | None]:
        """Return a reservation on the branch that holds a message, if another is active by now.

        What was reserved stays a gap on that one. A human message makes the branch active: people
        see what they say, while what was asked before an edit is answered aside. ``None``: reserve
        again, for the session has changed.
        """
        this = this_session(reservation.session)
        session = yield from self._sessions.find_one(this, fields=TABLE_FIELDS)
        message = yield from self._messages.find_one(
            {"session_id": this["_id"], "uuid": uuid}, fields={"_id": 1}
        )
        if session is None or message is None or message["_id"]["s"] != this["uuid"]:
            return reservation
        number, table = message["_id"]["q"], table_of(session)
        if holds(table.path_to(reservation.session["seq"]), number) or not _has_room(session):
            return reservation
        leaf = table.last_active(number)
        if any(codecs.langchain_type(body) in HUMAN_TYPES for body in bodies):
            activation = updates.activated(table.forks[leaf]["first"], table.end(leaf))
            yield from self._change(session, activation)
            return None
        update, count = reserving(len(bodies), None), len(bodies)
        update[0]["$set"] |= updates.beside(table.tip(leaf), table.forks[leaf]["activated"], count)
        begun_at = time.monotonic()
        moved = yield from self._sessions.find_one_and_update(
            {**this, "turn": session["turn"]}, update, fields=RESERVATION_FIELDS
        )
        return moved and Reservation(moved, None, begun_at)

    def rewind(self, session_id: str, before: str) -> Operation[None]:
        """End the active branch before a message; nothing if that is not on it."""
        while True:
            message = yield from self.live(session_id, before)
            session = yield from self.prepared(message)
            if session is None:
                continue
            number, table = message["seq"], table_of(session)
            if not holds(table.active(), number):
                return
            if (yield from self._change(session, updates.rewound(number))):
                return

    def switch(self, session_id: str, uuid: str) -> Operation[None]:
        """Activate the branch that holds a message; of several the last active one."""
        while True:
            message = yield from self.live(session_id, uuid)
            if not message.get("branched"):
                return
            session = yield from self.prepared(message)
            if session is None:
                continue
            number, table = message["seq"], table_of(session)
            if holds(table.active(), number):
                return
            leaf = table.last_active(number)
            update = updates.activated(table.forks[leaf]["first"], table.end(leaf))
            if (yield from self._change(session, update)):
                return

    def live(self, session_id: str, uuid: str) -> Operation[MessageDocument]:
        """Return where a live message stands."""
        found = yield from self._messages.find_one(
            {"session_id": session_id, "uuid": uuid, "deleted_at": None},
            fields=dict.fromkeys(("session_id", "seq", "branched"), 1),
        )
        if found is None:
            raise NotFoundError(f"session {session_id!r} has no message {uuid!r}")
        return found

    def prepared(self, message: MessageDocument) -> Operation[SessionDocument | None]:
        """Return a message's session with its table; ``None`` if that has to be asked again."""
        this = {"_id": message["session_id"], "uuid": message["_id"]["s"]}
        session = yield from self._sessions.find_one(this, fields=TABLE_FIELDS)
        if session is None:
            raise NotFoundError(f"session {this['_id']!r} began anew since the message was said")
        if session.get("forks"):
            return session
        yield from self.prepare(this)
        return None

    def prepare(self, this: Query) -> Operation[None]:
        """Give a session its table."""
        session = yield from self._sessions.find_one_and_update(
            this, {"$set": {"branched": True}}, fields={**TABLE_FIELDS, "fenced": 1}
        )
        if session is None:
            return
        last = session["seq"]
        yield from self._marking.fence(session, last, datetime.now(UTC))
        for start in range(0, last, _FLAGGING_SPAN):
            span = numbers_between(session, start, min(start + _FLAGGING_SPAN, last))
            yield from self._database.whole.messages.update(
                {**span, "session_id": session["_id"]},
                {"$set": {"branched": True}},
                many=True,
                hint="_id_",
            )
        yield from self._sessions.update({**this, "forks": None}, updates.first_fork(last))

    def _reserve_aside(
        self,
        message: MessageDocument,
        count: int,
        metadata: Metadata | None,
        user_id: str | None,
    ) -> Operation[Reservation | None]:
        """Reserve the numbers of an edit, durably; ``None`` if the session has to be asked anew."""
        this: Query = {"_id": message["session_id"], "uuid": message["_id"]["s"]}
        if user_id is not None:
            this["user_id"] = {"$in": [None, user_id]}
        begun_at = time.monotonic()
        update = reserving(count, metadata)
        update[0]["$set"] |= updates.aside(message["seq"], count)
        session = yield from self._sessions.find_one_and_update(
            {**this, **updates.has_room(MAX_FORKS - _EDIT_FORKS)},
            update,
            fields=RESERVATION_FIELDS,
        )
        if session is not None:
            return Reservation(session, None, begun_at)
        prepared = yield from self.prepared(message)
        if prepared is not None:
            if user_id is not None and prepared["user_id"] not in {None, user_id}:
                raise BadRequestError(f"session {prepared['_id']!r} belongs to another user")
            _check_room(prepared)
        return None

    def _change(self, session: SessionDocument, update: list[Stage]) -> Operation[bool]:
        """Change a table unless it has changed since it was read; return whether it has not."""
        _check_room(session)
        query = {**this_session(session), "turn": session["turn"]}
        return bool((yield from self._sessions.update(query, update)))


def _has_room(session: SessionDocument) -> bool:
    return len(session.get("forks") or ()) <= MAX_FORKS - _EDIT_FORKS


def _check_room(session: SessionDocument) -> None:
    if not _has_room(session):
        raise BadRequestError(
            f"session {session['_id']!r} has {MAX_FORKS:,} branches, the most there can be; "
            "fork_session goes on in a new one"
        )
