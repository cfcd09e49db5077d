"""Which messages a search chooses from, and reading them in pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.search_query import SearchQuery
from langchain_zepstore.filters.where import parsed
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.branches.table import table_of
from langchain_zepstore.mongo.cursors import decode_cursor, encode_cursor
from langchain_zepstore.mongo.deletion.counts import MARK_FIELDS
from langchain_zepstore.mongo.documents import MessageDocument, MessageId, Query, SessionDocument
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.driver.errors import MissingIndexError
from langchain_zepstore.mongo.encoding import encoded_metadata
from langchain_zepstore.mongo.expressions import contains
from langchain_zepstore.mongo.indexes import SCOPE_INDEX, listing_index
from langchain_zepstore.mongo.ownership import check_owner
from langchain_zepstore.mongo.reassignment import complete_reassignment
from langchain_zepstore.mongo.search.filters import matching

TITLE_FIELDS = {"title": 1, "metadata.title": 1}
"""The projection of what ``codecs.title_of`` reads."""

_SESSION_FIELDS = {
    **MARK_FIELDS,
    **dict.fromkeys(("uuid", "id", "user_id", "adopting", "seq", "updated_at", "deleted_at"), 1),
    **TITLE_FIELDS,
}
_SESSIONS = 10_000  # in a page
SESSION_INDEX = "live_by_number"  # the index of all live messages
_SHORT_SESSION = 500  # messages that are read faster than all of its user's are counted


@dataclass(frozen=True, slots=True)
class SearchScope:
    """Live messages: of a session, of a user, or all there are.

    Attributes:
        owner: The ``scope`` of their documents; ``None`` for all.
        session: In one session.
        conditions: What else a query asks for.
        branched: Sessions with their tables, of which it is only the active branches.
    """

    owner: str | None
    session: SessionDocument | None
    conditions: Query
    branched: Sequence[SessionDocument] = ()

    @property
    def session_id(self) -> str | None:
        """The id of the session."""
        return self.session["_id"] if self.session else None

    @property
    def hint(self) -> str | None:
        """The index for a search by words in a short session of a user with many messages.

        ``None``: that of tokens.
        """
        last = self.session["seq"] if self.session else 0
        return SESSION_INDEX if 0 < last <= _SHORT_SESSION else None

    def indexed(self) -> Query:
        """Return the query of the messages that a search by words counts and gives tokens."""
        query: Query = {"scope": self.owner, "deleted_at": None}
        if self.hint is not None:
            query["session_id"] = self.session_id
        return query

    def query(self) -> Query:
        """Return the query that a search by words adds to."""
        query = {**self.indexed(), **self.filter()}
        if self.session_id is not None:
            query["session_id"] = self.session_id
        return query

    def filter(self) -> Query:
        """Return the query for what else is asked of messages."""
        if not self.branched:
            return self.conditions
        return {**self.conditions, "$nor": [_inactive(each) for each in self.branched]}

    def sessions(
        self, database: Database, after: int | None
    ) -> Operation[tuple[list[SessionDocument], int | None]]:
        """Return a page of the sessions that they are of, and where the next page begins.

        Args:
            database: Where they are.
            after: Where this page begins; ``None`` for the first.
        """
        if self.session is not None:
            return [self.session], None
        query: Query = {"deleted_at": None, "id": {"$gt": after or 0}}
        if self.owner is not None:
            query["user_id"] = self.owner.removeprefix("u:")
        index = listing_index(self.owner or database.viewer)
        yield from database.indexes.ensure(database.sessions, index)
        found = yield from database.sessions.find(
            query, sort={"id": 1}, limit=_SESSIONS, fields=_SESSION_FIELDS
        )
        for session in found:
            if session.get("adopting"):  # who began it may have died
                yield from complete_reassignment(database, session)
        return found, found[-1]["id"] if len(found) == _SESSIONS else None

    def count(self, database: Database) -> Operation[int]:
        """Return how many there are."""
        yield from self._prepare(database)
        hint = SESSION_INDEX if self.owner is None and self.session_id is None else None
        try:
            return (yield from database.messages.count(self._listed(), hint=hint))
        except MissingIndexError:
            return (yield from database.messages.count(self._listed()))

    def page(
        self, database: Database, after: str | None, limit: int, fields: Sequence[str]
    ) -> Operation[tuple[list[MessageDocument], str | None]]:
        """Return a page of them, the newest first, and the cursor of the one after it.

        Args:
            database: Where they are.
            after: The cursor of this page; ``None`` for the first.
            limit: How many at most.
            fields: What to read beside ``_id`` and ``created_at``.
        """
        yield from self._prepare(database)
        query = self._listed()
        if after is not None:
            query["$and"] = [self._after(after)]
        found = yield from database.messages.find(
            query,
            sort=self._order(),
            limit=limit,
            fields=dict.fromkeys((*fields, "created_at"), 1),
        )
        return found, _cursor(found[-1]) if len(found) == limit else None

    def _prepare(self, database: Database) -> Operation[None]:
        if self.session_id is None and self.owner is not None:
            yield from database.indexes.ensure(database.messages, SCOPE_INDEX)

    def _listed(self) -> Query:
        where: Query = {}
        if self.session_id is not None:
            where = {"session_id": self.session_id}
        elif self.owner is not None:
            where = {"scope": self.owner}
        return {**where, "deleted_at": None, **self.filter()}

    def _order(self) -> Query:
        if self.session_id is not None:
            return {"seq": -1}
        return {"_id": -1} if self.owner is None else {"created_at": -1, "_id": -1}

    def _after(self, cursor: str) -> Query:
        created_at, key = _decoded(cursor)
        if self.session_id is not None:
            return {"seq": {"$lt": key["q"]}}
        earlier: Query = {"_id": {"$lt": key}}
        if self.owner is None:
            return earlier
        return {
            "created_at": {"$lte": created_at},
            "$or": [{"created_at": {"$lt": created_at}}, earlier],
        }


def resolve_scope(
    database: Database,
    session_id: str | None,
    user_id: str | None,
    conditions: Query | None = None,
    *,
    owner: str | None = None,
) -> Operation[SearchScope | None]:
    """Return the messages of a session or a user, or all; ``None`` if there is no such session.

    Raises:
        BadRequestError: The session is another user's than ``owner``.
    """
    conditions = conditions or {}
    user_id = user_id or database.viewer
    if database.viewer not in (None, user_id):
        return None
    if session_id is None:
        scope = None if user_id is None else codecs.user_scope(user_id)
        return SearchScope(scope, None, conditions)
    session = yield from database.sessions.find_one({"_id": session_id}, fields=_SESSION_FIELDS)
    check_owner(session, owner)
    if (
        session is None
        or session.get("deleted_at")
        or user_id not in (None, session.get("user_id"))
    ):
        return None
    yield from complete_reassignment(database, session)  # who began it may have died
    return SearchScope(codecs.scope_of(session), session, conditions)


def _inactive(session: SessionDocument) -> Query:
    """Return the query for what is not on a session's active branch."""
    others: Query = {"session_id": session["_id"]}
    if active := table_of(session).active():
        others["$nor"] = [{"seq": {"$gte": first, "$lte": last}} for first, last in active]
    return others


def filter_of(sought: SearchQuery, moment: str, metadata: str) -> Query:
    """Return the query of a search's filters.

    Args:
        sought: The search.
        moment: The field that says when it was.
        metadata: The field that holds metadata.
    """
    query: Query = {}
    if sought.start_date or sought.end_date:
        bounds = {"$gte": sought.start_date, "$lte": sought.end_date}
        query[moment] = {name: at for name, at in bounds.items() if at is not None}
    conditions = []
    if sought.metadata:
        conditions += contains(f"${metadata}", encoded_metadata(sought.metadata, "metadata"))
    if sought.where:
        conditions.append(matching(parsed(sought.where, "where"), metadata))
    if conditions:
        query["$expr"] = {"$and": conditions}
    return query


def _cursor(last: MessageDocument) -> str:
    key = last["_id"]
    return encode_cursor(last["created_at"], key["q"], key["s"])


def _decoded(cursor: str) -> tuple[datetime, MessageId]:
    created_at, number, incarnation = decode_cursor(cursor, "embed", others=1)
    return created_at, {"s": incarnation, "q": number}
