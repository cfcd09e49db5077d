"""Atlas's index of vectors, where the deployment has one (Atlas, or MongoDB with mongot).

It is the administrator's to make; ``definition`` says how. It finds the nearest of millions without
reading them, approximately, and a moment after they are written. Where there is none, or no such
service, vectors are compared one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import APIError, AuthError
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.search.hits import Found, place_of
from langchain_zepstore.mongo.search.scope import Selection

if TYPE_CHECKING:
    from langchain_zepstore.core.embedder import Vectors

NAME = "live_by_meaning"

MOST = 10_000
"""How many candidates Atlas looks at, at most."""

_PATH = "embedding.vector"
_FILTERS = ("scope", "session_id", "embedding.model")
_SPARE = 10  # times as many to choose from, since deleted ones are among them


def definition(dimension: int) -> Any:
    """Return the index as ``createSearchIndex`` takes it.

    Args:
        dimension: The length of the vectors.
    """
    vector = {
        "type": "vector",
        "path": _PATH,
        "numDimensions": dimension,
        "similarity": "cosine",
    }
    filters = [{"type": "filter", "path": path} for path in _FILTERS]
    return {
        "name": NAME,
        "type": "vectorSearch",
        "definition": {"fields": [vector, *filters]},
    }


def has_index(database: Database, dimension: int) -> Operation[bool]:
    """Whether the index is there, for vectors of a length, and answers. Asked once."""
    known = database.vector_indexes
    if dimension not in known:
        listing = [{"$listSearchIndexes": {"name": NAME}}]
        try:
            indexes = yield from database.messages.aggregate(listing)
        except (APIError, AuthError):  # no such service, or not for us
            indexes = []
        known[dimension] = any(_serves(index, dimension) for index in indexes)
    return known[dimension]


def stages(selection: Selection, vector: Vectors, model: str, limit: int) -> list[Any]:
    """Return the stages that find the messages nearest to a vector."""
    filters: Any = {"embedding.model": model}
    if selection.scope is not None:
        filters["scope"] = selection.scope
    if selection.session_id is not None:
        filters["session_id"] = selection.session_id
    most = min(limit * _SPARE, MOST)
    return [
        {
            "$vectorSearch": {
                "index": NAME,
                "path": _PATH,
                "queryVector": [float(number) for number in vector],
                "numCandidates": min(2 * most, MOST),
                "limit": most,
                "filter": filters,
            }
        },
        {"$match": {"deleted_at": None, **selection.narrowing}},
        {"$limit": limit},
        {
            "$project": {
                "session_id": 1,
                "embedding": 1,
                "score": {"$meta": "vectorSearchScore"},
            }
        },
    ]


def found(document: Any) -> Found:
    """Return what a document stands for; Atlas tells a cosine as a number from 0 to 1."""
    cosine = round(2 * document["score"] - 1, 6)
    return Found(place_of(document), document["session_id"], cosine)


def _serves(index: Any, dimension: int) -> bool:
    fields = index.get("latestDefinition", {}).get("fields", [])
    return bool(index.get("queryable")) and any(
        field.get("path") == _PATH and field.get("numDimensions") == dimension for field in fields
    )
