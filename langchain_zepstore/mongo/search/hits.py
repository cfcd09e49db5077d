"""Hits of a search: their keys, and reading the messages at them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import bson

from langchain_zepstore.core.batches import batches
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.documents import MessageDocument, Query
from langchain_zepstore.mongo.driver.collection import CODEC
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.search.ranking import MessageKey

if TYPE_CHECKING:
    from langchain_zepstore.core.embedder import Vectors

_MOST = 5000  # in one query, which holds 16 MB


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that was found, or a summary.

    Attributes:
        key: Where it stands.
        session_id: In which session.
        score: How well it matches, more is better.
    """

    key: MessageKey
    session_id: str
    score: float


@dataclass(frozen=True, slots=True)
class VectorHit:
    """A hit by meaning; its score is the cosine of an angle.

    Attributes:
        found: What was found.
        vector: Its unit vector.
    """

    found: Hit
    vector: Vectors


def decoded(document: bytes) -> MessageDocument:
    """Decode a message's document, or the fields of it that were read."""
    return cast("MessageDocument", bson.decode(document, CODEC))


def key_of(document: MessageDocument) -> MessageKey:
    """Return where a message stands."""
    return document["_id"]["s"], document["_id"]["q"]


def live_at(
    database: Database,
    sessions: Mapping[MessageKey, str],
    fields: Mapping[str, Any],
    conditions: Mapping[str, Any] | None = None,
) -> Operation[list[MessageDocument]]:
    """Return the live messages at keys.

    Args:
        database: Where they are.
        sessions: The session of each key.
        fields: What to read of them.
        conditions: What else is asked of them.
    """
    found: list[MessageDocument] = []
    keys = list(sessions)
    for part in batches(keys, _MOST):
        query = {**(conditions or {}), **at(part, (sessions[key] for key in part))}
        found += yield from database.messages.find(query, fields=fields)
    return found


def at(keys: Iterable[MessageKey], session_ids: Iterable[str]) -> Query:
    """Return the query for the live messages at keys in sessions."""
    return {
        "_id": {"$in": [{"s": incarnation, "q": number} for incarnation, number in keys]},
        "session_id": {"$in": sorted(set(session_ids))},
        "deleted_at": None,
    }
