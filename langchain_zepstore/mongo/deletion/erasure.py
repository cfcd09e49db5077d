"""Erasure: removes a session, or all that is a user's, at once and for good.

One update of the session's document ends its incarnation: it leaves only the id and an entry in
``erasing``, and a new session may begin under the id in the same moment. Then all numbers of the
old incarnation are taken by placeholders without content, id or session, so that no late add lands;
its messages are turned into the same. Last, the entry is removed, and with it the document if
there is no new session. What was interrupted is found by the entry, and completed by a repeat.
"""

import time
from collections.abc import Sequence
from typing import Any, cast

from bson import MaxKey, MinKey

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import ErasurePage
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.deletion.marks import Marking, this_session, with_id
from langchain_zepstore.mongo.documents import (
    Erasing,
    MessageDocument,
    MessageId,
    Metadata,
    Query,
    SessionDocument,
)
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.expressions import literal
from langchain_zepstore.mongo.indexes import BY_USER, DELETED_BY_SCOPE, ERASED, ERASING_BY_USER
from langchain_zepstore.mongo.ownership import ensure_user

_STEP_SECONDS = 2.0  # so that a request of a step never reaches a timeout
_CHUNK_SIZE = 1000
_SESSIONS_PAGE_SIZE = 100
_IS_NEW = {"uuid": {"$exists": True}}


class Erasure:
    """Erases sessions and users in steps, of which the first decides what is erased."""

    def __init__(self, database: Database) -> None:
        # What an erasure leaves until it is complete has no owner.
        self._database = database.whole
        self._sessions = self._database.sessions
        self._messages = self._database.messages
        self._viewer = database.viewer
        self._marking = Marking(database)

    def session(
        self, session_id: str, cursor: str | None, user_id: str | None = None
    ) -> Operation[ErasurePage]:
        """Erase a session, live or deleted, and what its owner said before under the id.

        Args:
            session_id: The session's id.
            cursor: The cursor of the step before; ``None`` begins.
            user_id: Only if it is this user's.
        """
        step = _Step()
        user_id = user_id or self._viewer
        if self._viewer not in (None, user_id):
            return step.page(None)
        owner: Query = {} if user_id is None else {"user_id": user_id}
        yield from self._database.indexes.ensure(self._messages, ERASED)
        if cursor is None:
            yield from self._begin({**with_id(session_id), **owner})
        is_complete = (yield from self._complete(session_id, user_id, step)) and (
            yield from self._strip_purged(session_id, user_id, step)
        )
        return step.page(None if is_complete else "0")

    def user(self, user_id: str, cursor: str | None) -> Operation[ErasurePage]:
        """Erase a user, with what the user ever said.

        Sessions that are created after the first step stay; so does the user of these.

        Args:
            user_id: The user's id.
            cursor: The cursor of the step before; ``None`` begins.
        """
        step = _Step()
        if self._viewer not in (None, user_id):
            return step.page(None)
        yield from self._database.indexes.ensure(self._messages, ERASED, DELETED_BY_SCOPE)
        yield from self._database.indexes.ensure(self._sessions, BY_USER, ERASING_BY_USER)
        if cursor is None:
            counter = yield from self._database.counters.find_one({"_id": "sessions"})
            cursor = str(counter["last"] if counter else 0)
            step.counts["users"] = yield from self._database.users.delete({"_id": user_id})
        is_complete = yield from self._erase_sessions(user_id, int(cursor), step)
        if not (is_complete and (yield from self._strip_strays(user_id, step))):
            return step.page(cursor)
        if (yield from self._sessions.find_one({"user_id": user_id, **_IS_NEW}, fields={"_id": 1})):
            yield from ensure_user(self._database, user_id)
        return step.page(None)

    def _erase_sessions(self, user_id: str, last: int, step: "_Step") -> Operation[bool]:
        """Erase a user's sessions up to the ``id``; ``False`` if the time is up before."""
        ours: Query = {"user_id": user_id, "id": {"$lte": last}, **_IS_NEW}
        # First they all end, so that as little as can be is added to what is erased.
        while found := (yield from self._page(ours)):
            for session in found:
                yield from self._begin({**with_id(session["_id"]), **ours})
            if step.is_over():
                return False
        yield from self._begin_forks(user_id, last)
        while found := (yield from self._page({"erasing.user_id": user_id})):
            for session in found:
                if not (yield from self._complete(session["_id"], user_id, step)):
                    return False
        return True

    def _begin_forks(self, user_id: str, last: int) -> Operation[None]:
        """Erase as well what forks have copied since the first step, from what is erased."""
        since: Query = {"user_id": user_id, "id": {"$gt": last}, **_IS_NEW}
        fields = dict.fromkeys(("uuid", "id", "metadata"), 1)
        for fork in (yield from self._sessions.find(since, sort={"id": 1}, fields=fields)):
            origin = _origin(fork["metadata"] or {})
            if not isinstance(origin, str):
                continue
            source = yield from self._sessions.find_one(with_id(origin), fields={"id": 1})
            if source is None or source["id"] > fork["id"]:
                yield from self._begin(this_session(fork))

    def _page(self, query: Query) -> Operation[list[SessionDocument]]:
        return self._sessions.find(query, limit=_SESSIONS_PAGE_SIZE, fields={"_id": 1})

    def _begin(self, query: Query) -> Operation[None]:
        """End the incarnation of a session, if there is one that matches."""
        while session := (yield from self._sessions.find_one(query)):
            user_id = session.get("user_id")
            said = yield from self._messages.aggregate(
                [{"$match": _said(session)}, {"$group": {"_id": "$_id.s"}}]
            )
            entry = {
                "uuid": "$uuid",
                "seq": "$seq",
                "fenced": {"$ifNull": ["$fenced", 0]},
                "user_id": literal(user_id),
                "incarnations": literal(sorted({session["uuid"], *(each["_id"] for each in said)})),
            }
            left = {
                "_id": "$_id",
                "deleted_at": codecs.BEING_ERASED,
                "erasing": {"$concatArrays": [{"$ifNull": ["$erasing", []]}, [entry]]},
            }
            # Not if it got another owner or incarnation since it was read.
            this = {**this_session(session), "user_id": user_id}
            if (yield from self._sessions.update(this, [{"$replaceWith": left}])):
                return

    def _complete(self, session_id: str, user_id: str | None, step: "_Step") -> Operation[bool]:
        """Complete the erasures of sessions with an id; ``False`` if the time is up before."""
        query: Query = {"_id": session_id, "erasing": {"$exists": True}}
        while session := (yield from self._sessions.find_one(query, fields={"erasing": 1})):
            entries = [entry for entry in session["erasing"] if user_id in (None, entry["user_id"])]
            if not entries:
                break
            for entry in entries:
                if not (yield from self._remove(session_id, entry, step)):
                    return False
                step.counts["sessions"] += yield from self._drop_entry(session_id, entry)
        return True

    def _remove(self, session_id: str, entry: Erasing, step: "_Step") -> Operation[bool]:
        """Take all numbers of an incarnation, and remove the messages of all."""
        sharded = yield from self._database.is_sharded()
        fenced_id = session_id if sharded else None
        yield from self._marking.fill(
            cast("SessionDocument", {"_id": session_id, **entry}),
            entry["seq"],
            lambda numbers: codecs.fences(entry["uuid"], numbers, fenced_id),
        )
        for incarnation in entry["incarnations"]:
            last: Query | MessageId = {"s": incarnation, "q": MinKey()}
            end = {"s": incarnation, "q": MaxKey()}
            while found := (
                yield from self._chunk({"_id": {"$gt": last, "$lt": end}, "expires_at": None})
            ):
                yield from self._strip(found, step)
                if step.is_over():
                    return False
                last = found[-1]["_id"]
        return True

    def _drop_entry(self, session_id: str, entry: Erasing) -> Operation[int]:
        """Remove a completed erasure from the document, or the document if nothing else is there.

        Returns:
            1, or 0 if another call did.
        """
        this: Query = {"_id": session_id, "erasing.uuid": entry["uuid"]}
        others = {
            "$filter": {
                "input": "$erasing",
                "cond": {"$ne": ["$$this.uuid", literal(entry["uuid"])]},
            }
        }
        is_last = {"$eq": [{"$size": "$erasing"}, 1]}
        remaining = [{"$set": {"erasing": {"$cond": [is_last, "$$REMOVE", others]}}}]
        while (yield from self._sessions.find_one(this, fields={"_id": 1})):
            only = {**this, "uuid": {"$exists": False}, "erasing": {"$size": 1}}
            dropped = yield from self._sessions.delete(only)
            if not dropped:
                stays = {**this, "$or": [_IS_NEW, {"erasing.1": {"$exists": True}}]}
                dropped = yield from self._sessions.update(stays, remaining)
            if dropped:
                return 1
        return 0

    def _strip_strays(self, user_id: str, step: "_Step") -> Operation[bool]:
        """Remove a user's deleted messages under ids that others have since.

        Returns:
            ``False`` if the time is up before.
        """
        last: Any = MinKey()
        scope = codecs.user_scope(user_id)
        deleted: Query = {"scope": scope, "deleted_at": {"$exists": True}}
        while found := (yield from self._chunk({**deleted, "_id": {"$gt": last}})):
            # What was said and deleted since the first step is not erased.
            ids = list({message["session_id"] for message in found})
            new: Query = {"_id": {"$in": ids}, "user_id": user_id, **_IS_NEW}
            sessions = yield from self._sessions.find(new, fields={"uuid": 1})
            spared = {session["uuid"] for session in sessions}
            strays = [message for message in found if message["_id"]["s"] not in spared]
            yield from self._strip(strays, step)
            if step.is_over():
                return False
            last = found[-1]["_id"]
        return True

    def _strip_purged(self, session_id: str, user_id: str | None, step: "_Step") -> Operation[bool]:
        """Remove what purges have left of a session that is gone.

        Returns:
            ``False`` if the time is up before.
        """
        left: Query = {"session_id": session_id, "deleted_at": {"$exists": True}}
        if user_id is not None:
            left["scope"] = codecs.user_scope(user_id)
        fields = {"_id": 1, "placeholder": 1}
        while found := (
            yield from self._messages.find(
                {**left, "expires_at": None}, limit=_CHUNK_SIZE, fields=fields
            )
        ):
            if (yield from self._sessions.find_one(with_id(session_id), fields={"_id": 1})):
                break  # it is the new session's
            yield from self._strip(found, step)
            if step.is_over():
                return False
        return True

    def _chunk(self, query: Query) -> Operation[list[MessageDocument]]:
        fields = {"_id": 1, "session_id": 1, "placeholder": 1}
        return self._messages.find(query, sort={"_id": 1}, limit=_CHUNK_SIZE, fields=fields)

    def _strip(self, messages: Sequence[MessageDocument], step: "_Step") -> Operation[None]:
        if messages:
            update = codecs.erasing(sharded=(yield from self._database.is_sharded()))
            these: Query = {"_id": {"$in": [message["_id"] for message in messages]}}
            yield from self._messages.update({**these, "expires_at": None}, update, many=True)
            step.counts["messages"] += sum("placeholder" not in each for each in messages)

    def count_session(self, session_id: str, user_id: str | None = None) -> Operation[ErasurePage]:
        """Count what erasing a session would remove."""
        step = _Step()
        user_id = user_id or self._viewer
        if self._viewer not in (None, user_id):
            return step.page(None)
        query = with_id(session_id) | ({} if user_id is None else {"user_id": user_id})
        if session := (yield from self._sessions.find_one(query)):
            said = {**_said(session), "placeholder": None}
            step.counts["sessions"] = 1
            step.counts["messages"] = yield from self._messages.count(said)
        return step.page(None)

    def count_user(self, user_id: str) -> Operation[ErasurePage]:
        """Count what erasing a user would remove."""
        step, after = _Step(), 0
        if self._viewer not in (None, user_id):
            return step.page(None)
        step.counts["users"] = yield from self._database.users.count({"_id": user_id})
        yield from self._database.indexes.ensure(self._messages, DELETED_BY_SCOPE)
        yield from self._database.indexes.ensure(self._sessions, BY_USER)
        ours: Query = {"user_id": user_id, **_IS_NEW}
        fields = {"_id": 1, "id": 1}
        while found := (
            yield from self._sessions.find(
                {**ours, "id": {"$gt": after}}, sort={"id": 1}, limit=_CHUNK_SIZE, fields=fields
            )
        ):
            after = found[-1]["id"]
            live: Query = {"session_id": {"$in": [each["_id"] for each in found]}}
            step.counts["sessions"] += len(found)
            step.counts["messages"] += yield from self._messages.count({**live, "deleted_at": None})
        deleted: Query = {"scope": codecs.user_scope(user_id), "deleted_at": {"$exists": True}}
        trash = yield from self._messages.count({**deleted, "placeholder": None})
        step.counts["messages"] += trash
        return step.page(None)


class _Step:
    """Counts what a step removes, and knows when its time is up."""

    def __init__(self) -> None:
        self.counts = {"users": 0, "sessions": 0, "messages": 0}
        self._ends_at = time.monotonic() + _STEP_SECONDS

    def is_over(self) -> bool:
        """Whether its time is up."""
        return time.monotonic() > self._ends_at

    def page(self, cursor: str | None) -> ErasurePage:
        """Return its outcome."""
        return ErasurePage(self.counts, cursor)


def _origin(metadata: Metadata) -> object:
    """Return the id of the session that a fork, complete or not, was made from."""
    begun = metadata.get("forking_from")
    return begun.get("session_id") if isinstance(begun, dict) else metadata.get("forked_from")


def _said(session: SessionDocument) -> Query:
    """Return the query for what a session's owner, or nobody, ever said under its id."""
    scopes = [codecs.scope_of(session), codecs.session_scope(session["_id"])]
    return {"session_id": session["_id"], "scope": {"$in": scopes}}
