"""Export and import: documents as records, and records as documents.

A record is a dict with ``type``: ``user``, ``session`` or ``message``. A session's messages follow
it, in their order. An import gives messages the sequence numbers that they had, so a repeat finds
them, and branches and deletions stay what they are.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import bson
from bson import Int64, MaxKey, ObjectId

from langchain_zepstore.core.ids import new_id
from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.core.records import (
    AnyRecord,
    MessageRecord,
    Record,
    SessionRecord,
    UserRecord,
    read_record,
)
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.parts import from_zep
from langchain_zepstore.models import Message
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.adding.reservation import fields_on_insert
from langchain_zepstore.mongo.branches.table import table_of
from langchain_zepstore.mongo.branches.tree import parents
from langchain_zepstore.mongo.deletion.marks import Marking, with_id
from langchain_zepstore.mongo.documents import (
    MessageDocument,
    Query,
    SessionDocument,
    Stage,
    UserDocument,
)
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.encoding import decoded_metadata, encoded_metadata
from langchain_zepstore.mongo.expressions import literal
from langchain_zepstore.mongo.ownership import (
    ensure_user,
    require_free,
    upsert_session,
    upsert_user,
)
from langchain_zepstore.mongo.reassignment import complete_reassignment

_PAGE_SIZE = 500
_PAGE_BYTES = 4 * 1024 * 1024  # of messages, behind which a page ends
_KEPT = ("uuid", "seq", "deletion_count", "branched", "turn", "forks")
_STORED = ("deletion_count", "branched", "turn", "forks", "deletion")
_DELETION = ("id", "at", "seq", "open", "settled")
_SIDEBAR = ("title", "pinned", "archived", "tags")
_TIMES = ("created_at", "updated_at", "active_at", "deleted_at")


class Transfer:
    """Exports and imports."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._users = database.users
        self._sessions = database.sessions
        self._messages = database.messages
        self._marking = Marking(database)

    def page(
        self, user_id: str | None, session_id: str | None, cursor: str | None
    ) -> Operation[Page[Record]]:
        """Return the next records of an export, and the cursor of the page after them."""
        of_users: Query = {} if user_id is None else {"_id": user_id}
        of_sessions: Query = {"uuid": {"$exists": True}}
        if user_id is not None:
            of_sessions["user_id"] = user_id
        if session_id is not None:
            of_sessions["_id"] = session_id
        records: list[Record] = []
        step, number, seq, parent = _read_cursor(cursor)
        size = 0
        while len(records) < _PAGE_SIZE and size < _PAGE_BYTES:
            room = _PAGE_SIZE - len(records)
            if step == "user":
                users: list[UserDocument] = []
                if session_id is None:
                    users = yield from self._users.find(
                        {**of_users, "id": {"$gt": number}}, sort={"id": 1}, limit=room
                    )
                records += [_user_record(user) for user in users]
                step, number = ("user", users[-1]["id"]) if users else ("session", 0)
            elif step == "session":
                found = yield from self._sessions.find(
                    {**of_sessions, "id": {"$gt": number}}, sort={"id": 1}, limit=1
                )
                if not found:
                    return Page(records, None)
                if (yield from self._marking.recover(found[0])):
                    continue
                yield from complete_reassignment(self._database, found[0])
                records.append(_session_record(found[0]))
                step, number, seq, parent = "message", found[0]["id"], 0, None
            else:
                session = yield from self._sessions.find_one({"id": number, **of_sessions})
                said = [] if session is None else (yield from self._said(session, seq, room))
                if session is None or not said:
                    step = "session"
                    continue
                records += yield from self._message_records(session, said, parent)
                size += sum(len(bson.encode(each)) for each in said)
                seq, parent = said[-1]["seq"], said[-1]["uuid"]
        return Page(records, json.dumps([step, number, seq, parent]))

    def _said(
        self, session: SessionDocument, after: int, limit: int
    ) -> Operation[list[MessageDocument]]:
        incarnation = session["uuid"]
        bounds = {"$gt": {"s": incarnation, "q": after}, "$lt": {"s": incarnation, "q": MaxKey()}}
        return self._messages.find(
            {"_id": bounds, "placeholder": None, "superseded": None},
            sort={"_id": 1},
            limit=limit,
            fields=codecs.MESSAGE_FIELDS,
            one_batch=True,
        )

    def _message_records(
        self, session: SessionDocument, said: Sequence[MessageDocument], parent: str | None
    ) -> Operation[list[Record]]:
        before = dict(
            zip(
                (each["seq"] for each in said),
                (parent, *(each["uuid"] for each in said)),
                strict=False,
            )
        )
        if session.get("forks"):
            query: Query = {
                "session_id": session["_id"],
                "_id.s": session["uuid"],
                "placeholder": None,
                "superseded": None,
            }
            before = yield from parents(self._messages, query, table_of(session), said)
        return [_message_record(each, before[each["seq"]]) for each in said]

    def load(self, records: Sequence[Record]) -> Operation[list[str | None]]:
        """Store records; what is there already stays.

        Returns:
            For each record, why it was refused, or ``None``.
        """
        reasons: list[str | None] = []
        batch: list[MessageRecord] = []
        for record in records:
            read: AnyRecord | None = None
            reason: str | None = None
            try:
                read = read_record(record)
            except BadRequestError as error:
                reason = str(error)
            if batch and not (
                isinstance(read, MessageRecord) and read.session_id == batch[0].session_id
            ):
                reasons += yield from self._load_messages(batch)
                batch = []
            if isinstance(read, MessageRecord):
                batch.append(read)
                continue
            try:
                if isinstance(read, UserRecord):
                    yield from self._load_user(read)
                elif isinstance(read, SessionRecord):
                    yield from self._load_session(read)
            except BadRequestError as error:
                reason = str(error)
            reasons.append(reason)
        if batch:
            reasons += yield from self._load_messages(batch)
        return reasons

    def _load_user(self, record: UserRecord) -> Operation[None]:
        self._database.owner(record.user_id)
        given = record.model_dump()
        fields = {name: given[name] for name in ("email", "first_name", "last_name", "metadata")}
        if fields["metadata"] is not None:
            fields["metadata"] = encoded_metadata(fields["metadata"], "user.metadata")
        if (yield from self._users.find_one({"_id": record.user_id}, fields={"_id": 1})):
            return
        token = new_id()
        yield from upsert_user(self._database, record.user_id, token, fields)
        times = {name: given[name] for name in ("created_at", "updated_at", "deleted_at")}
        yield from self._users.update(
            {"_id": record.user_id, "uuid": token},
            {"$set": {name: time for name, time in times.items() if time is not None}},
        )

    def _load_session(self, record: SessionRecord) -> Operation[None]:
        given = {name: getattr(record, name) for name in (*_TIMES, *_STORED, *_SIDEBAR)}
        others: Stage = {
            name: literal(value) for name, value in given.items() if value or value == ""
        }
        if record.summary is not None:
            summary = dict(record.summary)
            if summary.get("metadata") is not None:
                summary["metadata"] = encoded_metadata(summary["metadata"], "summary.metadata")
            others["summary"] = literal(summary)
        user_id = self._database.owner(record.user_id)
        others["seq"] = Int64(record.seq)
        others["fenced"] = Int64(record.seq)
        others["origin"] = literal(record.uuid)
        metadata = None
        if record.metadata is not None:
            metadata = encoded_metadata(record.metadata, "session.metadata")
        if (yield from self._sessions.find_one(with_id(record.session_id), fields={"_id": 1})):
            yield from self._origin(record.session_id, record.uuid)
            return
        yield from require_free(self._database, record.session_id)
        if user_id is not None and record.deleted_at is None:
            yield from ensure_user(self._database, user_id)
        fields = yield from fields_on_insert(self._database, new_id(), user_id, metadata, others)
        yield from upsert_session(self._database, record.session_id, [{"$set": fields}])
        yield from self._origin(record.session_id, record.uuid)

    def _origin(self, session_id: str, uuid: str) -> Operation[SessionDocument]:
        """Return the session that was imported from one; refuse one that was not."""
        session = yield from self._sessions.find_one(with_id(session_id))
        if session is None:
            raise BadRequestError(f"there is no session {session_id!r}; its line comes first")
        if uuid not in (session["uuid"], session.get("origin")):
            raise BadRequestError(f"another session {session_id!r} exists already")
        return session

    def _load_messages(self, records: Sequence[MessageRecord]) -> Operation[list[str | None]]:
        try:
            session = yield from self._origin(records[0].session_id, records[0].session_uuid)
        except BadRequestError as error:
            return [str(error)] * len(records)
        reasons: list[str | None] = []
        documents: dict[int, MessageDocument] = {}
        for index, record in enumerate(records):
            try:
                documents[index] = _document(session, record)
            except BadRequestError as error:
                reasons.append(str(error))
            else:
                reasons.append(None)
        if not documents:
            return reasons
        indexes = list(documents)
        inserted = yield from self._messages.insert(list(documents.values()))
        refused = [indexes[conflict.index] for conflict in inserted.conflicts]
        if refused:
            query = {
                "session_id": session["_id"],
                "uuid": {"$in": [records[index].uuid for index in refused]},
            }
            found = yield from self._messages.find(query, fields={"uuid": 1})
            there = {message["uuid"] for message in found}
            for index in refused:
                if records[index].uuid not in there:
                    number = records[index].seq
                    reasons[index] = f"another message has the number {number} in the session"
        return reasons


def _document(session: SessionDocument, record: MessageRecord) -> MessageDocument:
    if not 0 < record.seq <= session["seq"]:
        raise BadRequestError(f"seq must be between 1 and {session['seq']}, not {record.seq}")
    message = Message(
        **{name: getattr(record, name) for name in Message.model_fields if hasattr(record, name)}
    )
    [(body, _)] = codecs.with_sizes([from_zep(message)])
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
    if record.deleted_at is not None:
        document["deleted_at"] = record.deleted_at
        if record.deletion is not None:
            document["deletion"] = record.deletion
        else:
            document["own_deletion"] = ObjectId()
    return cast("MessageDocument", document)


def _user_record(document: UserDocument) -> Record:
    return {"type": "user", **codecs.to_user(document).model_dump(exclude={"uuid", "id"})}


def _session_record(document: SessionDocument) -> Record:
    fields: Mapping[str, Any] = document
    record: Record = {"type": "session", "session_id": document["_id"]}
    for name in ("user_id", *_KEPT, *_SIDEBAR, *_TIMES):
        if fields.get(name) is not None:
            record[name] = fields[name]
    if document.get("metadata") is not None:
        record["metadata"] = decoded_metadata(document["metadata"])
    if deletion := document.get("deletion"):
        record["deletion"] = {name: deletion.get(name) for name in _DELETION}
    if summary := document.get("summary"):
        record["summary"] = {
            name: value for name, value in summary.items() if name not in {"embedding", "metadata"}
        }
        if summary.get("metadata") is not None:
            record["summary"]["metadata"] = decoded_metadata(summary["metadata"])
    return record


def _message_record(document: MessageDocument, parent: str | None) -> Record:
    message = codecs.to_message(document)
    message.parent_uuid = parent
    record: Record = {
        "type": "message",
        "session_id": document["session_id"],
        "session_uuid": document["_id"]["s"],
        "seq": document["seq"],
        **{name: value for name, value in dict(message).items() if value is not None},
        "parent_uuid": parent,
    }
    if isinstance(document.get("deletion"), int):
        record["deletion"] = document["deletion"]
    return record


def _read_cursor(cursor: str | None) -> tuple[str, int, int, str | None]:
    if cursor is None:
        return "user", 0, 0, None
    try:
        step, number, seq, parent = json.loads(cursor)
        if (
            step in {"user", "session", "message"}
            and 0 <= int(number) < 2**63
            and 0 <= int(seq) < 2**63
            and isinstance(parent, str | None)
        ):
            return step, int(number), int(seq), parent
    except (ValueError, TypeError, RecursionError):
        pass
    raise BadRequestError("cursor is not one that an export returned")
