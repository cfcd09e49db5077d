"""Soft deletion and undeletion of sessions and messages.

Delete fences, then marks: it takes the numbers up to the session's last one away from whoever
reserved them and has not used them yet, and only then marks what is there. Undelete claims, then
unmarks. Each step may happen twice, be delayed for any time, or be the last that its process does.

What keeps late steps harmless: the deletions of a session are counted. A message that was brought
back remembers the count of that moment (``restored``), and marks of deletions up to it pass it by.
And no deletion is replaced by the next, or taken back, before all its marks are set (``settled``).
"""

from datetime import timedelta
from typing import Any

from bson import ObjectId

from langchain_zepstore.errors import AlreadyExistsError, NotFoundError
from langchain_zepstore.models import Message, Session
from langchain_zepstore.mongo import documents
from langchain_zepstore.mongo.collections import Database, Document
from langchain_zepstore.mongo.reserving import CLOSED_DELETION
from langchain_zepstore.running import Operation

_GRACE = timedelta(hours=1)  # how long an add may take from reserving a number to using it
_CHUNK = 1000
_SPAN = 50_000

_SETTLED = {"$or": [{"deletion": None}, {"deletion.settled": True}]}
_BY_ID = "_id_"


class Deletion:
    """Deletes and undeletes."""

    def __init__(self, database: Database) -> None:
        self._sessions = database.sessions
        self._messages = database.messages

    def delete_session(self, session_id: str) -> Operation[None]:
        """Soft-delete a live session and its messages.

        A message that is added meanwhile keeps the session alive.

        Raises:
            NotFoundError: There is no live session of that id.
        """
        while (session := (yield from self._begin(session_id))) is None:
            session = yield from self._present(session_id)
            if session.get("deleted_at"):
                raise NotFoundError(f"session {session_id!r} is deleted already")
            yield from self._tidy(session)
        yield from self._settle(session)

    def _begin(self, session_id: str) -> Operation[Document | None]:
        """Open a deletion of a live session with nothing left to tidy, or join the open one."""
        opened: Document = {
            "id": {"$add": [{"$ifNull": ["$deletion_count", 0]}, 1]},
            "at": "$$NOW",
            "seq": "$seq",
            "open": True,
        }
        is_open = {"$eq": ["$deletion.open", True]}
        return self._sessions.find_one_and_update(
            {
                "_id": session_id,
                "deleted_at": None,
                "undeletion": None,
                "$or": [*_SETTLED["$or"], {"deletion.open": True}],
            },
            [
                {"$set": {"deletion": {"$cond": [is_open, "$deletion", opened]}}},
                {"$set": {"deletion_count": "$deletion.id"}},
            ],
        )

    def _settle(self, session: Document) -> Operation[None]:
        """Complete a session's deletion, whoever began it."""
        deletion = session["deletion"]
        yield from self._fence(session, deletion["seq"])
        marked: Document = {
            "session_id": session["_id"],
            "deleted_at": None,
            "restored": {"$not": {"$gte": deletion["id"]}},
        }
        mark = {"$set": {"deleted_at": deletion["at"], "deletion": deletion["id"]}}
        yield from self._update_messages(marked, mark, deletion["seq"])
        # An add since then has closed the deletion, and the session lives.
        ends = {"$eq": ["$deletion.open", True]}
        yield from self._sessions.update(
            {**_this(session), "deletion.id": deletion["id"]},
            [
                {
                    "$set": {
                        "fenced": {"$max": ["$fenced", deletion["seq"]]},
                        "deleted_at": {"$cond": [ends, deletion["at"], "$deleted_at"]},
                        "updated_at": {"$cond": [ends, "$$NOW", "$updated_at"]},
                        "deletion": {
                            "$mergeObjects": ["$deletion", {"open": False, "settled": True}]
                        },
                    }
                }
            ],
        )

    def _fence(self, session: Document, last: int) -> Operation[None]:
        """Put placeholders at the numbers up to ``last`` that no message holds.

        Below the last fence, gaps are what the purge has removed.
        """
        first = session.get("fenced") or 0
        numbers = _numbers(session, first, last)
        if last - first == (yield from self._messages.count(numbers, hint=_BY_ID)):
            return
        deleted_at = session["deletion"]["at"] + _GRACE
        for start in range(first, last, _CHUNK):
            end = min(start + _CHUNK, last)
            held = yield from self._messages.find(_numbers(session, start, end), fields={"_id": 1})
            free = set(range(start + 1, end + 1)) - {document["_id"]["q"] for document in held}
            if free:
                # A conflict is a message that came first, or another's placeholder.
                yield from self._messages.insert(
                    documents.placeholders(session, sorted(free), deleted_at)
                )

    def undelete_session(self, session_id: str) -> Operation[Session]:
        """Bring back a session and the messages that its last deletion took.

        Raises:
            NotFoundError: There is nothing to bring back.
        """
        while True:
            session = yield from self._present(session_id)
            if session.get("undeletion"):
                yield from self._restore(session)
                return documents.to_session(session)
            if not session.get("deletion"):
                raise NotFoundError(f"session {session_id!r} has no deletion to take back")
            yield from self.settle_pending(session)
            if not session.get("deleted_at"):
                yield from self._require_taken(session)
            claimed = yield from self._claim(
                session,
                {"id": session["deletion"]["id"]},
                {"$unset": ["deletion", "deleted_at"]},
            )
            if claimed:
                yield from self._restore(claimed)
                return documents.to_session(claimed)

    def _require_taken(self, session: Document) -> Operation[None]:
        taken = yield from self._messages.find_one(
            {
                "session_id": session["_id"],
                "deletion": session["deletion"]["id"],
                "_id.s": session["uuid"],
            },
            fields={"_id": 1},
        )
        if taken is None:
            raise NotFoundError(f"session {session['_id']!r} has no messages to bring back")

    def delete_message(self, session_id: str, uuid: str) -> Operation[None]:
        """Soft-delete one message.

        Raises:
            NotFoundError: There is no live message of that id in the session.
        """
        this = {"session_id": session_id, "uuid": uuid}
        mark = ObjectId()
        matched = yield from self._messages.update(
            {**this, "deleted_at": None}, [{"$set": {"deleted_at": "$$NOW", "deletion": mark}}]
        )
        # It may have been us, with the answer lost.
        if not matched and not (yield from self._messages.find_one({**this, "deletion": mark})):
            raise NotFoundError(f"session {session_id!r} has no message {uuid!r}")

    def undelete_message(self, session_id: str, uuid: str) -> Operation[Message]:
        """Bring back one message of a live session, in its old place.

        Raises:
            NotFoundError: There is no such message, it is not deleted, or its session is.
        """
        this = {"session_id": session_id, "uuid": uuid}
        restoring = False
        while True:
            found = yield from self._messages.find({**this, "placeholder": None})
            if not found:
                raise NotFoundError(f"session {session_id!r} has no message {uuid!r}")
            message = min(found, key=lambda document: "superseded" in document)
            if not message.get("deleted_at"):
                if restoring:
                    return documents.to_message(message)
                raise NotFoundError(f"message {uuid!r} of session {session_id!r} is not deleted")
            session = yield from self._present(session_id)
            if session.get("deleted_at"):
                raise NotFoundError(
                    f"session {session_id!r} is deleted; undelete_session brings it back"
                )
            if message["_id"]["s"] != session["uuid"]:
                raise NotFoundError(f"message {uuid!r} was said before {session_id!r} began anew")
            if (yield from self._tidy(session)):
                # It may have been our own undeletion, with the answer lost.
                begun = session.get("undeletion") or {}
                restoring = restoring or begun.get("message") == uuid
                continue
            claimed = yield from self._claim(
                session,
                {"id": message["deletion"], "message": uuid},
                # An open deletion would otherwise go on to delete the session around the message.
                {"$set": {"deletion": CLOSED_DELETION}},
            )
            if claimed:
                yield from self._restore(claimed)
                restoring = True

    def _claim(
        self, session: Document, undeletion: Document, change: Document
    ) -> Operation[Document | None]:
        """Take a deletion back in the session's document, if nothing has changed there."""
        current = session.get("deletion")
        return self._sessions.find_one_and_update(
            {
                **_this(session),
                "undeletion": None,
                "deletion.id": current["id"] if current else None,
                "deleted_at": session.get("deleted_at"),
                **_SETTLED,
            },
            [
                {
                    "$set": {
                        "undeletion": {**undeletion, "count": {"$ifNull": ["$deletion_count", 0]}},
                        "updated_at": "$$NOW",
                    }
                },
                change,
            ],
        )

    def _restore(self, session: Document) -> Operation[None]:
        """Complete a session's undeletion, whoever began it."""
        undeletion = session["undeletion"]
        query: Document = {
            "session_id": session["_id"],
            "deletion": undeletion["id"],
            "_id.s": session["uuid"],
        }
        if "message" in undeletion:
            query["uuid"] = undeletion["message"]
        unmark = {
            "$unset": {"deleted_at": 1, "deletion": 1, "superseded": 1},
            "$set": {"restored": undeletion["count"]},
        }
        yield from self._update_messages({**query, "superseded": None}, unmark, session["seq"])
        yield from self._restore_superseded({**query, "superseded": {"$ne": None}}, unmark)
        yield from self._sessions.update(
            {**_this(session), "undeletion": undeletion}, {"$unset": {"undeletion": 1}}
        )

    def _restore_superseded(self, query: Document, unmark: Document) -> Operation[None]:
        """Bring back messages that gave way to one that never came; remove the others."""
        for message in (yield from self._messages.find(query, fields={"uuid": 1})):
            this = {**query, "_id": message["_id"]}
            try:
                yield from self._messages.update(this, unmark)
            except AlreadyExistsError:
                yield from self.forget(this)

    def forget(self, query: Document) -> Operation[None]:
        """Turn deleted messages into placeholders: their numbers stay taken until the purge."""
        yield from self._messages.update(query, documents.FORGETTING, many=True)

    def _update_messages(self, query: Document, update: Document, last: int) -> Operation[None]:
        # In spans: one command over millions of messages would outlast the timeout.
        for start in range(0, last, _SPAN):
            span = {"$gt": start, "$lte": min(start + _SPAN, last)}
            yield from self._messages.update({**query, "seq": span}, update, many=True)

    def settle_pending(self, session: Document) -> Operation[bool]:
        """Complete a deletion that is not settled yet; whether there was one."""
        if session.get("deletion") and not session["deletion"].get("settled"):
            yield from self._settle(session)
            return True
        return False

    def _tidy(self, session: Document) -> Operation[bool]:
        """Complete what another began on a session and perhaps will not; whether there was any."""
        if session.get("undeletion"):
            yield from self._restore(session)
            return True
        return (yield from self.settle_pending(session))

    def _present(self, session_id: str) -> Operation[Document]:
        session = yield from self._sessions.find_one({"_id": session_id})
        if session is None:
            raise NotFoundError(f"there is no session {session_id!r}")
        return session


def _this(session: Document) -> dict[str, Any]:
    return {"_id": session["_id"], "uuid": session["uuid"]}


def _numbers(session: Document, after: int, last: int) -> Document:
    incarnation = session["uuid"]
    return {"_id": {"$gt": {"s": incarnation, "q": after}, "$lte": {"s": incarnation, "q": last}}}
