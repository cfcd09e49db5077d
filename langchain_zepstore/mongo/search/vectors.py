"""Messages by what they mean: their vectors, made when they are first needed, and the nearest.

A search lists the sessions that it chooses from, with their marks: a session's changes before any
change of its messages but an addition. Where it is as it was when the client read the vectors, only
what was added since is read, at the numbers that had no message yet. So a search is exact, sees
every change at once, and its memory is bounded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import EmbeddingPage
from langchain_zepstore.mongo.branches.table import table_of
from langchain_zepstore.mongo.deletion.counts import may_count, stamp_of
from langchain_zepstore.mongo.documents import SessionDocument
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.search.hits import VectorHit, key_of
from langchain_zepstore.mongo.search.nearest import Nearest
from langchain_zepstore.mongo.search.ranking import MessageKey
from langchain_zepstore.mongo.search.scope import SearchScope
from langchain_zepstore.mongo.search.vector_cache import (
    Rows,
    SessionVectors,
    VectorCache,
)
from langchain_zepstore.mongo.search.vector_codec import fits, unit
from langchain_zepstore.mongo.search.vector_reads import Found, VectorReads

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from langchain_zepstore.core.embedder import Embedder
    from langchain_zepstore.mongo.search.vector_cache import Numbers

_PAGE = 10_000
_FEW = 8  # of so many messages one meets the conditions: then no others are read
_LISTED = ("session_id", "embedding.model")


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
        reads = VectorReads(self._database, self._embedder, cache.dimension)
        best = Nearest(wanted, limit, by_time=scope.session is None)
        yield from _Search(self._database, reads, cache, scope, best).run()
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


class _Search:
    """One search: which sessions it reads, and which messages the nearest are taken of."""

    def __init__(
        self,
        database: Database,
        reads: VectorReads,
        cache: VectorCache,
        scope: SearchScope,
        best: Nearest,
    ) -> None:
        self._database = database
        self._reads = reads
        self._cache = cache
        self._scope = scope
        self._best = best
        self._number = cache.begin()
        self._chosen: dict[str, Numbers] | None = None
        self._tables = {session["_id"]: table_of(session) for session in scope.branched}

    def run(self) -> Operation[None]:
        """Search."""
        if self._scope.conditions:
            self._chosen = yield from self._matching()
        after: int | None = None
        while True:
            primaries = self._database.primaries()
            sessions, after = yield from self._scope.sessions(self._database, after)
            if self._chosen is not None:
                sessions = [each for each in sessions if each["uuid"] in self._chosen]
            yield from self._offer(sessions, primaries)
            if after is None:
                return

    def _matching(self) -> Operation[dict[str, Numbers]]:
        """Return the numbers of the messages that meet the conditions, by incarnation."""
        import numpy as np  # noqa: PLC0415 - an extra

        chosen: dict[str, list[int]] = defaultdict(list)
        after: str | None = None
        while True:
            page, after = yield from self._scope.page(self._database, after, _PAGE, ())
            for listed in page:
                chosen[listed["_id"]["s"]].append(listed["_id"]["q"])
            if after is None:
                return {each: np.array(numbers) for each, numbers in chosen.items()}

    def _offer(self, sessions: Sequence[SessionDocument], primaries: Any) -> Operation[None]:
        """Let the nearest be taken of sessions; read what is not known of them."""
        unread: list[SessionDocument] = []
        known: list[tuple[SessionDocument, SessionVectors]] = []
        missing: list[MessageKey] = []
        for session in sessions:
            incarnation = session["uuid"]
            vectors = self._cache.get(incarnation, self._number)
            if vectors and may_count(session) and vectors.mark == _mark(session, primaries):
                known.append((session, vectors))
                missing += [(incarnation, number) for number in vectors.missing(session["seq"])]
            elif session["seq"]:
                unread.append(session)
        found = Found()
        if missing:
            ids = {session["uuid"]: session["_id"] for session, _ in known}
            found = yield from self._reads.read_at(missing, ids)
        for session, vectors in known:
            extended = vectors
            if vectors.missing(session["seq"]):
                extended = vectors.extended(
                    found.rows[session["uuid"]],
                    found.empty[session["uuid"]],
                    session["seq"],
                    fenced=session.get("fenced", 0),
                )
                self._cache.put(session["uuid"], extended, self._number)
            for rows in extended.rows:
                self._take(session, rows)
        for session in [each for each in unread if self._are_few(each)]:
            unread.remove(session)
            yield from self._read_chosen(session)
        yield from self._read(unread, primaries)

    def _are_few(self, session: SessionDocument) -> bool:
        """Return whether few of a session's messages meet the conditions."""
        if self._chosen is None:
            return False
        return _FEW * len(self._chosen[session["uuid"]]) < session["seq"]

    def _read_chosen(self, session: SessionDocument) -> Operation[None]:
        """Read only those messages of a session that meet the conditions."""
        assert self._chosen is not None
        incarnation = session["uuid"]
        keys = [(incarnation, number) for number in self._chosen[incarnation].tolist()]
        found = yield from self._reads.read_at(keys, {incarnation: session["_id"]})
        for rows in found.rows[incarnation]:
            self._take(session, rows)

    def _read(self, sessions: Sequence[SessionDocument], primaries: Any) -> Operation[None]:
        """Read whole sessions, and keep them unless a change of one is under way."""
        may_keep = self._database.messages.reads_primary
        begun: dict[str, SessionVectors] = {}
        for spans in self._reads.spans(sessions):
            found = yield from self._reads.read(spans)
            for session, _, last in spans:
                incarnation = session["uuid"]
                for rows in found.rows[incarnation]:
                    self._take(session, rows)
                if not (may_keep and may_count(session)):
                    continue
                vectors = begun.pop(incarnation, None) or SessionVectors(_mark(session, primaries))
                vectors = vectors.extended(
                    found.rows[incarnation],
                    found.empty[incarnation],
                    last,
                    fenced=session.get("fenced", 0),
                )
                if last == session["seq"]:
                    self._cache.put(incarnation, vectors, self._number)
                else:
                    begun[incarnation] = vectors

    def _take(self, session: SessionDocument, rows: Rows) -> None:
        """Let the nearest be taken of some messages, if they may be."""
        import numpy as np  # noqa: PLC0415 - an extra

        allowed: npt.NDArray[np.bool_] | None = None
        if self._chosen is not None:
            allowed = np.isin(rows.numbers, self._chosen[session["uuid"]])
        elif table := self._tables.get(session["_id"]):
            allowed = np.zeros(len(rows.numbers), dtype=np.bool_)
            for first, last in table.active():
                allowed |= (rows.numbers >= first) & (rows.numbers <= last)
        self._best.offer(session, rows, allowed)


def _mark(session: SessionDocument, primaries: Any) -> Any:
    return primaries, stamp_of(session)
