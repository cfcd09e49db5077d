"""The marks of deletions on messages: setting and removing them.

A deletion marks the messages that are there. Unless they hold all the numbers that were reserved,
it then fences, which is that placeholders take the others, and marks again. An undeletion claims,
then unmarks. Each step may happen twice, late, or as the last one of its process.
``docs/mongodb.md`` shows the protocol as a whole.

Two rules keep late steps harmless. The deletions of a session are counted: a restored message
remembers the count (``restored``), and marks of deletions up to it pass it by. And no deletion is
replaced or undone before all its marks are set (``settled``).
"""

import time
from collections.abc import Callable
from datetime import datetime

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import AlreadyExistsError
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.documents import MessageDocument, Query, SessionDocument, Update
from langchain_zepstore.mongo.driver.database import Database

_FENCE_CHUNK = 1000  # placeholders in one insert
_MARKING_SPAN = 500  # messages in the first update, each of up to 1,000 index keys
_QUICK_SECONDS = 0.2

_BY_ID = "_id_"


class Marking:
    """Completes deletions and undeletions, whichever process began them."""

    def __init__(self, database: Database) -> None:
        self._sessions = database.whole.sessions  # placeholders have no owner
        self._messages = database.whole.messages

    def recover(self, session: SessionDocument) -> Operation[bool]:
        """Finish an interrupted deletion or undeletion. Returns whether there was one."""
        if session.get("undeletion"):
            yield from self.restore(session)
            return True
        return (yield from self.settle_pending(session))

    def settle_pending(self, session: SessionDocument) -> Operation[bool]:
        """Finish a deletion that is not settled. Returns whether there was one."""
        if session.get("deletion") and not session["deletion"].get("settled"):
            yield from self.settle(session)
            return True
        return False

    def settle_last(self, session: SessionDocument) -> Operation[None]:
        """Finish the last deletion of an incarnation, if it is not settled."""
        current = yield from self._sessions.find_one(this_session(session))
        if current:
            yield from self.settle_pending(current)

    def settle(self, session: SessionDocument, *, is_new: bool = False) -> Operation[None]:
        """Finish a session's deletion; a new one takes messages above the last number along.

        A killed writer may have left these, if the server lost the reservation too.
        """
        deletion = session["deletion"]
        last = deletion["seq"]
        fenced = min(session.get("fenced") or 0, last)  # a first edit may have fenced more since
        unmarked: Query = {
            "session_id": session["_id"],
            "_id.s": session["uuid"],
            "deleted_at": None,
            "restored": {"$not": {"$gte": deletion["id"]}},
        }
        mark = {
            "$set": {"deleted_at": deletion["at"], "deletion": deletion["id"]},
            "$unset": {"tokens": 1},
        }
        yield from self.update_in_spans(unmarked, mark, fenced)
        above: Query = {
            **{name: unmarked[name] for name in ("session_id", "_id.s", "deleted_at")},
            "seq": {"$gt": session["seq"]},
        }
        marked, is_more = yield from self.update_in_spans(
            unmarked, mark, last, after=fenced, other=above if is_new else None
        )
        if is_new and (is_more or last == fenced):
            widened = yield from self._widened(session, above)
            if widened:
                yield from self.settle(widened)
                return
        if marked < last - fenced:  # not each of the numbers was a live message's
            yield from self.fence(session, last, deletion["at"])
            yield from self.update_in_spans(unmarked, mark, last, after=fenced)
        # Closed by an add since: the session stays live.
        is_open = {"$eq": ["$deletion.open", True]}
        yield from self._sessions.update(
            {**this_session(session), "deletion.id": deletion["id"]},
            [
                {
                    "$set": {
                        "fenced": {"$max": ["$fenced", deletion["seq"]]},
                        "deleted_at": {"$cond": [is_open, deletion["at"], "$deleted_at"]},
                        "updated_at": {"$cond": [is_open, "$$NOW", "$updated_at"]},
                        "deletion": {
                            "$mergeObjects": ["$deletion", {"open": False, "settled": True}]
                        },
                    }
                }
            ],
        )

    def _widened(self, session: SessionDocument, above: Query) -> Operation[SessionDocument | None]:
        """Extend an open deletion to messages above the last number; ``None`` if it need not be."""
        top = yield from self._messages.find(above, sort={"seq": -1}, limit=1, fields={"seq": 1})
        if not top:
            return None
        return (
            yield from self._sessions.find_one_and_update(
                {
                    **this_session(session),
                    "seq": session["seq"],  # no number was reserved since
                    "deletion.id": session["deletion"]["id"],
                    "deletion.open": True,
                },
                {"$set": {"seq": top[0]["seq"], "deletion.seq": top[0]["seq"]}},
            )
        )

    def fence(self, session: SessionDocument, last: int, now: datetime) -> Operation[None]:
        """Insert placeholders at the numbers up to ``last`` that no message has.

        An add that had reserved one of them reserves again. Gaps below the last fence are left by
        the purge, and stay.
        """
        deleted_at = now + codecs.MAX_ADD_DURATION
        yield from self.fill(
            session, last, lambda numbers: codecs.placeholders(session, numbers, deleted_at)
        )

    def fill(
        self,
        session: SessionDocument,
        last: int,
        placeholders: Callable[[list[int]], list[MessageDocument]],
    ) -> Operation[None]:
        """Insert placeholders at the free numbers between the last fence and ``last``."""
        first = session.get("fenced") or 0
        numbers = numbers_between(session, first, last)
        if last - first == (yield from self._messages.count(numbers, hint=_BY_ID)):
            return
        for start in range(first, last, _FENCE_CHUNK):
            end = min(start + _FENCE_CHUNK, last)
            taken = yield from self._messages.find(
                numbers_between(session, start, end), fields={"_id": 1}
            )
            free = set(range(start + 1, end + 1)) - {document["_id"]["q"] for document in taken}
            if free:
                # A conflict is a message that landed first, or a placeholder of another process.
                yield from self._messages.insert(placeholders(sorted(free)))

    def restore(self, session: SessionDocument) -> Operation[None]:
        """Finish a session's undeletion."""
        undeletion = session["undeletion"]
        query: Query = {"session_id": session["_id"], "_id.s": session["uuid"]}
        if "own_deletion" in undeletion:
            query["own_deletion"] = undeletion["own_deletion"]
        else:
            query["deletion"] = undeletion["id"]
        if "message" in undeletion:
            query["uuid"] = undeletion["message"]
        unmark = {
            "$unset": {"deleted_at": 1, "deletion": 1, "own_deletion": 1, "superseded": 1},
            "$set": {"restored": undeletion["count"]},
        }
        yield from self.update_in_spans({**query, "superseded": None}, unmark, session["seq"])
        yield from self._restore_superseded({**query, "superseded": {"$ne": None}}, unmark)
        yield from self._sessions.update(
            {**this_session(session), "undeletion": undeletion}, {"$unset": {"undeletion": 1}}
        )

    def _restore_superseded(self, query: Query, unmark: Update) -> Operation[None]:
        """Restore superseded messages whose successor was never stored; forget the others."""
        for message in (yield from self._messages.find(query, fields={"uuid": 1})):
            this = {**query, "_id": message["_id"]}
            try:
                yield from self._messages.update(this, unmark)
            except AlreadyExistsError:
                yield from self.forget(this)

    def forget(self, query: Query) -> Operation[None]:
        """Turn deleted messages into placeholders, which keep their numbers until the purge."""
        yield from self._messages.update(query, codecs.FORGETTING, many=True)

    def update_in_spans(
        self,
        query: Query,
        update: Update,
        last: int,
        *,
        after: int = 0,
        other: Query | None = None,
    ) -> Operation[tuple[int, bool]]:
        """Update a session's messages up to a number, in commands that are short.

        Each waits for the disk, so a command that was quick is followed by one of twice the size.

        Args:
            query: Which messages.
            update: Changes each of them.
            last: The last number.
            after: The number before the first.
            other: The last command looks for a message that matches this as well.

        Returns:
            How many matched, and whether there was another.
        """
        matched, is_other, size = 0, False, _MARKING_SPAN
        while after < last:
            begun_at = time.monotonic()
            span = {"$gt": after, "$lte": min(after + size, last)}
            these = {**query, "seq": span}
            if other is not None and after + size >= last:
                count, is_other = yield from self._messages.update_and_look(these, update, other)
            else:
                count = yield from self._messages.update(these, update, many=True)
            matched += count
            after += size
            if time.monotonic() - begun_at < _QUICK_SECONDS:
                size *= 2
        return matched, is_other


def with_id(session_id: str) -> Query:
    """Return the query for the session of an id, live or deleted.

    It does not match what an erasure leaves until it is complete, which has no ``uuid``.
    """
    return {"_id": session_id, "uuid": {"$exists": True}}


def this_session(session: SessionDocument) -> Query:
    """Return the query for this incarnation of a session."""
    return {"_id": session["_id"], "uuid": session["uuid"]}


def numbers_between(session: SessionDocument, after: int, last: int) -> Query:
    """Return the query for all documents numbered above ``after``, up to ``last``."""
    incarnation = session["uuid"]
    return {"_id": {"$gt": {"s": incarnation, "q": after}, "$lte": {"s": incarnation, "q": last}}}
