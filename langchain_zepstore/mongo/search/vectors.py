"""Messages by meaning: their vectors, made when they are first needed, and the nearest.

A search lists the stamps of all messages that it chooses from, page after page, and reads only the
vectors that it does not know yet; messages without one, or with another model's, get theirs on the
way. So it is exact, sees every change at once, and its memory is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import EmbeddingPage
from langchain_zepstore.mongo.codecs import MAX_DOCUMENT_BYTES
from langchain_zepstore.mongo.documents import (
    Embedding,
    MessageDocument,
    Query,
    Update,
)
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.search.hits import Hit, VectorHit, at, decoded, key_of
from langchain_zepstore.mongo.search.ranking import MessageKey, text_with_speaker
from langchain_zepstore.mongo.search.scope import SearchScope
from langchain_zepstore.mongo.search.vector_cache import UNKNOWN, VectorCache
from langchain_zepstore.mongo.search.vector_codec import (
    embedding_of,
    fits,
    stamp_at_end,
    unit,
    vector_in,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from langchain_zepstore.core.embedder import Embedder, Vectors

T = TypeVar("T")

MADE = 64
"""The number of vectors that are made at once, and stored in one write."""

_PAGE = 10_000
_READ = 2000  # vectors at once
_LISTED = ("session_id", "embedding.model", "embedding.stamp")
_SAID = {"session_id": 1, "seq": 1, "role": 1, "content": 1, "size": {"$bsonSize": "$$ROOT"}}
_HEADROOM = 1024  # for what stands beside a vector


class VectorSearch:
    """The vectors of a database's messages, of one model.

    Args:
        database: Where the messages are.
        embedder: What makes vectors.
        caches: The client's caches, by the length of the vectors.
    """

    def __init__(
        self, database: Database, embedder: Embedder, caches: dict[int, VectorCache]
    ) -> None:
        self._database = database
        self._messages = database.messages
        self._embedder = embedder
        self._caches = caches

    def nearest(self, scope: SearchScope, text: str, limit: int) -> Operation[list[VectorHit]]:
        """Return the messages nearest to a text, the nearest first; of equal ones the newer.

        Raises:
            APIError: The embeddings do not make vectors of one length.
        """
        wanted = unit((yield from self._embedder.query(text)))
        cache = self._caches.get(len(wanted))
        if cache is None:
            cache = self._caches.setdefault(len(wanted), VectorCache(len(wanted)))
        best: list[VectorHit] = []
        after: str | None = None
        is_first = True
        while is_first or after is not None:
            page, after = yield from scope.page(self._database, after, _PAGE, _LISTED)
            vectors, has_one = yield from self._vectors(page, cache, is_first=is_first)
            # Rounded, since a matrix of another size gives other last digits.
            scores = (vectors @ wanted).round(6)
            order = (-scores).argsort(kind="stable")
            present = order[has_one[order]][:limit]
            best += [_near(page[index], scores[index], vectors[index].copy()) for index in present]
            best = sorted(best, key=lambda near: -near.found.score)[:limit]
            is_first = False
        return best

    def embed(self, scope: SearchScope, after: str | None, limit: int) -> Operation[EmbeddingPage]:
        """Make the vectors that a page of messages lacks; see ``store.SearchOperations``."""
        total = 0
        if after is None:
            total = yield from scope.count(self._database)
        page, cursor = yield from scope.page(self._database, after, limit, _LISTED)
        lacking = [listed for listed in map(decoded, page) if not self._fits(listed)]
        for batch in in_parts(lacking, MADE):
            yield from self._made(batch)
        return EmbeddingPage(total=total, seen=len(page), made=len(lacking), cursor=cursor)

    def _vectors(
        self, page: Sequence[bytes], cache: VectorCache, *, is_first: bool
    ) -> Operation[tuple[Vectors, npt.NDArray[np.bool_]]]:
        """Return the unit vectors of listed messages, a row each, and which have one."""
        import numpy as np  # noqa: PLC0415 - an extra

        rows, matrix = cache.rows([stamp_at_end(listed) for listed in page])
        unknown = np.flatnonzero(rows == UNKNOWN).tolist()
        if is_first and cache.is_full and len(unknown) > len(page) / 2:
            cache.clear()  # it holds what others look for
        vectors: Vectors = matrix[np.maximum(rows, 0)]  # some other's, where there is none
        has_one = rows >= 0
        for indexes in in_parts(unknown, _READ):
            read = yield from self._read([page[index] for index in indexes], cache)
            vectors[indexes], has_one[indexes] = read, read.any(axis=1)
        return vectors, has_one

    def _read(self, page: Sequence[bytes], cache: VectorCache) -> Operation[Vectors]:
        """Return the unit vectors of listed messages from the database; make those it lacks."""
        import numpy as np  # noqa: PLC0415 - an extra

        listed = [decoded(each) for each in page]
        there = [each for each in listed if self._fits(each)]
        found: dict[MessageKey, Embedding] = {}
        if there:
            stored = yield from self._messages.find(_these(there), fields={"embedding": 1})
            found = {key_of(each): each["embedding"] for each in stored if "embedding" in each}
        model, dimension = self._embedder.model, cache.dimension
        lacking = [each for each in listed if not fits(found.get(key_of(each)), model, dimension)]
        for batch in in_parts(lacking, MADE):
            found |= yield from self._made(batch)
        vectors = np.zeros((len(page), dimension), dtype=np.float32)
        stamps = []
        for row, each in enumerate(listed):
            embedding = found.get(key_of(each))  # none: it was deleted meanwhile
            stamps.append(embedding["stamp"].binary if embedding else b"")
            if (vector := vector_in(embedding, dimension)) is not None:
                vectors[row] = vector
        vectors = unit(vectors)
        cache.add(stamps, vectors)
        return vectors

    def _fits(self, listed: MessageDocument) -> bool:
        return fits(listed.get("embedding"), self._embedder.model)

    def _made(self, listed: Sequence[MessageDocument]) -> Operation[dict[MessageKey, Embedding]]:
        """Make messages' vectors, store them and return them by key."""
        said = yield from self._messages.find(_these(listed), fields=_SAID)
        vectors = yield from self._embedder.documents(
            [text_with_speaker(message) for message in said]
        )
        made = {}
        updates: list[tuple[Query, Update]] = []
        for message, vector in zip(said, vectors, strict=True):
            size: int = message["size"]  # type: ignore[typeddict-item] # computed
            if vector is not None and size + vector.nbytes > MAX_DOCUMENT_BYTES - _HEADROOM:
                vector = None  # noqa: PLW2901 - there is no room for it
            made[key_of(message)] = embedding_of(self._embedder.model, vector)
            # Said otherwise since it was read, it keeps no vector of what it was.
            this = {name: message[name] for name in ("_id", "session_id", "role", "content")}
            updates.append((this, {"$set": {"embedding": made[key_of(message)]}}))
        if updates:
            yield from self._messages.update_each(updates)
        return made


def in_parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield items in sequences of up to ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _near(listed: bytes, score: float, vector: Vectors) -> VectorHit:
    document = decoded(listed)
    return VectorHit(Hit(key_of(document), document["session_id"], float(score)), vector)


def _these(listed: Sequence[MessageDocument]) -> Query:
    return at(map(key_of, listed), (each["session_id"] for each in listed))
