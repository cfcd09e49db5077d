"""Candidates of a search by words, from the index of tokens."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

from bson import Regex

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.messages.langchain import text_of
from langchain_zepstore.mongo.documents import MessageDocument, Query, Stage
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.indexes import BY_USER, token_index, tokens_field
from langchain_zepstore.mongo.search.hits import key_of, live_at
from langchain_zepstore.mongo.search.ranking import (
    MAX_RANKED,
    Asked,
    Candidates,
    Counts,
    MessageKey,
    Messages,
)
from langchain_zepstore.mongo.search.scope import SearchScope
from langchain_zepstore.mongo.search.text_query import TextQuery
from langchain_zepstore.mongo.search.texts import Texts
from langchain_zepstore.mongo.search.tokens import is_beginning, terms_of

MOST_CANDIDATES = 500
"""How many candidates are ranked at least; fewer lose some of what is looked for."""

MAX_HELD = 2000
"""How many messages hold the terms by which they are read; the rarest is always one."""

MAX_WHOLE = 16_384
"""Bytes of a message that is read as it is."""

SIZE = {"$bsonSize": "$$ROOT"}

_MAX_BLOCKS = 100_000  # bytes of a message of blocks that is ranked by what it says
RANKED = {
    "session_id": 1,
    "role": 1,
    "content": {
        "$switch": {
            "branches": [
                {"case": {"$lt": [SIZE, MAX_WHOLE]}, "then": "$content"},
                {
                    "case": {"$eq": [{"$type": "$content"}, "string"]},
                    "then": {"$substrCP": ["$content", 0, MAX_RANKED]},
                },
                {"case": {"$lt": [SIZE, _MAX_BLOCKS]}, "then": "$content"},
            ],
            "default": "",
        }
    },
}
"""The projection of what is ranked."""


class Pattern(NamedTuple):
    """Tokens that are looked for.

    Attributes:
        text: A token, or how tokens begin.
        begins: Which of these.
    """

    text: str
    begins: bool = False


def pattern_of(term: str) -> Pattern:
    """Return the tokens that a term finds."""
    return Pattern(term, is_beginning(term))


class Source(Messages, Protocol):
    """What candidates are taken from."""

    @property
    def session_ids(self) -> Sequence[str]:
        """The ids of the sessions of its messages."""

    def counts(self) -> Operation[Counts]:
        """Return how many messages hold each term."""

    def read(
        self, patterns: Sequence[Pattern], weights: Mapping[str, float], most: int, limit: int
    ) -> Operation[tuple[Candidates, set[str]]]:
        """Return the best messages that hold one of some tokens.

        Args:
            patterns: The tokens.
            weights: What each term is worth.
            most: How many messages to choose from at least.
            limit: How many at most, if they are more than the candidates of any search.

        Returns:
            The messages, and in a short session the terms that one of them holds.
        """

    def near(self, keys: Mapping[MessageKey, str]) -> Operation[dict[MessageKey, int]]:
        """Return the rows of live messages of the scope that were found by meaning.

        Args:
            keys: Where they stand, with the ids of their sessions.
        """

    def after(self, keys: Mapping[MessageKey, str]) -> Operation[dict[MessageKey, int]]:
        """Return the rows of live messages of the scope that follow others.

        Args:
            keys: Where they may stand, with the ids of their sessions.
        """


class IndexSource(Texts):
    """The index of tokens.

    Args:
        database: Where the messages are.
        scope: What to choose from.
        query: The text of the search.
        asked: Its words.
    """

    def __init__(
        self, database: Database, scope: SearchScope, query: TextQuery, asked: Asked
    ) -> None:
        super().__init__(asked)
        self._database = database
        self._scope = scope
        self._query = query
        self._language = language = asked.language
        self._field = tokens_field(language)
        self._terms = list(asked.terms)
        self._conditions: list[Query] = []
        for phrase in query.phrases:
            if held := terms_of(phrase, language):
                self._conditions.append({self._field: {"$all": held}})
        if without := [term for word in query.words_without for term in terms_of(word, language)]:
            self._conditions.append({self._field: {"$nin": without}})

    def counts(self) -> Operation[Counts]:
        """Return how many messages hold each term; see ``Source``."""
        database, owner = self._database, self._scope.owner
        pipelines: list[list[Stage]] = [
            [
                {"$match": {"scope": owner, self._field: _token(pattern_of(term))}},
                {"$limit": MAX_HELD + 1},
                {"$count": "number"},
                {"$set": {"term": {"$literal": term}}},
            ]
            for term in self._terms
        ]
        name = database.messages.name
        unions = [{"$unionWith": {"coll": name, "pipeline": each}} for each in pipelines[1:]]
        if self._scope.session is None and owner is not None:
            yield from database.indexes.ensure(database.sessions, BY_USER)
            live: Query = {"user_id": owner.removeprefix("u:"), "deleted_at": None}
            added = [{"$match": live}, {"$group": {"_id": None, "number": {"$sum": "$seq"}}}]
            unions.append({"$unionWith": {"coll": database.sessions.name, "pipeline": added}})
        found = yield from database.messages.aggregate(
            [*pipelines[0], *unions], hint=token_index(self._language)
        )
        numbers = {each.get("term"): each["number"] for each in found}
        return Counts(
            numbers.get(None, 0), {term: numbers[term] for term in self._terms if term in numbers}
        )

    def read(
        self, patterns: Sequence[Pattern], weights: Mapping[str, float], most: int, limit: int
    ) -> Operation[tuple[Candidates, set[str]]]:
        """Return the best of the first messages that hold one of some tokens; see ``Source``."""
        held = f"${self._field}"
        score = [
            {"$cond": [{"$in": [{"$literal": term}, held]}, weight, 0]}
            for term, weight in weights.items()
        ]
        fields = {**RANKED, "score": {"$sum": score}}
        if self._scope.hint:
            fields["held"] = {"$setIntersection": [{"$literal": self._terms}, held]}
        asked = [{self._field: {"$in": [*map(_token, patterns)]}}, *self._conditions]
        found = yield from self._database.messages.aggregate(
            [
                {"$match": {**self._scope.query(), "$and": asked}},
                {"$limit": most},
                {"$project": fields},
                {"$sort": {"score": -1, "_id": 1}},
                {"$limit": max(limit, MOST_CANDIDATES)},
            ],
            hint=self._scope.hint or token_index(self._language),
        )
        allowed = self._allowed(found)
        held_terms = {
            term for each in allowed for term in cast("Sequence[str]", each.get("held", ()))
        }
        scores = [cast("float", each.get("score", 0)) for each in allowed]
        return Candidates.of([*map(self.add_document, allowed)], scores), held_terms

    def near(self, keys: Mapping[MessageKey, str]) -> Operation[dict[MessageKey, int]]:
        """Return the rows of messages that were found by meaning; see ``Source``."""
        unknown = {key: session_id for key, session_id in keys.items() if key not in self.rows}
        found = yield from live_at(self._database, unknown, RANKED)
        for document in self._allowed(found):
            self.add_document(document)
        return {key: self.rows[key] for key in keys if key in self.rows}

    def after(self, keys: Mapping[MessageKey, str]) -> Operation[dict[MessageKey, int]]:
        """Return the rows of messages that follow others; see ``Source``."""
        found = yield from live_at(self._database, keys, RANKED, self._scope.filter())
        return {key_of(document): self.add_document(document) for document in found}

    def _allowed(self, documents: Sequence[MessageDocument]) -> Sequence[MessageDocument]:
        if self._query.is_plain:
            return documents
        return [each for each in documents if self._query.allows(text_of(each["content"]))]


def _token(pattern: Pattern) -> Any:
    # Not re.compile: its flag for Unicode makes the server read the whole index.
    return Regex(f"^{re.escape(pattern.text)}") if pattern.begins else pattern.text
