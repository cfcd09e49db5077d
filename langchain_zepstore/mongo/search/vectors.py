"""Messages by what they mean: their vectors, made when they are first needed, and the nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import EmbeddingPage
from langchain_zepstore.mongo.documents import SessionDocument
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.search.hits import VectorHit, key_of
from langchain_zepstore.mongo.search.nearest import Nearest
from langchain_zepstore.mongo.search.scope import SearchScope
from langchain_zepstore.mongo.search.session_cache import SessionCache
from langchain_zepstore.mongo.search.vector_codec import VectorRows, fits, unit
from langchain_zepstore.mongo.search.vector_reads import VectorReads
from langchain_zepstore.mongo.search.walk import SessionPages, Walk

if TYPE_CHECKING:
    from langchain_zepstore.core.embedder import Embedder

_LISTED = ("session_id", "embedding.model")


class VectorSearch:
    """The vectors of a database's messages, of one model.

    Args:
        database: Where the messages are.
        embedder: What makes vectors.
        cache: What the client knows of sessions.
    """

    def __init__(self, database: Database, embedder: Embedder, cache: SessionCache) -> None:
        self._database = database
        self._embedder = embedder
        self._cache = cache

    def nearest(self, pages: SessionPages, text: str, limit: int) -> Operation[list[VectorHit]]:
        """Return the messages nearest to a text, the nearest first; of equal ones the newer.

        Args:
            pages: The sessions to choose from.
            text: The text.
            limit: How many messages at most.

        Raises:
            APIError: The embeddings do not make vectors of one length.
        """
        wanted = unit((yield from self._embedder.query(text)))
        reads = VectorReads(self._database, self._embedder, len(wanted))
        best = Nearest(wanted, limit, by_time=pages.scope.session is None)

        def take(session: SessionDocument, rows: VectorRows) -> None:
            best.offer(session, rows, walk.allowed(session, rows.numbers))

        walk = Walk(self._database, pages, reads, self._cache, take)
        yield from walk.run()
        return best.hits()

    def embed(self, scope: SearchScope, after: str | None, limit: int) -> Operation[EmbeddingPage]:
        """Make the vectors that a page of messages lacks; see ``store.SearchOperations``."""
        total = 0
        if after is None:
            total = yield from scope.count(self._database)
        page, cursor = yield from scope.page(self._database, after, limit, _LISTED)
        lacking = {
            key_of(listed): listed["session_id"]
            for listed in page
            if not fits(listed.get("embedding"), self._embedder.model)
        }
        yield from VectorReads(self._database, self._embedder, 0).make(lacking)
        return EmbeddingPage(total=total, seen=len(page), made=len(lacking), cursor=cursor)
