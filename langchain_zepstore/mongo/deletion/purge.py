"""Hard deletion of soft-deleted documents, before the TTL indexes do it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.deletion.marks import Marking, this_session
from langchain_zepstore.mongo.documents import Query
from langchain_zepstore.mongo.driver.collection import Collection
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.indexes import BY_SUMMARY_TAKEN, BY_USER, DELETED_BY_SCOPE

_CHUNK_SIZE = 1000
_NO_PLACEHOLDER = {"placeholder": None}
_BY_ID = "_id_"  # without the hint, each chunk scans all deleted documents


class Purging:
    """Removes soft-deleted messages, sessions and users for good."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._marking = Marking(database)

    def purge(
        self,
        older_than: timedelta | None,
        user_id: str | None = None,
        session_id: str | None = None,
    ) -> Operation[dict[str, int]]:
        """Remove messages, then sessions, then users that were deleted at least so long ago.

        With a user, only what is that user's; with a session, only what is of that session.

        A message that was deleted within the last hour leaves a placeholder: a late or repeated add
        must find its number taken, even when the session is gone.

        The messages of a session's deletion go together. The deletion is removed from the session
        first, so that no undelete restores a part of them; an undelete under way is completed.
        """
        now = datetime.now(UTC)
        until = now - (older_than or timedelta())
        of_messages, of_sessions, of_users = _narrowed(user_id, session_id)
        past: Query = {
            "deleted_at": {"$lte": min(until, now - codecs.MAX_ADD_DURATION)},
            **of_messages,
        }
        recent: Query = {"deleted_at": {"$lte": until}, **of_messages, **_NO_PLACEHOLDER}
        messages = self._database.messages
        yield from self._ensure_indexes(user_id or self._database.viewer, session_id)

        def forget(query: Query) -> Operation[int]:
            return messages.update(query, codecs.FORGETTING, many=True, hint=_BY_ID)

        def remove(query: Query) -> Operation[int]:
            return messages.delete(query, hint=_BY_ID)

        removed = yield from self._each({**past, **_NO_PLACEHOLDER}, of_sessions, until, remove)
        yield from _remove(messages, past)
        removed += yield from self._each(recent, of_sessions, until, forget)
        # The TTL index may have removed the messages, but not the summary of them.
        yield from self._database.sessions.update(
            {
                **of_sessions,
                "deletion.at": {"$lte": until},
                "deletion.settled": True,
                "deletion.summary": {"$exists": True},
                "undeletion": None,
            },
            {"$unset": {"deletion.summary": 1}},
            many=True,
        )
        gone: Query = {"deleted_at": {"$lte": until}}
        sessions = yield from _remove(
            self._database.sessions, {**gone, **of_sessions, "erasing": None}
        )
        users = 0
        if of_users is not None:
            query: Query = {**gone, **of_users, "deleting": None}
            users = yield from _remove(self._database.users, query)
        return {"messages": removed, "sessions": sessions, "users": users}

    def _ensure_indexes(self, user_id: str | None, session_id: str | None) -> Operation[None]:
        indexes, sessions = self._database.indexes, self._database.sessions
        if session_id is None and user_id is None:
            yield from indexes.ensure(sessions, BY_SUMMARY_TAKEN)
        elif session_id is None:
            yield from indexes.ensure(sessions, BY_USER)
            yield from indexes.ensure(self._database.messages, DELETED_BY_SCOPE)

    def _each(
        self,
        query: Query,
        of_sessions: Query,
        until: datetime,
        end: Callable[[Query], Operation[int]],
    ) -> Operation[int]:
        """End messages in chunks, each after the deletions that took them are given up."""
        ended = 0
        while found := (yield from _chunk(self._database.messages, query)):
            session_ids = {message["session_id"] for message in found}
            yield from self._give_up(session_ids, of_sessions, until)
            ended += yield from end({**query, "_id": {"$in": [each["_id"] for each in found]}})
        return ended

    def _give_up(
        self, session_ids: set[str], of_sessions: Query, until: datetime
    ) -> Operation[None]:
        sessions = self._database.sessions
        query: Query = {
            **of_sessions,  # another user may have the id by now
            "_id": {"$in": list(session_ids)},
            "$or": [{"undeletion": {"$ne": None}}, {"deletion.at": {"$lte": until}}],
        }
        while found := (yield from sessions.find(query)):
            for session in found:
                if not (yield from self._marking.recover(session)):
                    unclaimed = {"undeletion": None, "deletion.id": session["deletion"]["id"]}
                    yield from sessions.update(
                        {**this_session(session), **unclaimed}, {"$unset": {"deletion": 1}}
                    )


def _narrowed(user_id: str | None, session_id: str | None) -> tuple[Query, Query, Query | None]:
    """Return the queries of a user's, or a session's, messages, sessions and users."""
    messages: Query = {}
    sessions: Query = {}
    if session_id is not None:
        messages["session_id"] = sessions["_id"] = session_id
    if user_id is not None:
        messages["scope"] = codecs.user_scope(user_id)
        sessions["user_id"] = user_id
    if session_id is not None:
        return messages, sessions, None
    return messages, sessions, {} if user_id is None else {"_id": user_id}


# In chunks: one command over millions of documents would exceed the timeout.


def _remove(collection: Collection[Any], query: Query) -> Operation[int]:
    removed = 0
    while found := (yield from _chunk(collection, query)):
        removed += yield from collection.delete(
            {**query, "_id": {"$in": [document["_id"] for document in found]}}, hint=_BY_ID
        )
    return removed


def _chunk(collection: Collection[Any], query: Query) -> Operation[list[Any]]:
    return collection.find(query, limit=_CHUNK_SIZE, fields={"_id": 1, "session_id": 1})
