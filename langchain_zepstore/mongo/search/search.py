"""Search over messages, summaries and sessions: its scope, its type, and its results."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from langchain_zepstore.core.batches import batches
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import EmbeddingPage
from langchain_zepstore.core.search_query import SearchQuery
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.langchain import text_of
from langchain_zepstore.models import MemorySearchResult
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.documents import Query
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.search.branches import Found, of_active_branches
from langchain_zepstore.mongo.search.hits import Hit, key_of, live_at
from langchain_zepstore.mongo.search.index import (
    INDEX_SECONDS,
    ensure_word_indexes,
    index_backlog,
    known_language,
)
from langchain_zepstore.mongo.search.mmr import fetch_k, select_mmr
from langchain_zepstore.mongo.search.scope import (
    SESSION_INDEX,
    TITLE_FIELDS,
    SearchScope,
    filter_of,
    resolve_scope,
)
from langchain_zepstore.mongo.search.session_cache import SessionCache
from langchain_zepstore.mongo.search.sessions import SessionSearch
from langchain_zepstore.mongo.search.snippets import excerpt_of
from langchain_zepstore.mongo.search.summaries import SummarySearch
from langchain_zepstore.mongo.search.text import TextSearch
from langchain_zepstore.mongo.search.vectors import VectorSearch
from langchain_zepstore.mongo.search.walk import SessionPages

if TYPE_CHECKING:
    from langchain_zepstore.core.embedder import Embedder

_NEAREST = 200  # that a hybrid search ranks with what it finds by words
_PAGE = 1000


class Search:
    """Finds messages and summaries.

    Args:
        database: Where they are.
        embedder: What makes vectors, if there is anything.
        cache: What the client knows of sessions.
    """

    def __init__(self, database: Database, embedder: Embedder | None, cache: SessionCache) -> None:
        self._database = database
        self._words = TextSearch(database, cache)
        self._vectors = VectorSearch(database, embedder, cache) if embedder else None
        self._summaries = SummarySearch(database, embedder)
        self._sessions = SessionSearch(database)

    def find(self, sought: SearchQuery) -> Operation[list[MemorySearchResult]]:
        """Return the best matches among live data, the best first."""
        if sought.search_scope == "sessions":
            return (yield from self._sessions.find(sought))
        search_type = sought.search_type or ("hybrid" if self._vectors else "text")
        if search_type != "text":
            self._needed_vectors(f"search_type {search_type!r}")
        if sought.search_scope == "summary":
            return (yield from self._summaries.find(sought, search_type))
        conditions = filter_of(sought, "created_at", "metadata")
        scope = yield from resolve_scope(
            self._database, sought.session_id, sought.user_id, conditions, owner=sought.owner
        )
        if scope is None:
            return []
        find = partial(self._found, sought, search_type)
        if sought.all_branches:
            found = yield from find(scope)
        else:
            found = yield from of_active_branches(self._database, scope, find)
        return (yield from self._results(sought.text, scope, found))

    def _results(
        self, text: str, scope: SearchScope, found: Found
    ) -> Operation[list[MemorySearchResult]]:
        session_ids = {document["session_id"] for document in found.documents}
        untitled = sorted(session_ids - found.titles.keys())
        titles = {**found.titles, **(yield from self._titles(scope, untitled))}
        language = known_language(self._database)
        messages = {key_of(document): document for document in found.documents}
        return [
            MemorySearchResult(
                message=codecs.to_message(message),
                session_id=message["session_id"],
                session_title=titles.get(message["session_id"]),
                **excerpt_of(text_of(message["content"]), text, language),
                score=hit.score,
                dist=hit.score,
            )
            for hit in found.hits
            if (message := messages.get(hit.key))  # it may be deleted since
        ]

    def _titles(
        self, scope: SearchScope, session_ids: Sequence[str]
    ) -> Operation[dict[str, str | None]]:
        titles: dict[str, str | None] = {}
        query: Query = {"deleted_at": None}
        if scope.owner and scope.owner.startswith("u:"):
            query["user_id"] = scope.owner.removeprefix("u:")
        for some in batches(session_ids, _PAGE):
            query["_id"] = {"$in": some}
            sessions = yield from self._database.sessions.find(query, fields=TITLE_FIELDS)
            titles |= {session["_id"]: codecs.title_of(session) for session in sessions}
        return titles

    def _found(self, sought: SearchQuery, search_type: str, scope: SearchScope) -> Operation[Found]:
        pages = SessionPages(self._database, scope)
        if not sought.text.strip():
            hits = yield from self._newest(scope, sought.limit)
        elif search_type == "text":
            hits = yield from self._words.best(pages, sought)
        elif search_type == "hybrid":
            near = yield from self._near(pages, sought, max(sought.limit, _NEAREST))
            hits = yield from self._words.best(pages, sought, near)
        elif search_type == "mmr":
            hits = yield from self._varied(pages, sought)
        else:
            hits = yield from self._near(pages, sought, sought.limit)
        sessions = {hit.key: hit.session_id for hit in hits}
        documents = yield from live_at(self._database, sessions, codecs.MESSAGE_FIELDS)
        owner = scope.owner or ""
        if owner.startswith("u:"):  # the session may have become another user's meanwhile
            documents = [document for document in documents if document.get("scope") == owner]
        return Found(hits, documents, pages.titles(sessions.values()))

    def embed(
        self, session_id: str | None, user_id: str | None, after: str | None, limit: int
    ) -> Operation[EmbeddingPage]:
        """Make the vectors that a page of messages lacks."""
        vectors = self._needed_vectors("embed")
        scope = yield from resolve_scope(self._database, session_id, user_id)
        if scope is None:
            return EmbeddingPage(total=0, seen=0, made=0, cursor=None)
        return (yield from vectors.embed(scope, after, limit))

    def index(self, session_id: str | None, user_id: str | None) -> Operation[int]:
        """Index messages that no search by words has met yet, for about a second."""
        scope = yield from resolve_scope(self._database, session_id, user_id)
        if scope is None:
            return 0
        language = yield from ensure_word_indexes(self._database)
        query: Query = {} if scope.owner is None else {"scope": scope.owner}
        hint = None
        if session_id is not None:
            query["session_id"], hint = session_id, SESSION_INDEX
        indexed, _ = yield from index_backlog(self._database, language, query, hint, INDEX_SECONDS)
        return indexed

    def _needed_vectors(self, what: str) -> VectorSearch:
        if self._vectors is None:
            raise BadRequestError(
                f"{what} needs embeddings: pass any of LangChain's to the client that holds the "
                "store, ZepClient(…, embeddings=…), or use search_type 'text'"
            )
        return self._vectors

    def _newest(self, scope: SearchScope, limit: int) -> Operation[list[Hit]]:
        found: list[Hit] = []
        after: str | None = None
        while True:
            most = min(limit - len(found), _PAGE)
            page, after = yield from scope.page(self._database, after, most, ["session_id"])
            found += [Hit(key_of(listed), listed["session_id"], 0.0) for listed in page]
            if after is None or len(found) == limit:
                return found

    def _near(self, pages: SessionPages, sought: SearchQuery, limit: int) -> Operation[list[Hit]]:
        near = yield from self._needed_vectors("similarity").nearest(pages, sought.text, limit)
        return [each.found for each in near]

    def _varied(self, pages: SessionPages, sought: SearchQuery) -> Operation[list[Hit]]:
        vectors = self._needed_vectors("mmr")
        near = yield from vectors.nearest(pages, sought.text, fetch_k(sought.limit))
        return [each.found for each in select_mmr(near, sought.mmr_lambda, sought.limit)]
