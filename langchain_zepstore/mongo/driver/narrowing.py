"""Queries narrowed to one user's documents."""

from dataclasses import dataclass
from typing import Any

from langchain_zepstore.mongo.documents import Query


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Adds to every query of a collection that a field has a value.

    Attributes:
        field: The field that names the owner.
        value: The owner.
    """

    field: str
    value: Any

    def of(self, query: Query, *, upsert: bool = False) -> Query:
        """Return a narrowed query."""
        if query.get(self.field) == self.value:
            return query
        own: Query = {self.field: self.value}
        if not upsert and not query.keys().isdisjoint(("_id", "session_id")):
            # Out of the planner's sight: an index of the owner's documents must not be preferred to
            # that of one session, or of one document.
            field = {"$ifNull": [f"${self.field}", None]}
            own = {"$expr": {"$eq": [field, {"$literal": self.value}]}}
        if query.keys().isdisjoint(own):
            return {**query, **own}
        return {**query, "$and": [*query.get("$and", []), own]}
