"""The marks of deletions on messages: setting them, and taking them back.

Delete fences, then marks: it takes the numbers up to the session's last one away from whoever
reserved them and has not used them yet, and only then marks what is there. Undelete claims, then
unmarks. Each step may happen twice, be delayed for any time, or be the last that its process does.

What keeps late steps harmless: the deletions of a session are counted. A message that was brought
back remembers the count of that moment (``restored``), and marks of deletions up to it pass it by.
And no deletion is replaced by the next, or taken back, before all its marks are set (``settled``).
"""

from datetime import datetime

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import AlreadyExistsError
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.documents import Query, SessionDocument, Update
from langchain_zepstore.mongo.driver.collection import Database

_CHUNK = 1000
_SPAN = 50_000

_BY_ID = "_id_"


class Marking:
    """Completes deletions and undeletions, whoever began them."""

    def __init__(self, database: Database) -> None:
        self._sessions = database.sessions
        self._messages = database.messages

    def tidy(self, session: SessionDocument) -> Operation[bool]:
        """Complete what another began on a session and perhaps will not; whether there was any."""
        if session.get("undeletion"):
            yield from self.restore(session)
            return True
        return (yield from self.settle_pending(session))

    def settle_pending(self, session: SessionDocument) -> Operation[bool]:
        """Complete a deletion that is not settled yet; whether there was one."""
        if session.get("deletion") and not session["deletion"].get("settled"):
            yield from self.settle(session)
            return True
        return False

    def settle_last(self, session_id: str) -> Operation[None]:
        """Complete the last deletion of a session, if it is not settled yet."""
        session = yield from self._sessions.find_one({"_id": session_id})
        if session:
            yield from self.settle_pending(session)

    def settle(self, session: SessionDocument) -> Operation[None]:
        """Complete a session's deletion, whoever began it."""
        deletion = session["deletion"]
        yield from self.fence(session, deletion["seq"], deletion["at"])
        marked: Query = {
            "session_id": session["_id"],
            "_id.s": session["uuid"],
            "deleted_at": None,
            "restored": {"$not": {"$gte": deletion["id"]}},
        }
        mark = {"$set": {"deleted_at": deletion["at"], "deletion": deletion["id"]}}
        yield from self._update_messages(marked, mark, deletion["seq"])
        # An add since then has closed the deletion, and the session lives.
        ends = {"$eq": ["$deletion.open", True]}
        yield from self._sessions.update(
            {**this_session(session), "deletion.id": deletion["id"]},
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

    def fence(self, session: SessionDocument, last: int, now: datetime) -> Operation[None]:
        """Put placeholders at the numbers up to ``last`` that no message holds.

        What is on its way to one of them gets another number. Below the last fence, gaps are what
        the purge has removed.
        """
        first = session.get("fenced") or 0
        numbers = _numbers(session, first, last)
        if last - first == (yield from self._messages.count(numbers, hint=_BY_ID)):
            return
        deleted_at = now + codecs.MAX_ADD_DURATION
        for start in range(first, last, _CHUNK):
            end = min(start + _CHUNK, last)
            held = yield from self._messages.find(_numbers(session, start, end), fields={"_id": 1})
            free = set(range(start + 1, end + 1)) - {document["_id"]["q"] for document in held}
            if free:
                # A conflict is a message that came first, or another's placeholder.
                yield from self._messages.insert(
                    codecs.placeholders(session, sorted(free), deleted_at)
                )

    def restore(self, session: SessionDocument) -> Operation[None]:
        """Complete a session's undeletion, whoever began it."""
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
        yield from self._update_messages({**query, "superseded": None}, unmark, session["seq"])
        yield from self._restore_superseded({**query, "superseded": {"$ne": None}}, unmark)
        yield from self._sessions.update(
            {**this_session(session), "undeletion": undeletion}, {"$unset": {"undeletion": 1}}
        )

    def _restore_superseded(self, query: Query, unmark: Update) -> Operation[None]:
        """Bring back messages that gave way to one that never came; remove the others."""
        for message in (yield from self._messages.find(query, fields={"uuid": 1})):
            this = {**query, "_id": message["_id"]}
            try:
                yield from self._messages.update(this, unmark)
            except AlreadyExistsError:
                yield from self.forget(this)

    def forget(self, query: Query) -> Operation[None]:
        """Turn deleted messages into placeholders: their numbers stay taken until the purge."""
        yield from self._messages.update(query, codecs.FORGETTING, many=True)

    def _update_messages(self, query: Query, update: Update, last: int) -> Operation[None]:
        # In spans: one command over millions of messages would outlast the timeout.
        for start in range(0, last, _SPAN):
            span = {"$gt": start, "$lte": min(start + _SPAN, last)}
            yield from self._messages.update({**query, "seq": span}, update, many=True)


def this_session(session: SessionDocument) -> Query:
    """Return the query for this incarnation of a session."""
    return {"_id": session["_id"], "uuid": session["uuid"]}


def _numbers(session: SessionDocument, after: int, last: int) -> Query:
    incarnation = session["uuid"]
    return {"_id": {"$gt": {"s": incarnation, "q": after}, "$lte": {"s": incarnation, "q": last}}}
