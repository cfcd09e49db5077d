"""Search over the summaries of sessions: there is one a session, so they are all looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from langchain_zepstore.core.batches import batches
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.search_query import SearchQuery
from langchain_zepstore.models import MemorySearchResult
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.documents import (
    Query,
    SessionDocument,
    Update,
)
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.indexes import BY_USER
from langchain_zepstore.mongo.ownership import check_owner
from langchain_zepstore.mongo.search.hits import Hit, VectorHit
from langchain_zepstore.mongo.search.index import known_language, language_of
from langchain_zepstore.mongo.search.mmr import fetch_k, select_mmr
from langchain_zepstore.mongo.search.ranking import Candidates, MessageKey, asked_in, ranked
from langchain_zepstore.mongo.search.scope import filter_of
from langchain_zepstore.mongo.search.snippets import excerpt_of
from langchain_zepstore.mongo.search.texts import Texts
from langchain_zepstore.mongo.search.vector_codec import embedding_of, fits, unit, vector_in
from langchain_zepstore.mongo.search.vector_reads import MADE
from langchain_zepstore.mongo.summaries import covering_summary

if TYPE_CHECKING:
    from langchain_zepstore.core.embedder import Embedder, Vectors


_SUMMARY = (
    *("title", "metadata.title"),
    *("summary.uuid", "summary.content", "summary.created_at", "summary.recent_message_uuid"),
    *("summary.token_count", "summary.metadata", "summary.embedding", "summary.seq"),
    *("seq", "forks", "user_id"),
)


class SummarySearch:
    """Finds summaries."""

    def __init__(self, database: Database, embedder: Embedder | None) -> None:
        self._database = database
        self._sessions = database.sessions
        self._embedder = embedder

    def find(self, sought: SearchQuery, search_type: str) -> Operation[list[MemorySearchResult]]:
        """Return the summaries that match best, the best first; without a text the newest."""
        query: Query = {"deleted_at": None, "summary.seq": {"$gt": 0}}
        if sought.session_id is not None:
            query["_id"] = sought.session_id
        if sought.user_id is not None:
            query["user_id"] = sought.user_id
            yield from self._database.indexes.ensure(self._sessions, BY_USER)
        query |= filter_of(sought, "summary.created_at", "summary.metadata")
        needed = {
            name: 1 for name in _SUMMARY if search_type != "text" or name != "summary.embedding"
        }
        found = yield from self._sessions.find(query, fields=needed)
        for session in found:
            check_owner(session, sought.owner)
        if not sought.all_branches:
            found = [session for session in found if covering_summary(session)]
        sessions = {session["_id"]: session for session in found}
        newest = sorted(
            found, key=lambda session: (session["summary"]["created_at"], session["_id"])
        )
        best = yield from self._best(newest[::-1], sought, search_type)
        language = known_language(self._database)
        return [
            MemorySearchResult(
                summary=codecs.to_summary(sessions[each.session_id]["summary"]),
                session_id=each.session_id,
                session_title=codecs.title_of(sessions[each.session_id]),
                **excerpt_of(
                    sessions[each.session_id]["summary"]["content"], sought.text, language
                ),
                score=each.score,
                dist=each.score,
            )
            for each in best[: sought.limit]
        ]

    def _best(
        self, sessions: Sequence[SessionDocument], sought: SearchQuery, search_type: str
    ) -> Operation[list[Hit]]:
        if not sought.text.strip() or not sessions:
            return [_hit(session, 0.0) for session in sessions]
        if search_type == "text" or self._embedder is None:
            return (yield from self._worded(sessions, sought, {}))
        wanted = unit((yield from self._embedder.query(sought.text)))
        vectors = yield from self._vectors(self._embedder, sessions, len(wanted))
        near = [
            VectorHit(_hit(session, float((vector @ wanted).round(6))), vector)
            for session, vector in zip(sessions, vectors, strict=True)
        ]
        near.sort(key=lambda each: -each.found.score)
        if search_type == "hybrid":
            by_key = {each.found.key: each.found for each in near}
            return (yield from self._worded(sessions, sought, by_key))
        if search_type == "mmr":
            near = select_mmr(near[: fetch_k(sought.limit)], sought.mmr_lambda, sought.limit)
        return [each.found for each in near]

    def _worded(
        self,
        sessions: Sequence[SessionDocument],
        sought: SearchQuery,
        near: Mapping[MessageKey, Hit],
    ) -> Operation[list[Hit]]:
        language = yield from language_of(self._database)
        asked = asked_in(sought.text, language)
        texts = Texts(asked)
        for session in sessions:
            texts.add((session["_id"], 0), session["summary"]["content"])
        candidates = Candidates.of(range(len(sessions)), [0.0] * len(sessions))
        if near:
            candidates = candidates.with_similarity(
                {row: near[key].score for key, row in texts.rows.items()}
            )
        rows, scores = ranked(asked, texts, candidates, sought.similarity_weight)
        return [
            _hit(sessions[row], score)
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
            if score > 0 or near
        ]

    def _vectors(
        self, embedder: Embedder, sessions: Sequence[SessionDocument], dimension: int
    ) -> Operation[list[Vectors]]:
        """Return the summaries' unit vectors; make those that are not there."""
        embeddings = {each["_id"]: each["summary"].get("embedding") for each in sessions}
        lacking = [
            each
            for each in sessions
            if not fits(embeddings[each["_id"]], embedder.model, dimension)
        ]
        for batch in batches(lacking, MADE):
            texts = [each["summary"]["content"] for each in batch]
            made = yield from embedder.documents(texts)
            updates: list[tuple[Query, Update]] = []
            for session, vector in zip(batch, made, strict=True):
                embeddings[session["_id"]] = embedding_of(embedder.model, vector)
                this = {"_id": session["_id"], "summary.uuid": session["summary"]["uuid"]}
                updates.append((this, {"$set": {"summary.embedding": embeddings[session["_id"]]}}))
            yield from self._sessions.update_each(updates)
        none = np.zeros(dimension, dtype=np.float32)
        vectors = [vector_in(each, dimension) for each in embeddings.values()]
        return [none if vector is None else unit(vector) for vector in vectors]


def _hit(session: SessionDocument, score: float) -> Hit:
    return Hit((session["_id"], 0), session["_id"], score)
