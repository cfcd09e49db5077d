"""Giving a session that is nobody's to a user, with all that was said in it."""

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.deletion.marks import Marking, this_session
from langchain_zepstore.mongo.documents import SessionDocument, Stage
from langchain_zepstore.mongo.driver.collection import Database
from langchain_zepstore.mongo.expressions import literal


def adopted(user_id: str) -> Stage:
    """Return what an update sets to give a session to a user; ``adopt`` completes it."""
    is_nobodys = {"$eq": [{"$ifNull": ["$user_id", None]}, None]}
    return {
        "adopting": {"$cond": [is_nobodys, True, "$adopting"]},
        "user_id": literal(user_id),
    }


def adopt(database: Database, session: SessionDocument) -> Operation[None]:
    """Let a session's messages say whose they are, if that was begun; a repeated call completes it.

    A message on its way would still say that it is nobody's. The numbers are fenced first, so that
    it has to come again.
    """
    if not session.get("adopting"):
        return
    yield from Marking(database).fence(session, session["seq"], session["updated_at"])
    yield from database.messages.update(
        {
            "session_id": session["_id"],
            "scope": codecs.session_scope(session["_id"]),
        },
        {"$set": {"scope": codecs.scope_of(session)}},
        many=True,
    )
    yield from database.sessions.update(
        {**this_session(session), "adopting": True}, {"$unset": {"adopting": 1}}
    )
