"""Maximal marginal relevance: hits near to the query, and unlike those chosen before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from langchain_zepstore.mongo.search.hits import VectorHit

_WEIGHT = 0.5  # Zep's
_LEAST, _TIMES = 10, 2  # Zep's


def fetch_k(most: int) -> int:
    """Return how many of the nearest to choose from, for so many results."""
    return max(_LEAST, _TIMES * most)


def select_mmr(near: Sequence[VectorHit], weight: float | None, most: int) -> list[VectorHit]:
    """Return the chosen ones in the order in which they are chosen.

    Args:
        near: What there is to choose from, the nearest first.
        weight: Between relevance (1) and variety (0); Zep's 0.5 if not given.
        most: How many to choose at most.
    """
    if not near:
        return []
    weight = _WEIGHT if weight is None else weight
    vectors = np.stack([each.vector for each in near])
    relevance = np.array([each.found.score for each in near])
    likeness = np.full(len(near), -np.inf)
    chosen = [0]
    while len(chosen) < min(most, len(near)):
        likeness = np.maximum(likeness, (vectors @ vectors[chosen[-1]]).round(6))
        worth = weight * relevance - (1 - weight) * likeness
        worth[chosen] = -np.inf
        chosen.append(int(worth.argmax()))
    return [near[index] for index in chosen]
