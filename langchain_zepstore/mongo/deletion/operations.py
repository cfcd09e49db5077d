"""Soft deletion and undeletion of sessions and messages; the protocol is in ``marks``."""

from bson import ObjectId

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import ErasurePage
from langchain_zepstore.errors import NotFoundError
from langchain_zepstore.models import Message, Session
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.adding.reservation import CLOSED_DELETION
from langchain_zepstore.mongo.deletion.counts import changing, uncounting
from langchain_zepstore.mongo.deletion.erasure import Erasure
from langchain_zepstore.mongo.deletion.marks import Marking, this_session, with_id
from langchain_zepstore.mongo.deletion.purge import Purging
from langchain_zepstore.mongo.documents import MessageDocument, Query, SessionDocument, Stage
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.expressions import literal
from langchain_zepstore.mongo.ownership import check_owner

_REVIVAL: Stage = {"$unset": ["deletion", "deleted_at"]}
_SETTLED = {"$or": [{"deletion": None}, {"deletion.settled": True}]}


class Deletion:
    """Deletes, undeletes and purges."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sessions = database.sessions
        self._messages = database.messages
        self._marking = Marking(database)
        self._erasure = Erasure(database)
        self.purge = Purging(database).purge

    def delete_session(self, session_id: str, user_id: str | None = None) -> Operation[None]:
        """Soft-delete a live session and its messages.

        A message that is added meanwhile keeps the session alive.

        Raises:
            BadRequestError: It is another user's.
            NotFoundError: There is no live session of that id.
        """
        while True:
            begun = yield from self._begin(session_id, user_id)
            if begun:
                yield from self._marking.settle(begun, is_new=True)
                return
            session = yield from self._present(session_id)
            check_owner(session, user_id)
            if session.get("deleted_at"):
                raise NotFoundError(f"session {session_id!r} is deleted already")
            yield from self._marking.recover(session)

    def erase_session(
        self,
        session_id: str,
        cursor: str | None,
        *,
        user_id: str | None = None,
        dry_run: bool = False,
    ) -> Operation[ErasurePage]:
        """Take a step of erasing a session."""
        if dry_run:
            return self._erasure.count_session(session_id, user_id)
        return self._erasure.session(session_id, cursor, user_id)

    def erase_user(
        self, user_id: str, cursor: str | None, *, dry_run: bool = False
    ) -> Operation[ErasurePage]:
        """Take a step of erasing a user."""
        if dry_run:
            return self._erasure.count_user(user_id)
        return self._erasure.user(user_id, cursor)

    def _begin(self, session_id: str, user_id: str | None) -> Operation[SessionDocument | None]:
        """Open a deletion of a live session that needs no recovery, or join the open one."""
        owned: Query = {} if user_id is None else {"user_id": {"$in": [None, user_id]}}
        opened: Stage = {
            "id": {"$add": [{"$ifNull": ["$deletion_count", 0]}, 1]},
            "at": "$$NOW",
            "seq": "$seq",
            "open": True,
            "summary": "$summary",
        }
        is_open = {"$eq": ["$deletion.open", True]}
        return self._sessions.find_one_and_update(
            {
                "_id": session_id,
                **owned,
                "deleted_at": None,
                "undeletion": None,
                "$or": [*_SETTLED["$or"], {"deletion.open": True}],
            },
            [
                {"$set": {"deletion": {"$cond": [is_open, "$deletion", opened]}}},
                {"$set": {"deletion_count": "$deletion.id"}},
                {"$unset": "summary"},
                *uncounting(),
            ],
        )

    def undelete_session(self, session_id: str) -> Operation[Session]:
        """Bring back a session and the messages that its last deletion took.

        Raises:
            NotFoundError: There is nothing to bring back.
        """
        claimed = yield from self._claim_plain(session_id)
        if claimed:
            yield from self._marking.restore(claimed)
            return codecs.to_session(claimed)
        while True:
            session = yield from self._present(session_id)
            if session.get("undeletion"):
                yield from self._marking.restore(session)
                return codecs.to_session(session)
            if not session.get("deletion"):
                raise NotFoundError(f"session {session_id!r} has no deletion to undo")
            yield from self._marking.settle_pending(session)
            if not session.get("deleted_at"):
                yield from self._require_taken(session)
            # A summary must not outlive the messages, which may be purged.
            took = yield from self._took(session)
            restored = {"$ifNull": ["$deletion.summary", "$$REMOVE"]} if took else "$$REMOVE"
            claimed = yield from self._claim(
                session,
                {"id": session["deletion"]["id"]},
                # The summary of then, or none: a later one does not cover the restored messages.
                {"$set": {"summary": restored}},
                _REVIVAL,
            )
            if claimed:
                yield from self._marking.restore(claimed)
                return codecs.to_session(claimed)

    def _require_taken(self, session: SessionDocument) -> Operation[None]:
        if not (yield from self._took(session)):
            raise NotFoundError(f"session {session['_id']!r} has no messages to bring back")

    def _took(self, session: SessionDocument) -> Operation[MessageDocument | None]:
        return self._messages.find_one(
            {
                "session_id": session["_id"],
                "deletion": session["deletion"]["id"],
                "_id.s": session["uuid"],
            },
            fields={"_id": 1},
        )

    def delete_message(self, session_id: str, uuid: str) -> Operation[None]:
        """Soft-delete one message.

        Raises:
            NotFoundError: There is no live message of that id in the session.
        """
        this = {"session_id": session_id, "uuid": uuid}
        mark = ObjectId()
        marking = self._messages.update(
            {**this, "deleted_at": None},
            [{"$set": {"deleted_at": "$$NOW", "own_deletion": mark}}, {"$unset": "tokens"}],
        )
        matched = yield from changing(self._database, [session_id], marking)
        # It may have been this call, with the answer lost.
        if not matched and not (yield from self._messages.find_one({**this, "own_deletion": mark})):
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
                    return codecs.to_message(message)
                raise NotFoundError(f"message {uuid!r} of session {session_id!r} is not deleted")
            session = yield from self._present(session_id)
            if session.get("deleted_at"):
                raise NotFoundError(
                    f"session {session_id!r} is deleted; undelete_session brings it back"
                )
            if message["_id"]["s"] != session["uuid"]:
                raise NotFoundError(f"message {uuid!r} was said before {session_id!r} began anew")
            if (yield from self._marking.recover(session)):
                # It may have been this call's undeletion, with the answer lost.
                begun = session.get("undeletion")
                restoring = restoring or bool(begun and begun.get("message") == uuid)
                continue
            claimed = yield from self._claim(
                session,
                {**_deletion_of(message), "message": literal(uuid)},
                # An open deletion would go on and delete the session with the message.
                {"$set": {"deletion": CLOSED_DELETION}},
            )
            if claimed:
                yield from self._marking.restore(claimed)
                restoring = True

    def _claim(
        self, session: SessionDocument, undeletion: Stage, *changes: Stage
    ) -> Operation[SessionDocument | None]:
        """Claim an undeletion in the session's document, if that is unchanged."""
        current = session.get("deletion")
        return self._sessions.find_one_and_update(
            {
                **this_session(session),
                "undeletion": None,
                "deletion.id": current["id"] if current else None,
                "deleted_at": session.get("deleted_at"),
                **_SETTLED,
            },
            _claiming(undeletion, *changes),
        )

    def _claim_plain(self, session_id: str) -> Operation[SessionDocument | None]:
        """Claim the undeletion of a deleted session, if that is complete and took no summary."""
        return self._sessions.find_one_and_update(
            {
                **with_id(session_id),
                "undeletion": None,
                "deleted_at": {"$ne": None},
                "deletion.settled": True,
                "deletion.summary": None,
            },
            _claiming({"id": "$deletion.id"}, {"$unset": "summary"}, _REVIVAL),
        )

    def _present(self, session_id: str) -> Operation[SessionDocument]:
        session = yield from self._sessions.find_one(with_id(session_id))
        if session is None:
            raise NotFoundError(f"there is no session {session_id!r}")
        return session


def _claiming(undeletion: Stage, *changes: Stage) -> list[Stage]:
    count = {"$ifNull": ["$deletion_count", 0]}
    claim = {"undeletion": {**undeletion, "count": count}, "updated_at": "$$NOW"}
    return [{"$set": claim}, *changes, *uncounting()]


def _deletion_of(message: MessageDocument) -> Stage:
    """Return how an undeletion names what took a message."""
    if "own_deletion" in message:
        return {"own_deletion": message["own_deletion"]}
    return {"id": message["deletion"]}
