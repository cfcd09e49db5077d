"""Search over what was said."""

import re

from langchain_zepstore.models import MemorySearchResult
from langchain_zepstore.mongo import documents
from langchain_zepstore.mongo.collections import Database, Document
from langchain_zepstore.mongo.failures import MissingIndexError
from langchain_zepstore.mongo.merging import holds
from langchain_zepstore.mongo.ranking import Place, candidate, neighbours, ranked
from langchain_zepstore.mongo.schema import SEARCH_INDEX
from langchain_zepstore.running import Operation
from langchain_zepstore.store import Sought
from langchain_zepstore.values import encoded_metadata

_SCORE = {"$meta": "textScore"}
_CANDIDATES = 500  # what the index gives to choose from; fewer lose some of what is looked for
_PLACES = 5000  # in one query, which holds 16 MB
_RANKED = {"session_id": 1, "seq": 1, "role": 1, "content": 1}
_SYNTAX = re.compile(r'["\-]')  # quotes ask for phrases, a minus leaves out


class Search:
    """Finds messages."""

    def __init__(self, database: Database) -> None:
        self._sessions = database.sessions
        self._messages = database.messages

    def find(self, sought: Sought) -> Operation[list[MemorySearchResult]]:
        """Return the messages that match best, the best first."""
        wanted = encoded_metadata(sought.metadata or {}, "metadata")
        scope = yield from self._scope(sought)
        words = _SYNTAX.sub(" ", sought.text).strip()
        if scope is None or not words:
            return []
        query: Document = {"scope": scope, "$text": {"$search": words}, "deleted_at": None}
        if sought.session_id is not None:
            query["session_id"] = sought.session_id
        if sought.since or sought.until:
            bounds = {"$gte": sought.since, "$lte": sought.until}
            query["created_at"] = {name: at for name, at in bounds.items() if at is not None}
        if wanted:
            query["$expr"] = {"$and": holds("$metadata", wanted)}
        try:
            found = yield from self._candidates(query, sought.limit)
        except MissingIndexError:
            yield from self._messages.create_indexes([SEARCH_INDEX])
            found = yield from self._candidates(query, sought.limit)
        best = yield from self._best(words, found, sought.limit)
        several = yield from self._at([place for place, _ in best], found)
        messages = {(message["_id"]["s"], message["seq"]): message for message in several}
        return [
            MemorySearchResult(
                message=documents.to_message(message),
                session_id=message["session_id"],
                score=score,
                dist=score,
            )
            for place, score in best
            if (message := messages.get(place))  # it may be deleted since
        ]

    def _candidates(self, query: Document, limit: int) -> Operation[list[Document]]:
        return self._messages.find(
            query,
            sort={"score": _SCORE, "session_id": 1, "seq": 1},
            limit=max(limit, _CANDIDATES),
            fields={**_RANKED, "score": _SCORE},
        )

    def _best(
        self, words: str, found: list[Document], limit: int
    ) -> Operation[list[tuple[Place, float]]]:
        candidates = [candidate(message) for message in found]
        beside = yield from self._at(neighbours(candidates), found, fields=_RANKED)
        candidates += [candidate(message) for message in beside]
        return ranked(words, candidates)[:limit]

    def _at(
        self, places: list[Place], found: list[Document], fields: Document | None = None
    ) -> Operation[list[Document]]:
        """Return the live messages at places in the sessions of those that were found."""
        names = {message["_id"]["s"]: message["session_id"] for message in found}
        several: list[Document] = []
        for start in range(0, len(places), _PLACES):
            part = places[start : start + _PLACES]
            query: Document = {
                "_id": {"$in": [{"s": session, "q": seq} for session, seq in part]},
                "session_id": {"$in": sorted({names[session] for session, _ in part})},
                "deleted_at": None,
            }
            several += yield from self._messages.find(query, fields=fields)
        return several

    def _scope(self, sought: Sought) -> Operation[str | None]:
        if sought.session_id is None:
            return documents.scope_of({"_id": None, "user_id": sought.user_id})
        session = yield from self._sessions.find_one(
            {"_id": sought.session_id, "deleted_at": None}, fields={"user_id": 1}
        )
        if session is None or sought.user_id not in (None, session.get("user_id")):
            return None
        return documents.scope_of(session)
