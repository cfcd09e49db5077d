"""Leaves messages that are not on active branches out of searches.

A search asks for no session's branches before it runs. When what it found is flagged, the tables of
those sessions are read; where it found something of another branch, it runs again without that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.branches.reads import TABLE_FIELDS
from langchain_zepstore.mongo.branches.table import holds, table_of
from langchain_zepstore.mongo.documents import MessageDocument, SessionDocument
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.search.hits import Hit, key_of
from langchain_zepstore.mongo.search.scope import SearchScope


class Found(NamedTuple):
    """What a search found.

    Attributes:
        hits: The hits.
        documents: The messages at them.
        titles: The titles of sessions that were read on the way, by their ids.
    """

    hits: Sequence[Hit]
    documents: Sequence[MessageDocument]
    titles: Mapping[str, str | None]


def of_active_branches(
    database: Database, scope: SearchScope, find: Callable[[SearchScope], Operation[Found]]
) -> Operation[Found]:
    """Run a search, again and again until all that it finds is on active branches.

    Args:
        database: The database.
        scope: What to search.
        find: Searches a scope.
    """
    known: dict[str, SessionDocument] = {}
    while True:
        found = yield from find(scope)
        hits, documents, _ = found
        flagged = {each["session_id"] for each in documents if each.get("branched")}
        if new := sorted(flagged - known.keys()):
            sessions = yield from database.sessions.find(
                {"_id": {"$in": new}, "forks": {"$ne": None}}, fields=TABLE_FIELDS
            )
            known |= {session["_id"]: session for session in sessions}
        left_out = {key_of(each) for each in documents if _is_left_out(each, known)}
        if not left_out:
            return found
        if not new:  # the search was given these, and found them all the same
            return found._replace(hits=[hit for hit in hits if hit.key not in left_out])
        scope = replace(scope, branched=list(known.values()))


def _is_left_out(document: MessageDocument, sessions: dict[str, SessionDocument]) -> bool:
    session = sessions.get(document["session_id"])
    return session is not None and not holds(table_of(session).active(), document["seq"])
