"""Export: documents as records.

A record is a dict with ``type``: ``user``, ``session`` or ``message``. A session's messages follow
it, in their order.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import bson
from bson import MaxKey

from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.core.records import (
    Record,
)
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
from langchain_zepstore.mongo.reassignment import complete_reassignment

_PAGE_SIZE = 500
_PAGE_BYTES = 4 * 1024 * 1024  # of messages, behind which a page ends
_KEPT = ("uuid", "seq", "deletion_count", "branched", "turn", "forks")
_STORED = ("deletion_count", "branched", "turn", "forks", "deletion")
_DELETION = ("id", "at", "seq", "open", "settled")
_SIDEBAR = ("title", "pinned", "archived", "tags")
_TIMES = ("created_at", "updated_at", "active_at", "deleted_at")


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
