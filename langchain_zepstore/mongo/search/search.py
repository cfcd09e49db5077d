"""Search over what was said: where to look, in which of the ways, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from langchain_zepstore.core.arguments import EmbeddingPage, SearchQuery
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.models import MemorySearchResult
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.search.hits import Found, decoded, live_at, place_of
from langchain_zepstore.mongo.search.mmr import choice, varied
from langchain_zepstore.mongo.search.scope import Selection, scope_of, selected
from langchain_zepstore.mongo.search.summaries import SummarySearch
from langchain_zepstore.mongo.search.text import TextSearch
from langchain_zepstore.mongo.search.vectors import VectorSearch

if TYPE_CHECKING:
    from langchain_zepstore.core.embedder import Embedder
    from langchain_zepstore.mongo.search.vector_cache import VectorCache

_NEAREST = 200  # that a hybrid search ranks with what it finds by words
_PAGE = 1000


class Search:
    """Finds messages and summaries.

    Args:
        database: Where they are.
        embedder: What makes vectors, if there is anything.
        caches: The client's caches of vectors.
    """

    def __init__(
        self, database: Database, embedder: Embedder | None, caches: dict[int, VectorCache]
    ) -> None:
        self._database = database
        self._words = TextSearch(database)
        self._vectors = VectorSearch(database, embedder, caches) if embedder else None
        self._summaries = SummarySearch(database, embedder)

    def find(self, sought: SearchQuery) -> Operation[list[MemorySearchResult]]:
        """Return what matches best of what lives, the best first."""
        kind = sought.search_type or ("similarity" if self._vectors else "text")
        if kind != "text":
            self._needed_vectors(f"search_type {kind!r}")
        if sought.search_scope == "summary":
            return (yield from self._summaries.find(sought, kind))
        selection = yield from selected(self._database, sought)
        if selection is None:
            return []
        if not sought.text.strip():
            found = yield from self._newest(selection, sought.limit)
        elif kind == "text":
            found = yield from self._words.best(selection, sought)
        elif kind == "hybrid":
            near = yield from self._near(selection, sought, max(sought.limit, _NEAREST))
            found = yield from self._words.best(selection, sought, near)
        elif kind == "mmr":
            found = yield from self._varied(selection, sought)
        else:
            found = yield from self._near(selection, sought, sought.limit)
        return (yield from self._results(found, selection))

    def embed(
        self, session_id: str | None, user_id: str | None, after: str | None, limit: int
    ) -> Operation[EmbeddingPage]:
        """Make the vectors that a page of messages lacks."""
        vectors = self._needed_vectors("embed")
        scope = None
        if session_id is not None or user_id is not None:
            scope = yield from scope_of(self._database, session_id, user_id)
            if scope is None:
                return EmbeddingPage(total=0, seen=0, made=0, cursor=None)
        return (yield from vectors.embed(Selection(scope, session_id, {}), after, limit))

    def _needed_vectors(self, what: str) -> VectorSearch:
        if self._vectors is None:
            raise BadRequestError(
                f"{what} needs embeddings: pass any of LangChain's to the client that holds the "
                "store, ZepClient(…, embeddings=…), or use search_type 'text'"
            )
        return self._vectors

    def _newest(self, selection: Selection, limit: int) -> Operation[list[Found]]:
        found: list[Found] = []
        after: str | None = None
        while True:
            most = min(limit - len(found), _PAGE)
            page, after = yield from selection.page(self._database, after, most, ["session_id"])
            found += [
                Found(place_of(listed), listed["session_id"], 0.0) for listed in map(decoded, page)
            ]
            if after is None or len(found) == limit:
                return found

    def _near(
        self, selection: Selection, sought: SearchQuery, limit: int
    ) -> Operation[list[Found]]:
        near = yield from self._needed_vectors("similarity").nearest(selection, sought.text, limit)
        return [each.found for each in near]

    def _varied(self, selection: Selection, sought: SearchQuery) -> Operation[list[Found]]:
        vectors = self._needed_vectors("mmr")
        near = yield from vectors.nearest(selection, sought.text, choice(sought.limit))
        return [each.found for each in varied(near, sought.mmr_lambda, sought.limit)]

    def _results(
        self, found: Sequence[Found], selection: Selection
    ) -> Operation[list[MemorySearchResult]]:
        sessions = {each.place: each.session_id for each in found}
        several = yield from live_at(self._database, sessions, codecs.MESSAGE_FIELDS)
        scope = selection.scope or ""
        if scope.startswith("u:"):  # the session may have become another user's meanwhile
            several = [message for message in several if message.get("scope") == scope]
        messages = {place_of(message): message for message in several}
        return [
            MemorySearchResult(
                message=codecs.to_message(message),
                session_id=message["session_id"],
                score=each.score,
                dist=each.score,
            )
            for each in found
            if (message := messages.get(each.place))  # it may be deleted since
        ]
