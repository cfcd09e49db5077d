"""The nearest of many vectors, kept while they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from langchain_zepstore.mongo.documents import SessionDocument
from langchain_zepstore.mongo.search.hits import Hit, VectorHit
from langchain_zepstore.mongo.search.vector_codec import VectorRows

if TYPE_CHECKING:
    from langchain_zepstore.core.embedder import Vectors
    from langchain_zepstore.mongo.search.session_cache import Numbers

_DIGITS = 6  # of a score: the last ones depend on the size of the matrix
_LEAST = -2.0  # below any score


class _Near(NamedTuple):
    """Messages in columns.

    Attributes:
        scores: Their scores.
        created: When they were created.
        sessions: The numbers of their sessions.
        numbers: Their numbers there.
        parts: The offered messages that they are among.
        rows: Their rows there.
    """

    scores: Vectors
    created: Numbers
    sessions: Numbers
    numbers: Numbers
    parts: Numbers
    rows: Numbers

    def taken(self, at: npt.NDArray[Any]) -> _Near:
        """Return some of them."""
        return _Near(*(column[at] for column in self))

    def best(self, limit: int) -> _Near:
        """Return the best, in no order."""
        if len(self.scores) <= limit:
            return self
        near = self.taken(self.scores >= _least_of(self.scores, limit))
        return near if len(near.scores) == limit else near.ordered().taken(np.arange(limit))

    def ordered(self) -> _Near:
        """Return them, the nearest first; of equally near ones the newer."""
        order = np.lexsort((self.numbers, self.sessions, self.created, self.scores))
        return self.taken(order[::-1])


class Nearest:
    """The messages nearest to a vector; of equally near ones the newer.

    Args:
        wanted: The unit vector.
        limit: How many to keep.
        by_time: Whether the newer is the later one, or that with the higher number.
    """

    def __init__(self, wanted: Vectors, limit: int, *, by_time: bool) -> None:
        self._wanted = wanted
        self._limit = limit
        self._by_time = by_time
        self._least = _LEAST
        self._offered: list[tuple[SessionDocument, VectorRows]] = []
        self._found: list[_Near] = []
        self._number = 0

    def offer(
        self,
        session: SessionDocument,
        rows: VectorRows,
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Take what is near enough of a session's messages.

        Args:
            session: The session.
            rows: The messages.
            allowed: Which of them may be taken; all if not given.
        """
        scores = (rows.vectors @ self._wanted).round(_DIGITS)
        if allowed is not None:
            scores[~allowed] = -np.inf
        least = self._least
        if scores.max(initial=-np.inf) < least:
            return
        if len(scores) > self._limit:
            least = max(least, _least_of(scores, self._limit))
        [near] = np.nonzero(scores >= least)
        found = _Near(
            scores[near],
            rows.created[near] * self._by_time,
            np.full(len(near), session["id"]),
            rows.numbers[near],
            np.full(len(near), len(self._offered)),
            near,
        ).best(self._limit)
        self._offered.append((session, rows))
        self._found.append(found)
        self._number += len(found.scores)
        if self._number >= self._limit * (1 if self._least == _LEAST else 2):
            self._prune()

    def _prune(self) -> _Near:
        """Keep the nearest."""
        columns = zip(*self._found, strict=True)
        best = _Near(*map(np.concatenate, columns)).best(self._limit)
        self._found = [best]
        self._number = len(best.scores)
        if self._number == self._limit:
            self._least = float(best.scores.min())
        return best

    def hits(self) -> list[VectorHit]:
        """Return them, the nearest first."""
        if not self._found:
            return []
        columns = (column.tolist() for column in self._prune().ordered())
        hits = []
        for score, _, _, number, part, row in zip(*columns, strict=True):
            session, rows = self._offered[part]
            hit = Hit((session["uuid"], number), session["_id"], score)
            hits.append(VectorHit(hit, rows.vectors[row]))
        return hits


def _least_of(scores: Vectors, number: int) -> float:
    """Return the least of the best scores."""
    return float(np.partition(scores, -number)[-number])
