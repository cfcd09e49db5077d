"""The words of messages that a client has read, so that later searches need not ask for them.

The first search of a scope reads nothing for later ones. Each one after it reads for a moment,
until all messages of the scope are known.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_zepstore.core.batches import batches
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.messages.langchain import text_of
from langchain_zepstore.mongo.documents import MessageDocument, Query, SessionDocument
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.indexes import tokens_field
from langchain_zepstore.mongo.search.candidates import MAX_WHOLE, RANKED, SIZE
from langchain_zepstore.mongo.search.hits import key_of
from langchain_zepstore.mongo.search.index import Backlog
from langchain_zepstore.mongo.search.known_source import KnownSource, Part, Together
from langchain_zepstore.mongo.search.ranking import MAX_RANKED, Asked, MessageKey, does_ask
from langchain_zepstore.mongo.search.session_cache import SessionCache
from langchain_zepstore.mongo.search.text_query import TextQuery
from langchain_zepstore.mongo.search.texts import speaker_of
from langchain_zepstore.mongo.search.walk import Found, SessionPages, Span, Walk, span_query
from langchain_zepstore.mongo.search.words import Message, Vocabulary, WordRows

LOAD_SECONDS = 0.25
"""The time for which a search reads what later ones need."""

_KEYS = 1000  # in one query
_MAX_LAST = 32 * 1024 * 1024  # bytes that are kept of the last search


class KnownWords:
    """The words that a client knows of a database's messages.

    Args:
        database: Where the messages are.
        cache: What the client knows of sessions.
    """

    def __init__(self, database: Database, cache: SessionCache) -> None:
        self._database = database
        self._cache = cache

    def source(
        self, pages: SessionPages, query: TextQuery, asked: Asked, backlog: Backlog
    ) -> Operation[KnownSource | None]:
        """Return the messages of a scope; ``None`` if not all are known.

        Args:
            pages: The scope's sessions.
            query: The text of the search.
            asked: Its words.
            backlog: The scope's messages that may have no tokens yet.
        """
        scope = pages.scope
        if scope.conditions or scope.owner is None or not query.is_plain:
            return None
        if not self._database.messages.reads_primary:
            return None
        sought = asked.language, scope.owner, scope.session_id
        if not self._cache.is_worth_reading(sought):
            return None
        vocabulary = self._cache.vocabulary(asked.language)
        parts: list[Part] = []

        def take(session: SessionDocument, rows: WordRows) -> None:
            parts.append(Part(session, rows, walk.allowed(session, rows.numbers)))

        reads = WordReads(self._database, vocabulary, backlog)
        until = time.monotonic() + LOAD_SECONDS
        walk = Walk(self._database, pages, reads, self._cache, take, until=until)
        is_whole = yield from walk.run()
        if walk.is_full or (not is_whole and self._cache.has_outgrown(vocabulary)):
            self._cache.give_up(sought)
        if not is_whole:
            return None
        known = self._together(vocabulary, parts)
        added = 0 if scope.session else pages.added
        return KnownSource(asked, vocabulary, known, added, is_short=scope.hint is not None)

    def _together(self, vocabulary: Vocabulary, parts: Sequence[Part]) -> Together:
        """Return the messages in one; those of the last search, if they are the same."""
        known = self._cache.together
        if known is None or not known.is_of(parts):
            known = Together(parts, vocabulary.rows([]))
            self._cache.together = known if known.nbytes <= _MAX_LAST else None
        return known


class WordReads:
    """Reads messages into the words of a vocabulary.

    Args:
        database: Where the messages are.
        vocabulary: The vocabulary.
        backlog: Those that may have no tokens yet.
    """

    most = 256

    def __init__(self, database: Database, vocabulary: Vocabulary, backlog: Backlog) -> None:
        self.payload = vocabulary
        self._messages = database.messages
        self._backlog = backlog
        field = tokens_field(vocabulary.language)
        tokens = {"$cond": [{"$lt": [SIZE, MAX_WHOLE]}, [], {"$ifNull": [f"${field}", None]}]}
        self._fields: dict[str, Any] = {**RANKED, "indexed": tokens}

    def prepare(self) -> Operation[bool]:
        """Give messages the tokens that they lack; return whether all have some."""
        return self._backlog.index()

    def read(self, spans: Sequence[Span]) -> Operation[Found[WordRows]]:
        """Return the live messages in spans."""
        last = {span.session["uuid"]: span.last for span in spans}
        documents = yield from self._messages.find(
            span_query(spans), sort={"session_id": 1, "seq": 1}, fields=self._fields
        )
        return self._found(
            [each for each in documents if each["_id"]["q"] <= last.get(each["_id"]["s"], 0)]
        )

    def read_at(
        self, keys: Sequence[MessageKey], _: Mapping[str, str]
    ) -> Operation[Found[WordRows]]:
        """Return the live messages at keys; the numbers of deleted ones count as ``empty``."""
        documents: list[MessageDocument] = []
        for part in batches(keys, _KEYS):
            query: Query = {
                "_id": {"$in": [{"s": incarnation, "q": number} for incarnation, number in part]}
            }
            fields = {**self._fields, "deleted_at": 1}
            documents += yield from self._messages.find(query, fields=fields)
        return self._found(documents)

    def _found(self, documents: Sequence[MessageDocument]) -> Found[WordRows]:
        """Return the rows of live messages, but for those that have no tokens and should."""
        found: Found[WordRows] = Found()
        sessions: dict[str, list[Message]] = defaultdict(list)
        for document in documents:
            incarnation, number = key_of(document)
            if "deleted_at" in document:
                found.empty[incarnation].append(number)
                continue
            text = text_of(document["content"])
            indexed: list[str] | None = document["indexed"]  # type: ignore[typeddict-item]
            if indexed is not None:
                sessions[incarnation].append(
                    Message(
                        number,
                        text[:MAX_RANKED],
                        speaker_of(document),
                        does_ask(text),
                        indexed,
                    )
                )
        for incarnation, messages in sessions.items():
            found.rows[incarnation].append(self.payload.rows(messages))
        return found
