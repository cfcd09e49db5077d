"""Assigning a session without an owner to a user, with its messages."""

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.deletion.marks import Marking, this_session
from langchain_zepstore.mongo.documents import SessionDocument, Stage
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.expressions import literal


def assign_owner(user_id: str) -> Stage:
    """Return the ``$set`` that assigns a user; ``complete_reassignment`` must follow."""
    has_no_owner = {"$eq": [{"$ifNull": ["$user_id", None]}, None]}
    return {
        "adopting": {"$cond": [has_no_owner, True, "$adopting"]},
        "user_id": literal(user_id),
    }


def complete_reassignment(database: Database, session: SessionDocument) -> Operation[None]:
    """Set the owner on a session's messages, if that is pending; repeated, it is completed.

    A late message would still have the scope of a session without an owner: fencing the numbers
    first makes its add reserve again.
    """
    if not session.get("adopting"):
        return
    marking = Marking(database)
    yield from marking.fence(session, session["seq"], session["updated_at"])
    nobodys = {
        "session_id": session["_id"],
        "scope": codecs.session_scope(session["_id"]),
        "_id.s": session["uuid"],
    }
    # Its tokens are index keys under the old owner: a search makes those of the new one.
    change = {"$set": {"scope": codecs.scope_of(session)}, "$unset": {"tokens": 1}}
    yield from marking.update_in_spans({**nobodys, "deleted_at": None}, change, session["seq"])
    yield from database.whole.messages.update(nobodys, change, many=True)
    yield from database.whole.sessions.update(
        {**this_session(session), "adopting": True}, {"$unset": {"adopting": 1}}
    )
