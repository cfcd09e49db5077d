"""Which edits are stored already, by a call that ended or by one that was killed."""

from collections.abc import Sequence
from typing import NamedTuple

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.mongo.branches.reads import TABLE_FIELDS
from langchain_zepstore.mongo.branches.table import ForkTable, table_of
from langchain_zepstore.mongo.documents import MessageDocument
from langchain_zepstore.mongo.driver.database import Database


class StoredEdit(NamedTuple):
    """The stored messages of an edit.

    Attributes:
        first: Its first message, if all are.
        has_part: Whether a call that did not end has stored some.
    """

    first: MessageDocument | None = None
    has_part: bool = False


def stored_edit(
    database: Database, session_id: str, before: str, uuids: Sequence[str]
) -> Operation[StoredEdit]:
    """Return what is stored of an edit.

    It is stored if all its messages stand together in the place of ``before``, of which some may
    have been deleted since; or anywhere, if that is gone.

    Args:
        database: The database.
        session_id: The session's id.
        before: The id of the message that the edit replaces.
        uuids: The ids of its messages.

    Raises:
        BadRequestError: A live message that is no part of the edit has the id of one.
    """
    last = None
    while True:
        if not any(map(_is_live, (yield from _find(database, session_id, uuids)))):
            return StoredEdit()
        # The table is older than the messages that are compared with it: no edit ends in between.
        session = yield from database.sessions.find_one({"_id": session_id}, fields=TABLE_FIELDS)
        found = yield from _find(database, session_id, uuids)
        replaced = yield from _find(database, session_id, [before])
        live = [message for message in found if _is_live(message)]
        if session is None:
            return StoredEdit()
        if not live:
            continue
        table = table_of(session)
        if _is_whole(found, uuids) and _is_in_place(table, found[0], replaced):
            return StoredEdit(found[0])
        if table.last != last and any(message["seq"] > table.last for message in live):
            last = table.last
            continue
        for message in live:
            if not table.forks[table.fork_of(message["seq"])].get("pending"):
                raise BadRequestError(
                    f"session {session_id!r} has a message {message['uuid']!r} already: "
                    "give the new one another id"
                )
        return StoredEdit(has_part=True)


def _find(
    database: Database, session_id: str, uuids: Sequence[str]
) -> Operation[list[MessageDocument]]:
    """Return messages, live or deleted, in the order of their ids."""
    found = yield from database.messages.find(
        {"session_id": session_id, "uuid": {"$in": list(uuids)}, "superseded": None},
        fields=dict.fromkeys(("uuid", "seq", "deleted_at"), 1),
    )
    order = {uuid: index for index, uuid in enumerate(uuids)}
    return sorted(found, key=lambda message: order[message["uuid"]])


def _is_live(message: MessageDocument) -> bool:
    return message.get("deleted_at") is None


def _is_in_place(
    table: ForkTable, first: MessageDocument, replaced: Sequence[MessageDocument]
) -> bool:
    if replaced and _is_live(replaced[0]):
        return table.is_alternative(first["seq"], replaced[0]["seq"])
    return True


def _is_whole(found: Sequence[MessageDocument], uuids: Sequence[str]) -> bool:
    if len(found) != len(uuids):
        return False
    first, incarnation = found[0]["seq"], found[0]["_id"]["s"]
    places = [(message["_id"]["s"], message["seq"]) for message in found]
    return places == [(incarnation, first + index) for index in range(len(uuids))]
