"""Which messages a search chooses from, and reading them in pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import bson

from langchain_zepstore.core.arguments import SearchQuery
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import APIError
from langchain_zepstore.filters.where import parsed
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.cursors import decode_cursor, encode_cursor
from langchain_zepstore.mongo.documents import MessageId, Query
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.encoding import encoded_metadata
from langchain_zepstore.mongo.expressions import contains
from langchain_zepstore.mongo.indexes import SCOPE_INDEX
from langchain_zepstore.mongo.reassignment import complete_reassignment
from langchain_zepstore.mongo.search.filters import matching

_OWNED = dict.fromkeys(("uuid", "user_id", "adopting", "seq", "fenced", "updated_at"), 1)
_WHOLE = "live_by_number"  # the index of all live messages


@dataclass(frozen=True, slots=True)
class Selection:
    """Live messages: of a session, of a user, or all there are.

    Attributes:
        scope: Whose, as their documents say it; ``None`` for all.
        session_id: In one session.
        narrowing: What else a query asks for.
    """

    scope: str | None
    session_id: str | None
    narrowing: Query

    def query(self) -> Query:
        """Return the query that a search by words adds to."""
        query: Query = {"scope": self.scope, "deleted_at": None, **self.narrowing}
        if self.session_id is not None:
            query["session_id"] = self.session_id
        return query

    def count(self, database: Database) -> Operation[int]:
        """Return how many there are."""
        yield from self._prepare(database)
        hint = _WHOLE if self.scope is None and self.session_id is None else None
        try:
            return (yield from database.messages.count(self._listed(), hint=hint))
        except APIError:  # there is no such index
            return (yield from database.messages.count(self._listed()))

    def page(
        self, database: Database, after: str | None, limit: int, fields: Sequence[str]
    ) -> Operation[tuple[list[bytes], str | None]]:
        """Return a page of them as BSON, the newest first, and the cursor of the one after it.

        Args:
            database: Where they are.
            after: The cursor of this page; ``None`` for the first.
            limit: How many at most.
            fields: What to read beside ``_id`` and ``created_at``.
        """
        yield from self._prepare(database)
        query = self._listed()
        if after is not None:
            query["$and"] = [self._behind(after)]
        found = yield from database.messages.find_raw(
            query,
            sort=self._order(),
            limit=limit,
            fields=dict.fromkeys((*fields, "created_at"), 1),
        )
        return found, _cursor(found[-1]) if len(found) == limit else None

    def _prepare(self, database: Database) -> Operation[None]:
        if self.session_id is None and self.scope is not None:
            yield from database.ensure(database.messages, SCOPE_INDEX)

    def _listed(self) -> Query:
        where: Query = {}
        if self.session_id is not None:
            where = {"session_id": self.session_id}
        elif self.scope is not None:
            where = {"scope": self.scope}
        return {**where, "deleted_at": None, **self.narrowing}

    def _order(self) -> Query:
        if self.session_id is not None:
            return {"seq": -1}
        return {"_id": -1} if self.scope is None else {"created_at": -1, "_id": -1}

    def _behind(self, cursor: str) -> Query:
        created_at, place = _decoded(cursor)
        if self.session_id is not None:
            return {"seq": {"$lt": place["q"]}}
        earlier: Query = {"_id": {"$lt": place}}
        if self.scope is None:
            return earlier
        return {
            "created_at": {"$lte": created_at},
            "$or": [{"created_at": {"$lt": created_at}}, earlier],
        }


def selected(database: Database, sought: SearchQuery) -> Operation[Selection | None]:
    """Return what a search chooses from; ``None`` if there is no such session."""
    owner = yield from scope_of(database, sought.session_id, sought.user_id)
    if owner is None:
        return None
    return Selection(owner, sought.session_id, narrowed(sought, "created_at", "metadata"))


def narrowed(sought: SearchQuery, moment: str, metadata: str) -> Query:
    """Return the query for what a search leaves to choose from.

    Args:
        sought: The search.
        moment: The field that says when it was.
        metadata: The field that holds metadata.
    """
    narrowing: Query = {}
    if sought.start_date or sought.end_date:
        bounds = {"$gte": sought.start_date, "$lte": sought.end_date}
        narrowing[moment] = {name: at for name, at in bounds.items() if at is not None}
    conditions = []
    if sought.metadata:
        conditions += contains(f"${metadata}", encoded_metadata(sought.metadata, "metadata"))
    if sought.where:
        conditions.append(matching(parsed(sought.where, "where"), metadata))
    if conditions:
        narrowing["$expr"] = {"$and": conditions}
    return narrowing


def scope_of(
    database: Database, session_id: str | None, user_id: str | None
) -> Operation[str | None]:
    """Return whose messages those of a session or a user are; ``None`` without such a session."""
    if session_id is None:
        return None if user_id is None else codecs.user_scope(user_id)
    session = yield from database.sessions.find_one(
        {"_id": session_id, "deleted_at": None}, fields=_OWNED
    )
    if session is None or user_id not in (None, session.get("user_id")):
        return None
    yield from complete_reassignment(database, session)  # who began it may have died
    return codecs.scope_of(session)


def _cursor(last: bytes) -> str:
    document = bson.decode(last)
    key = document["_id"]
    return encode_cursor(document["created_at"], key["q"], key["s"])


def _decoded(cursor: str) -> tuple[datetime, MessageId]:
    created_at, number, incarnation = decode_cursor(cursor, "embed", others=1)
    return created_at, {"s": incarnation, "q": number}
