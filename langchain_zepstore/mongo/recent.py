"""Recent sessions and the trash, filtered, with previews of their messages."""

from langchain_zepstore.core.arguments import RecentQuery
from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.models import Session
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.branches.reads import BranchReads
from langchain_zepstore.mongo.cursors import decode_cursor, encode_cursor
from langchain_zepstore.mongo.documents import Query, Stage
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.encoding import encoded_metadata
from langchain_zepstore.mongo.expressions import contains

MAX_MESSAGE_COUNT = 1000
"""Where the count of a preview ends."""

_MAX_PAGE_SIZE = 2**31 - 2


def recent_sessions(database: Database, asked: RecentQuery) -> Operation[Page[Session]]:
    """Return a page of sessions, the last active first; of deleted ones the last deleted."""
    limit = min(asked.limit, _MAX_PAGE_SIZE)
    order = "deleted_at" if asked.deleted else "active_at"
    query, sort = _query(asked), {order: -1, "id": -1}
    if asked.cursor is not None:
        moment, number = decode_cursor(asked.cursor, "recent_sessions")
        earlier = {"$or": [{order: {"$lt": moment}}, {"id": {"$lt": number}}]}
        query["$and"] = [{order: {"$lte": moment}}, earlier]
    if asked.preview:
        page: list[Stage] = [{"$match": query}, {"$sort": sort}, {"$limit": limit + 1}]
        found = yield from database.sessions.aggregate([*page, *_PREVIEW])
    else:
        found = yield from database.sessions.find(
            query, sort=sort, limit=limit + 1, fields=codecs.SESSION_FIELDS
        )
    sessions = [codecs.to_session(session) for session in found[:limit]]
    if asked.preview:
        for session, document in zip(sessions, found, strict=False):
            counts, last = document["message_counts"], document["last_messages"]
            session.message_count = counts[0]["messages"] if counts else 0
            session.last_message = codecs.to_message(last[0]) if last else None
            if document.get("branched") and last:
                yield from _preview_branch(database, session)
    if len(found) <= limit:
        return Page(sessions, None)
    last = found[limit - 1]
    return Page(sessions, encode_cursor(last[order], last["id"]))


def _preview_branch(database: Database, session: Session) -> Operation[None]:
    """Fill in the preview of a session that has branched, from its active branch."""
    reads = BranchReads(database)
    last = yield from reads.find(session.session_id, codecs.MESSAGE_FIELDS, order=-1, limit=1)
    count = yield from reads.count(session.session_id)
    session.message_count = min(count, MAX_MESSAGE_COUNT)
    session.last_message = codecs.to_message(last[0]) if last else None


def _query(asked: RecentQuery) -> Query:
    query: Query = {"deleted_at": codecs.IS_DELETED if asked.deleted else None}
    if asked.user_id is not None:
        query["user_id"] = asked.user_id
    for name, wanted in (("archived", asked.archived), ("pinned", asked.pinned)):
        if wanted is not None:
            query[name] = True if wanted else {"$ne": True}
    if asked.tags:
        query["tags"] = {"$all": asked.tags}
    if asked.metadata:
        wanted_metadata = encoded_metadata(asked.metadata, "metadata")
        query["$expr"] = {"$and": contains("$metadata", wanted_metadata)}
    bounds = {"$gte": asked.since, "$lte": asked.until}
    if any(bounds.values()):
        query["active_at"] = {name: at for name, at in bounds.items() if at is not None}
    return query


def _live_messages(name: str, *stages: Stage) -> Stage:
    return {
        "$lookup": {
            "from": "messages",
            "localField": "_id",
            "foreignField": "session_id",
            "pipeline": [{"$match": {"deleted_at": None}}, *stages],
            "as": name,
        }
    }


_PREVIEW: list[Stage] = [
    {"$project": codecs.SESSION_FIELDS},
    _live_messages(
        "last_messages",
        {"$sort": {"seq": -1}},
        {"$limit": 1},
        {"$project": codecs.MESSAGE_FIELDS},
    ),
    _live_messages("message_counts", {"$limit": MAX_MESSAGE_COUNT}, {"$count": "messages"}),
]
