"""The nearest of many vectors, kept while they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_zepstore.mongo.documents import SessionDocument
from langchain_zepstore.mongo.search.hits import Hit, VectorHit
from langchain_zepstore.mongo.search.ranking import MessageKey
from langchain_zepstore.mongo.search.vector_codec import VectorRows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from langchain_zepstore.core.embedder import Vectors

_DIGITS = 6  # of a score: the last ones depend on the size of the matrix
_LEAST = -2.0  # below any score


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
        self._found: list[tuple[float, int, MessageKey, str, Vectors]] = []

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
        import numpy as np  # noqa: PLC0415 - an extra

        scores = (rows.vectors @ self._wanted).round(_DIGITS)
        if allowed is not None:
            scores[~allowed] = -np.inf
        if scores.max(initial=-np.inf) < self._least:
            return
        least = self._least
        if len(scores) > self._limit:
            least = max(least, float(np.partition(scores, -self._limit)[-self._limit]))
        [near] = np.nonzero(scores >= least)
        numbers, created = rows.numbers[near], rows.created[near] * self._by_time
        order = np.lexsort((numbers, created, scores[near]))[-self._limit :]
        for index in order.tolist():
            row = near[index]
            key = session["uuid"], int(numbers[index])
            vector: Vectors = rows.vectors[row].copy()
            self._found.append(
                (float(scores[row]), int(created[index]), key, session["_id"], vector)
            )
        if len(self._found) >= self._limit:
            self._prune()

    def _prune(self) -> None:
        self._found.sort(key=lambda each: each[:3], reverse=True)
        del self._found[self._limit :]
        if len(self._found) == self._limit:
            self._least = self._found[-1][0]

    def hits(self) -> list[VectorHit]:
        """Return them, the nearest first."""
        self._prune()
        return [
            VectorHit(Hit(key, session_id, score), vector)
            for score, _, key, session_id, vector in self._found
        ]
