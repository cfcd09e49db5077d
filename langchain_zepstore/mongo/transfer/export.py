"""Export: documents as records.

A record is a dict with ``type``: ``user``, ``session`` or ``message``. A session's messages follow
it, in their order.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import bson
from bson import MaxKey

from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.core.records import Record
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.branches.table import table_of
from langchain_zepstore.mongo.branches.tree import parents
from langchain_zepstore.mongo.deletion.marks import Marking
from langchain_zepstore.mongo.documents import (
    MessageDocument,
    Query,
    SessionDocument,
    UserDocument,
)
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.encoding import decoded_metadata
from langchain_zepstore.mongo.indexes import DELETED_BY_SCOPE, listing_index
from langchain_zepstore.mongo.reassignment import complete_reassignment

_PAGE_SIZE = 500
_PAGE_BYTES = 4 * 1024 * 1024  # of messages, behind which a page ends
_KEPT = ("uuid", "seq", "deletion_count", "branched", "turn", "forks")
_STORED = ("deletion_count", "branched", "turn", "forks", "deletion")
_DELETION = ("id", "at", "seq", "open", "settled")
_SIDEBAR = ("title", "pinned", "archived", "tags")
_TIMES = ("created_at", "updated_at", "active_at", "deleted_at")


class _Part(NamedTuple):
    """The scope of an export; everything without a user and a session."""

    user_id: str | None
    session_id: str | None

    def sessions(self) -> Query:
        query: Query = {"uuid": {"$exists": True}}
        if self.user_id is not None:
            query["user_id"] = self.user_id
        if self.session_id is not None:
            query["_id"] = self.session_id
        return query


class _Position(NamedTuple):
    """The position of an export: the last record, or a step that begins."""

    step: str
    number: int = 0  # the ``id`` of a user or session
    seq: int = 0
    parent: str | None = None  # the message before; of former sessions, the ``uuid``


_Step = tuple[list[Record], int, _Position | None]
"""Records, how many bytes they are about, and the position after them."""


class Export:
    """Exports page by page."""

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
        part = _Part(user_id, session_id)
        steps = {
            "user": self._of_users,
            "session": self._of_session,
            "message": self._of_messages,
            "former": self._of_former,
        }
        records: list[Record] = []
        position: _Position | None = _read_cursor(cursor)
        size = 0
        while position and len(records) < _PAGE_SIZE and size < _PAGE_BYTES:
            room = _PAGE_SIZE - len(records)
            more, more_bytes, position = yield from steps[position.step](part, position, room)
            records += more
            size += more_bytes
        return Page(records, json.dumps(position) if position else None)

    def _of_users(self, part: _Part, position: _Position, room: int) -> Operation[_Step]:
        users: list[UserDocument] = []
        if part.session_id is None:
            query: Query = {} if part.user_id is None else {"_id": part.user_id}
            users = yield from self._users.find(
                {**query, "id": {"$gt": position.number}}, sort={"id": 1}, limit=room
            )
        following = _Position("user", users[-1]["id"]) if users else _Position("session")
        return [_user_record(user) for user in users], 0, following

    def _of_session(self, part: _Part, position: _Position, _: int) -> Operation[_Step]:
        if part.session_id is None:
            index = listing_index(part.user_id or self._database.viewer, is_live=False)
            yield from self._database.indexes.ensure(self._sessions, index)
        while True:
            found = yield from self._sessions.find(
                {**part.sessions(), "id": {"$gt": position.number}}, sort={"id": 1}, limit=1
            )
            if not found:
                return [], 0, _Position("former")
            if not (yield from self._marking.recover(found[0])):
                break
        yield from complete_reassignment(self._database, found[0])
        return [_session_record(found[0])], 0, _Position("message", found[0]["id"])

    def _of_messages(self, part: _Part, position: _Position, room: int) -> Operation[_Step]:
        session = yield from self._sessions.find_one({**part.sessions(), "id": position.number})
        said: list[MessageDocument] = []
        if session is not None:
            said = yield from self._said(session, position.seq, room)
        if session is None or not said:
            return [], 0, _Position("session", position.number)
        records = yield from self._message_records(session, said, position.parent)
        last = said[-1]
        return records, _bytes(said), position._replace(seq=last["seq"], parent=last["uuid"])

    def _of_former(self, part: _Part, position: _Position, room: int) -> Operation[_Step]:
        """Return what a user said in sessions whose ids others have since, or nobody."""
        user_id = self._database.viewer if part.user_id is None else part.user_id
        said: list[MessageDocument] = []
        if user_id is not None and part.session_id is None:
            yield from self._database.indexes.ensure(self._messages, DELETED_BY_SCOPE)
            said = yield from self._messages.find(
                {
                    "scope": codecs.user_scope(user_id),
                    "deleted_at": {"$exists": True},
                    "_id": {"$gt": {"s": position.parent or "", "q": position.seq}},
                    "placeholder": None,
                },
                sort={"_id": 1},
                limit=room,
                fields=codecs.MESSAGE_FIELDS,
                one_batch=True,
            )
        if user_id is None or not said:
            return [], 0, None
        records = yield from self._former_records(user_id, said, position.parent)
        last = said[-1]["_id"]
        return records, _bytes(said), position._replace(seq=last["q"], parent=last["s"])

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

    def _former_records(
        self, user_id: str, said: Sequence[MessageDocument], incarnation: str | None
    ) -> Operation[list[Record]]:
        """Return the records of those that are in no session of the user.

        Args:
            user_id: The user.
            said: Deleted messages of the user.
            incarnation: The ``uuid`` of the session of the message before them.
        """
        ids = list({message["session_id"] for message in said})
        present: Query = {"_id": {"$in": ids}, "user_id": user_id}
        sessions = yield from self._sessions.find(present, fields={"uuid": 1})
        shown = {session["uuid"] for session in sessions}
        records: list[Record] = []
        for message in said:
            own = message["_id"]["s"]
            if own in shown:
                continue
            if own != incarnation:
                incarnation = own
                end: Query = {"$lt": {"s": own, "q": MaxKey()}, "$gt": {"s": own, "q": 0}}
                [last] = yield from self._messages.find(
                    {"_id": end}, sort={"_id": -1}, limit=1, fields={"_id": 1}
                )
                records.append(_former_record(user_id, message, last["_id"]["q"]))
            records.append({**_message_record(message, None), "user_id": user_id})
        return records


def _former_record(user_id: str, message: MessageDocument, last: int) -> Record:
    return {
        "type": "session",
        "session_id": message["session_id"],
        "uuid": message["_id"]["s"],
        "seq": last,
        "user_id": user_id,
        "deleted_at": message.get("deleted_at"),
        "former": True,
    }


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
    if "given" in document:
        record["given"] = document["given"]
    if isinstance(document.get("deletion"), int):
        record["deletion"] = document["deletion"]
    return record


def _bytes(documents: Sequence[MessageDocument]) -> int:
    return sum(len(bson.encode(each)) for each in documents)


def _read_cursor(cursor: str | None) -> _Position:
    if cursor is None:
        return _Position("user")
    try:
        step, number, seq, parent = json.loads(cursor)
        if (
            step in {"user", "session", "message", "former"}
            and 0 <= int(number) < 2**63
            and 0 <= int(seq) < 2**63
            and isinstance(parent, str | None)
        ):
            return _Position(step, int(number), int(seq), parent)
    except (ValueError, TypeError, RecursionError):
        pass
    raise BadRequestError("cursor is not one that an export returned")
