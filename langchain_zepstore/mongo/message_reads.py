"""Reads of messages, also of soft-deleted ones."""

from collections.abc import Collection
from typing import Any, Literal

from bson import MaxKey
from langchain_core.messages import BaseMessage

from langchain_zepstore.core.arguments import WindowQuery
from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.errors import NotFoundError
from langchain_zepstore.models import Excerpt, Memory, Message
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.branches.reads import ALL, BranchReads, branch_of, find_along
from langchain_zepstore.mongo.branches.table import Range, clipped, table_of
from langchain_zepstore.mongo.branches.tree import alternatives, tree_page
from langchain_zepstore.mongo.deletion.marks import with_id
from langchain_zepstore.mongo.documents import Fields, MessageDocument, Query, SessionDocument
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.excerpts import excerpt_fields
from langchain_zepstore.mongo.reassignment import complete_reassignment
from langchain_zepstore.mongo.summaries import Summaries
from langchain_zepstore.mongo.windows import Windows

_OWNER_FIELDS = dict.fromkeys(
    ("uuid", "user_id", "adopting", "seq", "fenced", "updated_at", "forks"), 1
)


class MessageReads:
    """Reads messages."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._messages = database.messages
        self._summaries = Summaries(database)
        self._reads = BranchReads(database)
        self._windows = Windows(self._reads)

    def read(
        self,
        session_id: str,
        lastn: int | None = None,
        *,
        start_on: Collection[str] = (),
        user_id: str | None = None,
    ) -> Operation[list[Message]]:
        """Return the last messages of a session, oldest first; all of them without ``lastn``."""
        found = yield from self._windows.read(
            session_id, lastn, codecs.MESSAGE_FIELDS, start_on, user_id
        )
        return [codecs.to_message(document) for document in found]

    def memory(
        self,
        session_id: str,
        lastn: int | None = None,
        *,
        start_on: Collection[str] = (),
        user_id: str | None = None,
        include_deleted: bool = False,
        branch: str | None = None,
    ) -> Operation[Memory]:
        """Return the same with the session's summary; of another branch on request."""
        ranges = None
        if branch is not None:
            ranges = yield from self._branch(session_id, branch)
        if include_deleted:
            messages = yield from self._with_deleted(session_id, lastn, ranges)
        elif ranges is None:
            messages = yield from self.read(session_id, lastn, start_on=start_on, user_id=user_id)
        else:
            messages = yield from self._read_along(session_id, lastn, ranges)
        summary = yield from self._summaries.get(session_id, user_id, branch=ranges)
        return Memory(messages=messages, summary=summary)

    def _branch(self, session_id: str, uuid: str) -> Operation[list[Range]]:
        """Return the branch that holds a live message; of several the last active one."""
        found = yield from self._messages.find_one(
            {**live(session_id), "uuid": uuid}, fields={"seq": 1}
        )
        number = existing(found, session_id, uuid)["seq"]
        table = yield from self._reads.table(session_id)
        return table.path_through(number) if table else [ALL]

    def _read_along(
        self, session_id: str, lastn: int | None, ranges: list[Range]
    ) -> Operation[list[Message]]:
        if lastn == 0:
            return []
        found = yield from find_along(
            self._messages,
            live(session_id),
            ranges,
            order=-1,
            limit=lastn or 0,
            fields=codecs.MESSAGE_FIELDS,
        )
        return [codecs.to_message(document) for document in reversed(found)]

    def read_langchain(
        self,
        session_id: str,
        lastn: int | None = None,
        *,
        start_on: Collection[str] = (),
        user_id: str | None = None,
    ) -> Operation[list[BaseMessage]]:
        """Return the same as LangChain's messages, without a detour over Zep's."""
        found = yield from self._windows.read(
            session_id, lastn, codecs.LANGCHAIN_FIELDS, start_on, user_id
        )
        return [codecs.to_langchain(document) for document in found]

    def page(
        self,
        session_id: str,
        after: Any,
        limit: int,
        *,
        after_id: str | None = None,
        include_deleted: bool = False,
        all_branches: bool = False,
    ) -> Operation[Page[Message]]:
        """Return the next messages of a session after a page's cursor, oldest first."""
        if after is None and after_id is not None:
            after = yield from self._number_of(session_id, after_id)
        first = (after or 0) + 1
        between = (first, ALL[1])
        if all_branches:
            session = yield from self._session(session_id)
            if session is None:
                return Page([], None)
            query = _with_deleted(session, between) if include_deleted else live(session_id)
            tree = tree_page(self._messages, query, table_of(session), after or 0, limit)
            return (yield from tree)
        find = self._find_deleted if include_deleted else self._reads.find
        found = yield from find(
            session_id, codecs.MESSAGE_FIELDS, between=between, through=after, limit=limit
        )
        items = [codecs.to_message(document) for document in found]
        # A short page is not the last: messages may be added meanwhile.
        return Page(items, found[-1]["seq"] if found else None)

    def _with_deleted(
        self, session_id: str, lastn: int | None, ranges: list[Range] | None
    ) -> Operation[list[Message]]:
        if lastn == 0:
            return []
        order: Literal[1, -1] = 1 if lastn is None else -1
        found = yield from self._find_deleted(
            session_id, codecs.MESSAGE_FIELDS, ranges=ranges, order=order, limit=lastn or 0
        )
        return [codecs.to_message(document) for document in found[::order]]

    def _find_deleted(
        self,
        session_id: str,
        fields: Fields,
        *,
        between: Range = ALL,
        through: int | None = None,
        ranges: list[Range] | None = None,
        order: Literal[1, -1] = 1,
        limit: int = 0,
    ) -> Operation[list[MessageDocument]]:
        """Return messages of a branch, also soft-deleted ones, whose owner is the session's."""
        session = yield from self._session(session_id)
        if session is None:
            return []
        query = _with_deleted(session, between)
        if session.get("forks"):
            ranges = ranges or branch_of(table_of(session), through)
            ranges = clipped(ranges, first=between[0], last=between[1])
            along = find_along(
                self._messages, query, ranges, order=order, by="_id", limit=limit, fields=fields
            )
            return (yield from along)
        return (
            yield from self._messages.find(query, sort={"_id": order}, limit=limit, fields=fields)
        )

    def _number_of(self, session_id: str, uuid: str) -> Operation[int]:
        """Return the number of a message of the session's present incarnation, live or deleted."""
        session = yield from self._session(session_id)
        found = None
        if session is not None:
            query = {"session_id": session_id, "uuid": uuid}
            found = yield from self._messages.find_one(query, fields={"_id": 1, "scope": 1})
            if found and not (
                found["_id"]["s"] == session["uuid"]
                and found.get("scope") == codecs.scope_of(session)
            ):
                found = None
        return existing(found, session_id, uuid)["_id"]["q"]

    def _session(self, session_id: str) -> Operation[SessionDocument | None]:
        """Return a session, live or deleted, whose messages all have their owner."""
        session = yield from self._database.sessions.find_one(
            with_id(session_id), fields=_OWNER_FIELDS
        )
        if session is not None:
            yield from complete_reassignment(self._database, session)
        return session

    def numbered_page(
        self, session_id: str, limit: int, number: int, *, user_id: str | None = None
    ) -> Operation[list[Message]]:
        """Return a page of a session's messages by its number, from 1, oldest first."""
        found = yield from self._reads.find(
            session_id,
            codecs.MESSAGE_FIELDS,
            skip=(number - 1) * limit,
            limit=limit,
            user_id=user_id,
        )
        return [codecs.to_message(document) for document in found]

    def around(self, session_id: str, uuid: str, window: int) -> Operation[list[Message]]:
        """Return a live message with so many before and after it, oldest first."""
        fields = codecs.MESSAGE_FIELDS
        message = yield from self._document(session_id, uuid)
        seq = message["seq"]
        before: list[MessageDocument] = []
        after: list[MessageDocument] = []
        if window:
            before = yield from self._reads.find(
                session_id, fields, between=(1, seq - 1), through=seq, order=-1, limit=window
            )
            after = yield from self._reads.find(
                session_id, fields, between=(seq + 1, ALL[1]), through=seq, limit=window
            )
        return [codecs.to_message(each) for each in (*reversed(before), message, *after)]

    def window(self, session_id: str, query: WindowQuery) -> Operation[list[Excerpt]]:
        """Return the last messages, or those next to one, cut where they are large."""
        most = query.content_limit
        fields = codecs.MESSAGE_FIELDS if most is None else excerpt_fields(most)
        number = None
        if query.anchor is not None:
            number = yield from self._number_of(session_id, query.anchor)
        found: list[MessageDocument] = []
        for order, between, size in _sides(number, query):
            find = self._find_deleted if query.include_deleted else self._reads.find
            part = yield from find(
                session_id, fields, between=between, through=number, order=order, limit=size
            )
            found += part[::order]
        excerpts = [codecs.to_excerpt(document) for document in found]
        yield from self._add_alternatives(session_id, found, excerpts)
        return excerpts

    def _add_alternatives(
        self, session_id: str, found: list[MessageDocument], excerpts: list[Excerpt]
    ) -> Operation[None]:
        if not any(document.get("branched") for document in found):
            return
        table = yield from self._reads.table(session_id)
        if table is None:
            return
        for document, excerpt in zip(found, excerpts, strict=True):
            number = document["seq"]
            if len(table.following(table.before(number))) > 1 and excerpt.deleted_at is None:
                others = yield from alternatives(
                    self._messages, live(session_id), table, number, {"seq": 1, "uuid": 1}
                )
                uuids = [other["uuid"] for other in others]
                excerpt.alternatives = uuids if len(uuids) > 1 else None

    def get(self, session_id: str, uuid: str) -> Operation[Message]:
        """Return one message."""
        return codecs.to_message((yield from self._document(session_id, uuid)))

    def _document(self, session_id: str, uuid: str) -> Operation[MessageDocument]:
        found = yield from self._messages.find_one(
            {**live(session_id), "uuid": uuid}, fields=codecs.MESSAGE_FIELDS
        )
        return existing(found, session_id, uuid)

    def count(self, session_id: str) -> Operation[int]:
        """Return how many messages a session has."""
        return self._reads.count(session_id)


def _sides(number: int | None, query: WindowQuery) -> list[tuple[Literal[1, -1], Range, int]]:
    """Return the order, the range and the size of the parts of a window."""
    if number is None:
        return [(-1, ALL, query.limit)]
    if query.after is not None:
        return [(1, (number + 1, ALL[1]), query.limit)]
    if query.before is not None:
        return [(-1, (1, number - 1), query.limit)]
    first = query.limit // 2
    sides: list[tuple[Literal[1, -1], Range, int]] = [(1, (number, ALL[1]), query.limit - first)]
    return [(-1, (1, number - 1), first), *sides] if first else sides


def _with_deleted(session: SessionDocument, between: Range) -> Query:
    # By _id, which is the incarnation and the number: the index of live messages has none of these.
    incarnation = session["uuid"]
    first, last = between
    upper = MaxKey() if last == ALL[1] else last + 1
    bounds = {"$gte": {"s": incarnation, "q": first}, "$lt": {"s": incarnation, "q": upper}}
    return {"_id": bounds, "scope": codecs.scope_of(session), "placeholder": None}


def live(session_id: str) -> Query:
    """Return the query of a session's live messages."""
    return {"session_id": session_id, "deleted_at": None}


def existing(found: MessageDocument | None, session_id: str, uuid: str) -> MessageDocument:
    """Return a message that was found; ``NotFoundError`` if there is none."""
    if found is None:
        raise NotFoundError(f"session {session_id!r} has no message {uuid!r}")
    return found
