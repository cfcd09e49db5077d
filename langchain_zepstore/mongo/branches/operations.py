"""Operations on branches."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, TypeGuard

import bson

from langchain_zepstore.core.ids import new_id
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import AlreadyExistsError, NotFoundError
from langchain_zepstore.models import Branch, Message, Session
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.branches.edits import Edits
from langchain_zepstore.mongo.branches.listing import listed
from langchain_zepstore.mongo.branches.reads import TABLE_FIELDS, find_along
from langchain_zepstore.mongo.branches.resumption import Resumptions
from langchain_zepstore.mongo.branches.table import ForkTable, clipped, table_of
from langchain_zepstore.mongo.branches.tree import alternatives
from langchain_zepstore.mongo.deletion.counts import changing
from langchain_zepstore.mongo.deletion.erasure import Erasure
from langchain_zepstore.mongo.deletion.marks import Marking, with_id
from langchain_zepstore.mongo.documents import Fields, Metadata, Query, SessionDocument, Stage
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.message_reads import existing, live
from langchain_zepstore.mongo.messages import Messages
from langchain_zepstore.mongo.ownership import MissingUserError
from langchain_zepstore.mongo.sessions import Sessions

_CHUNK_SIZE = 1000
_FORKING = "forking_from"
_CHANGED_BY_DELETION: tuple[Literal["uuid", "deletion_count", "deletion", "undeletion"], ...] = (
    *("uuid", "deletion_count", "deletion", "undeletion"),
)
_COPYING_FIELDS: Fields = {**TABLE_FIELDS, **dict.fromkeys((*_CHANGED_BY_DELETION, "fenced"), 1)}


class Branches:
    """Rewinds, switches, lists and copies branches."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._messages = database.messages
        self._edits = Edits(database)
        self._marking = Marking(database)
        self._erasure = Erasure(database)
        self.rewind = self._edits.rewind
        self.switch = self._edits.switch
        self.resume = Resumptions(database).resume

    def listed(self, session_id: str) -> Operation[list[Branch]]:
        """Return a session's branches, in the order of their making."""
        table = yield from self._table(session_id)
        if table is None:
            return []
        return (yield from listed(self._messages, live(session_id), table))

    def alternatives(self, session_id: str, uuid: str) -> Operation[list[Message]]:
        """Return what follows the same message as one, itself included, the first said first."""
        query = live(session_id)
        message = existing(
            (
                yield from self._messages.find_one(
                    {**query, "uuid": uuid}, fields=codecs.MESSAGE_FIELDS
                )
            ),
            session_id,
            uuid,
        )
        table = None
        if message.get("branched"):
            table = yield from self._table(session_id)
        if table is None:
            return [codecs.to_message(message)]
        found = yield from alternatives(self._messages, query, table, message["seq"])
        return [codecs.to_message(each) for each in found]

    def fork(
        self, session_id: str, at: str | None, new_session_id: str | None
    ) -> Operation[Session]:
        """Create a session with a copy of the active branch, or of the branch up to a message.

        Until the copy is whole its metadata say ``forking_from``, and a repeat completes it.
        """
        sessions = Sessions(self._database)
        source = yield from self._source(session_id)
        last = None
        if at is not None:
            message = yield from self._edits.live(session_id, at)
            last = message["seq"]
            if message["_id"]["s"] != source["uuid"]:
                raise NotFoundError(f"session {session_id!r} began anew")
        begun: Metadata = {
            "session_id": session_id,
            "uuid": source["uuid"],
            "last": table_of(source).tip() if last is None else last,
        }
        session = codecs.to_session(source)
        copy = _copy_of(session, new_session_id or new_id(), begun)
        try:
            copy = yield from sessions.create(copy)
        except AlreadyExistsError:
            copy = yield from sessions.get(copy.session_id)
            found = (copy.metadata or {}).get(_FORKING)
            if not _is_begun(found, session_id, last):
                raise
            begun = found
        except MissingUserError as error:  # deleted or erased meanwhile
            yield from self._remove_part(copy.session_id, session_id)
            raise NotFoundError(f"the user of session {session_id!r} is gone") from error
        try:
            while not (yield from self._copy(begun, copy)):
                pass
        except NotFoundError:
            yield from self._remove_part(copy.session_id, session_id)
            raise
        whole = Session(session_id=copy.session_id, metadata={"forked_from": session_id})
        return (yield from sessions.update(whole, [[_FORKING]]))

    def _copy(self, begun: Metadata, copy: Session) -> Operation[bool]:
        """Copy the branch that ends with a number, as it is now.

        Returns:
            ``False`` if the session was deleted and undeleted meanwhile: a read may miss messages.
        """
        session_id, last, copied = begun["session_id"], begun["last"], 0
        source = yield from self._settled(session_id)
        if source["uuid"] != begun["uuid"]:
            raise NotFoundError(f"session {session_id!r} began anew")
        # What lands later would stand in the wrong place of a copy that is completed later.
        yield from self._marking.fence(source, last, datetime.now(UTC))
        ranges, adding = table_of(source).path_to(last), Messages(self._database)
        is_behind = False
        while True:
            found = yield from find_along(
                self._messages,
                live(session_id),
                clipped(ranges, first=copied + 1),
                limit=_CHUNK_SIZE,
                fields=dict.fromkeys(("seq", *codecs.BODY_FIELDS), 1),
            )
            now = yield from self._source(session_id, _COPYING_FIELDS)
            if any(now.get(name) != source.get(name) for name in _CHANGED_BY_DELETION):
                return False
            if not found:
                return True
            bodies = [codecs.body_of(document) for document in found]
            sized = [(body, len(bson.encode(body))) for body in bodies]
            is_behind = yield from self._remove_misplaced(copy, bodies, is_behind=is_behind)
            yield from adding.add_bodies(copy.session_id, sized, incarnation=copy.uuid)
            copied = found[-1]["seq"]

    def _remove_misplaced(
        self, copy: Session, bodies: Sequence[Stage], *, is_behind: bool
    ) -> Operation[bool]:
        """Remove what an earlier call copied before messages that were restored since.

        Args:
            copy: The new session.
            bodies: The next messages to copy.
            is_behind: Whether earlier ones were not there.

        Returns:
            Whether these or earlier ones were not there.
        """
        uuids = [body["uuid"] for body in bodies]
        query: Query = {"session_id": copy.session_id, "_id.s": copy.uuid}
        found = yield from self._messages.find(
            {**query, "uuid": {"$in": uuids}}, fields={"uuid": 1}
        )
        there = {message["uuid"] for message in found}
        if not is_behind:
            kept = next((n for n, uuid in enumerate(uuids) if uuid not in there), len(uuids))
            is_behind = kept < len(uuids)
            uuids = uuids[kept:]
        if misplaced := [uuid for uuid in uuids if uuid in there]:
            removal = self._messages.delete({**query, "uuid": {"$in": misplaced}})
            yield from changing(self._database, [copy.session_id], removal)
        return is_behind

    def _settled(self, session_id: str) -> Operation[SessionDocument]:
        """Return a live session once no deletion or undeletion of it is under way."""
        while True:
            session = yield from self._source(session_id, _COPYING_FIELDS)
            if not (yield from self._marking.recover(session)):
                return session

    def _source(self, session_id: str, fields: Fields | None = None) -> Operation[SessionDocument]:
        session = yield from self._database.sessions.find_one(
            {"_id": session_id, "deleted_at": None}, fields=fields
        )
        if session is None:
            raise NotFoundError(f"there is no session {session_id!r}")
        return session

    def _remove_part(self, copy_id: str, session_id: str) -> Operation[None]:
        """Erase the part of a copy that nobody can complete any more."""
        part = yield from self._database.sessions.find_one(with_id(copy_id), fields={"metadata": 1})
        if part and _is_begun((part["metadata"] or {}).get(_FORKING), session_id, None):
            page = yield from self._erasure.session(copy_id, None)
            while page.cursor is not None:
                page = yield from self._erasure.session(copy_id, page.cursor)

    def _table(self, session_id: str) -> Operation[ForkTable | None]:
        session = yield from self._database.sessions.find_one(
            {"_id": session_id, "deleted_at": None}, fields=TABLE_FIELDS
        )
        return session and table_of(session)


def _is_begun(found: object, session_id: str, last: int | None) -> TypeGuard[Metadata]:
    """Return whether metadata, which anybody may set, say that this fork was begun."""
    return (
        isinstance(found, dict)
        and found.get("session_id") == session_id
        and isinstance(found.get("last"), int)
        and isinstance(found.get("uuid"), str)
        and last in (None, found["last"])
    )


def _copy_of(session: Session, session_id: str, begun: Metadata) -> Session:
    fields = {name: getattr(session, name) for name in ("title", "tags") if getattr(session, name)}
    metadata = {**(session.metadata or {}), _FORKING: begun}
    return Session(session_id=session_id, user_id=session.user_id, metadata=metadata, **fields)
