"""Recent sessions and the trash, filtered, with previews of their messages."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from langchain_zepstore.core.arguments import RecentQuery
from langchain_zepstore.core.batches import batches
from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.errors import ZepStoreError
from langchain_zepstore.models import Message, Session
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.branches.reads import count_along, last_along
from langchain_zepstore.mongo.branches.table import clipped, table_of
from langchain_zepstore.mongo.cursors import decode_cursor, encode_cursor
from langchain_zepstore.mongo.deletion.counts import counting, may_count
from langchain_zepstore.mongo.deletion.marks import Marking, numbers_between
from langchain_zepstore.mongo.documents import (
    Counted,
    MessageId,
    Query,
    SessionDocument,
    Stage,
    Update,
)
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.encoding import encoded_metadata
from langchain_zepstore.mongo.excerpts import excerpt_fields, metadata_fields
from langchain_zepstore.mongo.expressions import contains
from langchain_zepstore.mongo.indexes import recent_index

MAX_MESSAGE_COUNT = 1000
"""Where the count of a preview ends."""

_MAX_UNCOUNTED = 10  # numbers behind a count that a preview looks up one by one

_COUNTED_AT_ONCE = 50  # sessions in one query, each of up to 1,000 messages

_MAX_PAGE_SIZE = 2**31 - 2


def recent_sessions(database: Database, asked: RecentQuery) -> Operation[Page[Session]]:
    """Return a page of sessions, the last active first; of deleted ones the last deleted."""
    limit = min(asked.limit, _MAX_PAGE_SIZE)
    order = "deleted_at" if asked.deleted else "active_at"
    query = _query(asked)
    if asked.cursor is not None:
        moment, number = decode_cursor(asked.cursor, "recent_sessions")
        earlier = {"$or": [{order: {"$lt": moment}}, {"id": {"$lt": number}}]}
        query["$and"] = [{order: {"$lte": moment}}, earlier]
    index = recent_index(query, asked.user_id or database.viewer)
    yield from database.indexes.ensure(database.sessions, index)
    fields: Mapping[str, Any] = _PREVIEW_FIELDS if asked.preview else codecs.SESSION_FIELDS
    if asked.content_limit is not None:
        fields = {**fields, "metadata": 0}
    found = yield from database.sessions.find(
        query, sort={order: -1, "id": -1}, limit=limit + 1, fields=fields
    )
    if asked.content_limit is not None:
        yield from _add_metadata(database, found[:limit], asked.content_limit)
    sessions = [codecs.to_session(session) for session in found[:limit]]
    if asked.preview:
        previews = yield from _previews(database, found[:limit], asked.content_limit)
        for session, preview in zip(sessions, previews, strict=True):
            session.message_count, session.last_message = preview
    if len(found) <= limit:
        return Page(sessions, None)
    end: Mapping[str, Any] = found[limit - 1]
    return Page(sessions, encode_cursor(end[order], end["id"]))


def _add_metadata(
    database: Database, sessions: Sequence[SessionDocument], content_limit: int
) -> Operation[None]:
    """Read what sessions have for metadata, of much only the title."""
    these = {"_id": {"$in": [session["_id"] for session in sessions]}}
    fields = metadata_fields(content_limit)
    read = yield from database.sessions.find(these, fields=fields)
    metadata = {each["_id"]: each["metadata"] for each in read if "metadata" in each}
    for session in sessions:
        if session["_id"] in metadata:
            session["metadata"] = metadata[session["_id"]]


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


_PREVIEW_FIELDS = {name: 0 for name in codecs.SESSION_FIELDS if name != "forks"}
_OF_EACH: Stage = {
    "$group": {
        "_id": "$_id.s",
        "numbers": {"$push": "$seq"},
        "last": {"$top": {"sortBy": {"seq": -1}, "output": "$$ROOT"}},
    }
}


_IS_DELETED = {"$ifNull": ["$deleted_at", False]}
_COUNT_OF_EACH: Stage = {
    "$group": {
        "_id": "$_id.s",
        "numbers": {"$sum": 1},
        "messages": {"$sum": {"$cond": [_IS_DELETED, 0, 1]}},
        "last": {"$max": {"$cond": [_IS_DELETED, None, "$_id.q"]}},
    }
}


def _previews(
    database: Database, sessions: Sequence[SessionDocument], content_limit: int | None
) -> Operation[list[tuple[int, Message | None]]]:
    """Return for each session the count of its messages and the last one.

    Messages are looked up by their numbers: the last one that was counted, and those after it.
    """
    counts = yield from _counts(database, sessions)
    ids: list[MessageId] = [
        {"s": session["uuid"], "q": number}
        for session, counted in zip(sessions, counts, strict=True)
        if not session.get("deleted_at")
        for number in (counted["last"], *range(counted["seq"] + 1, session["seq"] + 1))
    ]
    live: Query = {"_id": {"$in": ids}, "deleted_at": None}
    fields = codecs.MESSAGE_FIELDS if content_limit is None else excerpt_fields(content_limit)
    found = yield from database.whole.messages.aggregate(
        [{"$match": live}, {"$project": fields}, _OF_EACH]
    )
    of_each = {group["_id"]: group for group in found}
    previews: list[tuple[int, Message | None]] = []
    for session, counted in zip(sessions, counts, strict=True):
        group = of_each.get(session["uuid"])
        if group is None:
            previews.append((0, None))
            continue
        count = counted["messages"] + sum(each > counted["seq"] for each in group["numbers"])
        previews.append((min(count, MAX_MESSAGE_COUNT), codecs.to_message(group["last"])))
    return previews


def _counts(database: Database, sessions: Sequence[SessionDocument]) -> Operation[list[Counted]]:
    """Return for each session a count behind which there are few numbers."""
    counts = [_kept(session) for session in sessions]
    outdated = {
        index: session
        for index, session in enumerate(sessions)
        if not (session.get("deleted_at") or _is_recent(session, counts[index]))
    }
    together = yield from _counted_together(database, list(outdated.values()))
    updates: list[tuple[Query, Update]] = []
    may_write = database.messages.reads_primary
    for index, session in outdated.items():
        is_kept = may_write and may_count(session)
        counted = together.get(session["uuid"])
        if counted is None:
            if is_kept:
                may_write = is_kept = yield from _fenced(database, session)
            counted = yield from _recounted(database, session, counts[index])
        if is_kept:
            updates.append(counting(session, counted))
        counts[index] = counted
    if updates:
        with suppress(ZepStoreError):  # then the next preview counts again
            yield from database.sessions.update_each(updates, durable=False)
    return counts


def _counted_together(
    database: Database, sessions: Sequence[SessionDocument]
) -> Operation[dict[str, Counted]]:
    """Extend the counts of those sessions that are short and have no free number to fence."""
    short = [
        session
        for session in sessions
        if not session.get("forks") and session["seq"] - _kept(session)["seq"] <= MAX_MESSAGE_COUNT
    ]
    counts: dict[str, Counted] = {}
    for batch in batches(short, _COUNTED_AT_ONCE):
        some = {session["uuid"]: session for session in batch}
        these = [
            numbers_between(session, _kept(session)["seq"], session["seq"])
            for session in some.values()
        ]
        of_each = yield from database.whole.messages.aggregate(
            [{"$match": {"$or": these}}, _COUNT_OF_EACH]
        )
        for group in of_each:
            session = some[group["_id"]]
            counted, last = _kept(session), session["seq"]
            if group["numbers"] == last - counted["seq"]:
                counts[group["_id"]] = {
                    "seq": last,
                    "turn": counted["turn"],
                    "messages": min(counted["messages"] + group["messages"], MAX_MESSAGE_COUNT),
                    "last": group["last"] or counted["last"],
                }
    return counts


def _kept(session: SessionDocument) -> Counted:
    turn = session.get("turn")
    counted = session.get("counted")
    if counted and counted["turn"] == turn:
        return counted
    return {"seq": 0, "turn": turn, "messages": 0, "last": 0}


def _is_recent(session: SessionDocument, counted: Counted) -> bool:
    # The numbers behind a count are on the active branch, not those before the first count.
    is_linear = bool(counted["seq"]) or not session.get("forks")
    return is_linear and session["seq"] - counted["seq"] <= _MAX_UNCOUNTED


def _fenced(database: Database, session: SessionDocument) -> Operation[bool]:
    """Fence what is to be counted; ``False`` where nothing can be written."""
    try:
        yield from Marking(database).fence(session, session["seq"], datetime.now(UTC))
    except ZepStoreError:
        return False
    return True


def _recounted(
    database: Database, session: SessionDocument, counted: Counted
) -> Operation[Counted]:
    """Extend a count to a session's last number."""
    messages = database.whole.messages
    live: Query = {
        "session_id": session["_id"],
        "_id.s": session["uuid"],
        "deleted_at": None,
    }
    table = table_of(session)
    ranges = clipped(table.active(), first=counted["seq"] + 1)
    count = counted["messages"]
    if count < MAX_MESSAGE_COUNT:
        count += yield from count_along(messages, live, ranges, limit=MAX_MESSAGE_COUNT - count)
    newest = yield from last_along(messages, live, ranges, fields={"seq": 1})
    last = newest["seq"] if newest else counted["last"]
    return {"seq": table.last, "turn": counted["turn"], "messages": count, "last": last}
