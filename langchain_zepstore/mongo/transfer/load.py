"""Import: records as documents.

An import gives messages the sequence numbers that they had, so a repeat finds them, and branches
and deletions stay what they are. All users, sessions and messages of a call go in together.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from bson import Int64, MaxKey, ObjectId

from langchain_zepstore.core.ids import new_id
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.record_models import (
    AnyRecord,
    MessageRecord,
    SessionRecord,
    UserRecord,
    read_record,
)
from langchain_zepstore.core.records import Record
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.parts import from_zep
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.adding.reservation import on_insert
from langchain_zepstore.mongo.branches.edits import Edits
from langchain_zepstore.mongo.counters import next_numbers
from langchain_zepstore.mongo.deletion.counts import changing
from langchain_zepstore.mongo.documents import (
    MessageDocument,
    Query,
    SessionDocument,
    Stage,
    Update,
)
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.encoding import encoded_metadata
from langchain_zepstore.mongo.expressions import literal
from langchain_zepstore.mongo.ownership import ensure_user, shown_or_free, upsert_user

_STORED = ("deletion_count", "branched", "turn", "forks", "deletion")
_SIDEBAR = ("title", "pinned", "archived", "tags")
_TIMES = ("created_at", "updated_at", "active_at", "deleted_at")
_SESSION_FIELDS = {"summary": 0, "metadata": 0, "deletion.summary": 0}

R = TypeVar("R")
Indexed = dict[int, R]
"""Records by their index in the call."""

Known = dict[str, SessionDocument]
"""The sessions that are there, by id."""


class Load:
    """Imports."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._users = database.users
        self._sessions = database.sessions
        self._messages = database.messages
        self._edits = Edits(database)

    def load(self, records: Sequence[Record]) -> Operation[list[str | None]]:
        """Store records; what is there already stays.

        Returns:
            For each record, why it was refused, or ``None``.
        """
        reasons: list[str | None] = [None] * len(records)
        read: Indexed[AnyRecord] = {}
        for index, record in enumerate(records):
            try:
                read[index] = read_record(record)
            except BadRequestError as error:
                reasons[index] = str(error)
        for index, user in _those(read, UserRecord).items():
            try:
                yield from self._load_user(user)
            except BadRequestError as error:
                reasons[index] = str(error)
        sessions = _those(read, SessionRecord)
        messages = _those(read, MessageRecord)
        ids = {each.session_id for each in sessions.values()}
        ids |= {each.session_id for each in messages.values()}
        if not ids:
            return reasons
        known = yield from self._known(ids)
        yield from self._load_sessions(sessions, known, reasons)
        yield from self._load_messages(messages, known, reasons)
        return reasons

    def _load_user(self, record: UserRecord) -> Operation[None]:
        self._database.owner(record.user_id)
        given = record.model_dump()
        fields = {name: given[name] for name in ("email", "first_name", "last_name", "metadata")}
        if fields["metadata"] is not None:
            fields["metadata"] = encoded_metadata(fields["metadata"], "user.metadata")
        if (yield from self._users.find_one({"_id": record.user_id}, fields={"_id": 1})):
            return
        times = {name: given[name] for name in ("created_at", "updated_at", "deleted_at")}
        times = {name: time for name, time in times.items() if time is not None}
        yield from upsert_user(self._database, record.user_id, new_id(), fields, times)

    def _known(self, ids: Iterable[str]) -> Operation[Known]:
        query: Query = {"_id": {"$in": sorted(ids)}, "uuid": {"$exists": True}}
        found = yield from self._sessions.find(query, fields=_SESSION_FIELDS)
        return {session["_id"]: session for session in found}

    def _load_sessions(
        self, records: Indexed[SessionRecord], known: Known, reasons: list[str | None]
    ) -> Operation[None]:
        """Create sessions, and extend those that have more messages than before."""
        new: dict[str, int] = {}
        for index, record in records.items():
            if record.session_id not in known:
                new.setdefault(record.session_id, index)
        if new:
            yield from self._create({index: records[index] for index in new.values()}, reasons)
            known |= yield from self._known(new)
        for index, record in records.items():
            if reasons[index] is None and not record.former:
                try:
                    yield from self._extend(record, known)
                except BadRequestError as error:
                    reasons[index] = str(error)

    def _create(
        self, records: Indexed[SessionRecord], reasons: list[str | None]
    ) -> Operation[None]:
        taken = yield from self._taken([each.session_id for each in records.values()])
        numbers = yield from next_numbers(self._database, "sessions", len(records))
        updates: list[tuple[Query, Update]] = []
        users: set[str] = set()
        for number, (index, record) in zip(numbers, records.items(), strict=True):
            try:
                if record.session_id in taken:
                    if record.former:
                        continue
                    raise _another(record.session_id)
                user_id = self._database.owner(record.user_id)
                fields = _fields(record, number, user_id)
            except BadRequestError as error:
                reasons[index] = str(error)
                continue
            if user_id is not None and record.deleted_at is None:
                users.add(user_id)
            this = shown_or_free(self._database, record.session_id)
            updates.append((this, [{"$set": fields}]))
        for user_id in sorted(users):
            yield from ensure_user(self._database, user_id)
        if updates:
            yield from self._database.whole.sessions.update_each(updates, upsert=True)

    def _taken(self, ids: Sequence[str]) -> Operation[set[str]]:
        """Return the ids of sessions that a view does not show."""
        viewer = self._database.viewer
        if viewer is None:
            return set()
        query: Query = {"_id": {"$in": ids}, "user_id": {"$ne": viewer}, "uuid": {"$exists": True}}
        found = yield from self._database.whole.sessions.find(query, fields={"_id": 1})
        return {session["_id"] for session in found}

    def _extend(self, record: SessionRecord, known: Known) -> Operation[None]:
        """Let a session that an import made have more numbers, if nothing was added to it since.

        Raises:
            BadRequestError: It cannot have them.
        """
        session = _imported(known, record.session_id, record.uuid)
        imported = session.get("imported", session["seq"])
        if imported >= record.seq or session.get("deleted_at"):
            return
        this: Query = {"_id": record.session_id, "uuid": session["uuid"]}
        if record.forks and not session.get("forks"):
            yield from self._edits.prepare(this)
            session = (yield from self._known([record.session_id]))[record.session_id]
        changes: Stage = dict.fromkeys(("seq", "fenced", "imported"), Int64(record.seq))
        if record.forks:
            changes |= {"forks": record.forks, "turn": Int64(session.get("turn", 0) + 1)}
        update: Stage = {"$set": changes}
        if record.active_at is not None:
            update["$max"] = {"active_at": record.active_at}
        unchanged = {name: session.get(name) for name in ("seq", "turn", "deleted_at")}
        if (
            imported == session["seq"]
            and _continues(record, session)
            and (yield from self._sessions.update({**this, **unchanged}, update))
        ):
            known[record.session_id] = {**session, **changes}  # type: ignore[typeddict-item]
            return
        raise BadRequestError(f"session {record.session_id!r} was continued here")

    def _session_of(self, record: MessageRecord, known: Known) -> Operation[SessionDocument]:
        """Return the session of a message; of a former one that has lost its id, what it had."""
        try:
            return _imported(known, record.session_id, record.session_uuid)
        except BadRequestError:
            if record.user_id is None or record.deleted_at is None:
                raise
        incarnation = record.session_uuid
        hidden: Query = {"_id": record.session_id, "uuid": incarnation}
        if (yield from self._database.whole.sessions.find_one(hidden, fields={"_id": 1})):
            raise _another(record.session_id)
        numbers: Query = {
            "_id": {"$gt": {"s": incarnation}, "$lt": {"s": incarnation, "q": MaxKey()}}
        }
        said = yield from self._database.whole.messages.find_one(numbers, fields={"session_id": 1})
        if said and said.get("session_id") not in (None, record.session_id):
            raise _another(record.session_id)
        erased: Query = {"expires_at": {"$exists": True}}
        while (
            yield from self._database.whole.messages.find_one(
                {"_id": {"s": incarnation, "q": record.seq}, **erased}, fields={"_id": 1}
            )
        ):
            incarnation += "'"  # an erasure keeps the numbers taken
        return cast(
            "SessionDocument",
            {
                "_id": record.session_id,
                "uuid": incarnation,
                "seq": record.seq,
                "user_id": self._database.owner(record.user_id),
                "created_at": record.created_at or record.deleted_at,
                "deleted_at": record.deleted_at,
            },
        )

    def _load_messages(
        self, records: Indexed[MessageRecord], known: Known, reasons: list[str | None]
    ) -> Operation[None]:
        documents: Indexed[MessageDocument] = {}
        refused: dict[int, str] = {}
        for index, record in records.items():
            try:
                session = yield from self._session_of(record, known)
                if session.get("deleted_at") and record.deleted_at is None:
                    refused[index] = f"session {record.session_id!r} is deleted"
                else:
                    documents[index] = _document(session, record)
            except BadRequestError as error:
                reasons[index] = str(error)
        if documents:
            indexes = list(documents)
            inserting = self._messages.insert(list(documents.values()))
            ids = {document["session_id"] for document in documents.values()}
            inserted = yield from changing(self._database, ids, inserting)
            for conflict in inserted.conflicts:
                index = indexes[conflict.index]
                refused[index] = (
                    f"another message has the number {records[index].seq} in the session"
                )
        if not refused:
            return
        keys = [(records[index].session_id, records[index].uuid) for index in refused]
        query: Query = {
            "session_id": {"$in": sorted({session_id for session_id, _ in keys})},
            "uuid": {"$in": sorted({uuid for _, uuid in keys})},
        }
        found = yield from self._messages.find(query, fields={"session_id": 1, "uuid": 1})
        there = {(message["session_id"], message["uuid"]) for message in found}
        for (index, reason), key in zip(refused.items(), keys, strict=True):
            if key not in there:
                reasons[index] = reason


def _those(records: Indexed[AnyRecord], model: type[R]) -> Indexed[R]:
    return {index: record for index, record in records.items() if isinstance(record, model)}


def _imported(known: Known, session_id: str, uuid: str) -> SessionDocument:
    """Return the session that was imported from one; refuse one that was not."""
    session = known.get(session_id)
    if session is None:
        raise BadRequestError(f"there is no session {session_id!r}; its line comes first")
    if uuid not in {session["uuid"], session.get("origin")}:
        raise _another(session_id)
    return session


def _another(session_id: str) -> BadRequestError:
    return BadRequestError(f"another session {session_id!r} exists already")


def _continues(record: SessionRecord, session: SessionDocument) -> bool:
    """Return whether the numbers that a session has are on the same branches in the record."""

    def old(forks: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
        return [(fork["first"], fork["after"]) for fork in forks if fork["first"] <= session["seq"]]

    linear = [{"first": 1, "after": 0}] if session["seq"] else []
    return old(record.forks or linear) == old(session.get("forks") or linear)


def _fields(record: SessionRecord, number: int, user_id: str | None) -> Stage:
    given = {name: getattr(record, name) for name in (*_TIMES, *_STORED, *_SIDEBAR)}
    others: Stage = {name: literal(value) for name, value in given.items() if value or value == ""}
    if record.summary is not None:
        summary = dict(record.summary)
        if summary.get("metadata") is not None:
            summary["metadata"] = encoded_metadata(summary["metadata"], "summary.metadata")
        others["summary"] = literal(summary)
    others |= dict.fromkeys(("seq", "fenced", "imported"), Int64(record.seq))
    others["origin"] = literal(record.uuid)
    metadata = None
    if record.metadata is not None:
        metadata = encoded_metadata(record.metadata, "session.metadata")
    return on_insert(number, new_id(), user_id, metadata, others)


def _document(session: SessionDocument, record: MessageRecord) -> MessageDocument:
    if not 0 < record.seq <= session["seq"]:
        raise BadRequestError(f"seq must be between 1 and {session['seq']}, not {record.seq}")
    [(body, _)] = codecs.with_sizes([from_zep(record)])
    document: Stage = {
        "_id": {"s": session["uuid"], "q": record.seq},
        "session_id": session["_id"],
        "seq": record.seq,
        "created_at": session["created_at"],
        "scope": codecs.scope_of(session),
        **body,
    }
    if session.get("branched"):
        document["branched"] = True
    if record.given is not None:
        document["given"] = record.given
    if record.deleted_at is not None:
        document["deleted_at"] = record.deleted_at
        if record.deletion is not None:
            document["deletion"] = record.deletion
        else:
            document["own_deletion"] = ObjectId()
    return cast("MessageDocument", document)
