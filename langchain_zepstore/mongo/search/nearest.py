"""The nearest of many vectors, kept while they are read."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

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
    """Messages, with the incarnation and the id of the session of each."""

    scores: Vectors
    created: Numbers
    numbers: Numbers
    vectors: Vectors
    ids: list[tuple[str, str]]


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
        if scores.max(initial=-np.inf) < self._least:
            return
        least = self._least
        if len(scores) > self._limit:
            least = max(least, float(np.partition(scores, -self._limit)[-self._limit]))
        [near] = np.nonzero(scores >= least)
        numbers, created = rows.numbers[near], rows.created[near] * self._by_time
        order = np.lexsort((numbers, created, scores[near]))[-self._limit :]
        at = near[order]
        ids = session["uuid"], session["_id"]
        self._found.append(
            _Near(scores[at], created[order], numbers[order], rows.vectors[at], [ids] * len(at))
        )
        self._number += len(at)
        if self._number >= self._limit * (1 if self._least == _LEAST else 2):
            self._prune()

    def _prune(self) -> None:
        """Keep the nearest, in their order."""
        parts = self._found
        scores, created, numbers = (
            np.concatenate([each[column] for each in parts]) for column in range(3)
        )
        ids = [*chain.from_iterable(each.ids for each in parts)]
        order = np.lexsort((numbers, np.array([each for each, _ in ids]), created, scores))
        order = order[::-1][: self._limit]
        vectors = np.concatenate([each.vectors for each in parts])[order]
        ids = [ids[index] for index in order.tolist()]
        self._found = [_Near(scores[order], created[order], numbers[order], vectors, ids)]
        self._number = len(ids)
        if self._number == self._limit:
            self._least = float(scores[order[-1]])

    def hits(self) -> list[VectorHit]:
        """Return them, the nearest first."""
        if not self._found:
            return []
        self._prune()
        [near] = self._found
        return [
            VectorHit(Hit((incarnation, number), session_id, score), vector)
            for score, number, vector, (incarnation, session_id) in zip(
                near.scores.tolist(), near.numbers.tolist(), near.vectors, near.ids, strict=True
            )
        ]
