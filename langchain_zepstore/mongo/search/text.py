"""Messages by their words: candidates from the index of tokens, ranked.

A search asks how many messages hold each of its terms, takes those that hold the rarest, up to a
number, and lets the server choose the best of them by all terms. A term that no message holds finds
words that begin with it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bson import Regex

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.search_query import SearchQuery
from langchain_zepstore.mongo.documents import MessageDocument, Query, Stage
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.driver.errors import MissingIndexError
from langchain_zepstore.mongo.indexes import token_index, tokens_field
from langchain_zepstore.mongo.search.hits import Hit, key_of, live_at
from langchain_zepstore.mongo.search.index import (
    ensure_word_indexes,
    index_for_search,
)
from langchain_zepstore.mongo.search.ranking import MAX_RANKED, answers, candidate, ranked
from langchain_zepstore.mongo.search.scope import SearchScope
from langchain_zepstore.mongo.search.text_query import TextQuery, parse_text
from langchain_zepstore.mongo.search.tokens import is_beginning, terms_of

_CANDIDATES = 500  # that are ranked; fewer lose some of what is looked for
_MAX_READ = 2500  # messages from which the candidates are chosen
_MAX_HELD = 2000  # that hold the terms by which messages are read; the rarest is always one
_MAX_BEGUN = 1000  # messages read for words of which only the beginning was given
_LEAST_BEGINNING, _MAX_ENDING = 3, 6  # letters
_MAX_WHOLE = 16_384  # bytes of a message that is read as it is
_MAX_BLOCKS = 100_000  # bytes of a message of blocks that is ranked by what it says
_SIZE = {"$bsonSize": "$$ROOT"}
_DIGITS = 6  # of a score: the order of a sum changes the last ones
_RANKED = {
    "session_id": 1,
    "role": 1,
    "content": {
        "$switch": {
            "branches": [
                {"case": {"$lt": [_SIZE, _MAX_WHOLE]}, "then": "$content"},
                {
                    "case": {"$eq": [{"$type": "$content"}, "string"]},
                    "then": {"$substrCP": ["$content", 0, MAX_RANKED]},
                },
                {"case": {"$lt": [_SIZE, _MAX_BLOCKS]}, "then": "$content"},
            ],
            "default": "",
        }
    },
}


class TextSearch:
    """Searches a database's messages by words."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._messages = database.messages

    def best(
        self, scope: SearchScope, sought: SearchQuery, near: Sequence[Hit] = ()
    ) -> Operation[list[Hit]]:
        """Return the messages that match a text best, the best first; of equal ones the earlier.

        Args:
            scope: What to choose from.
            sought: The text, and how it is meant.
            near: What was found by its meaning, to be ranked with what is found by its words.
        """
        query = parse_text(sought.text, syntax=sought.syntax)
        found, language = yield from self._indexed(scope, query, sought.limit)
        similarity = {hit.key: hit.score for hit in near}
        found_keys = {key_of(message) for message in found}
        others = {hit.key: hit.session_id for hit in near if hit.key not in found_keys}
        found += yield from live_at(self._database, others, _RANKED)
        candidates = [candidate(message, similarity.get(key_of(message))) for message in found]
        candidates = [each for each in candidates if query.allows(each.text)]
        sessions = {message["_id"]["s"]: message["session_id"] for message in found}
        after_questions = {key: sessions[key[0]] for key in answers(query.text, candidates)}
        after = yield from live_at(self._database, after_questions, _RANKED, scope.filter())
        candidates += [candidate(message) for message in after]
        best = ranked(query.text, candidates, language, sought.similarity_weight)[: sought.limit]
        return [Hit(key, sessions[key[0]], round(score, _DIGITS)) for key, score in best]

    def _indexed(
        self, scope: SearchScope, query: TextQuery, limit: int
    ) -> Operation[tuple[list[MessageDocument], str]]:
        """Return the messages that the index finds, and its language."""
        language = yield from ensure_word_indexes(self._database)
        try:
            found = yield from _Candidates(self._database, scope, query, language).find(limit)
        except MissingIndexError:  # dropped meanwhile, perhaps to be made in another language
            self._database.whole.search_language = None
            language = yield from ensure_word_indexes(self._database)
            found = yield from _Candidates(self._database, scope, query, language).find(limit)
        return found, language


class _Candidates:
    """The candidates of one search."""

    def __init__(
        self, database: Database, scope: SearchScope, query: TextQuery, language: str
    ) -> None:
        self._database = database
        self._scope = scope
        self._field = tokens_field(language)
        self._language = language
        self._terms = terms_of(query.text, language)
        self._conditions: list[Query] = []
        for phrase in query.phrases:
            if held := terms_of(phrase, language):
                self._conditions.append({self._field: {"$all": held}})
        if without := [term for word in query.words_without for term in terms_of(word, language)]:
            self._conditions.append({self._field: {"$nin": without}})

    def find(self, limit: int) -> Operation[list[MessageDocument]]:
        yield from index_for_search(
            self._database, self._language, self._scope.indexed(), self._scope.hint
        )
        if not self._terms:
            return []
        if self._scope.hint:  # of a short session all that hold a term are candidates
            counts = dict.fromkeys(self._terms, 0)
        else:
            counts = yield from self._counts()
        chosen = _rarest(counts)
        weights = _weights(counts)
        found: list[MessageDocument] = []
        if chosen:
            found = yield from self._read(_patterns(chosen), weights, max(limit, _MAX_READ), limit)
        held = set(counts)
        if self._scope.hint:
            held = {term for message in found for term in message["held"]}  # type: ignore[typeddict-item]
        if absent := [term for term in self._terms if term not in held]:
            begun = [pattern for term in absent for pattern in _beginnings(term)]
            if begun:
                found += yield from self._read(begun, weights, _MAX_BEGUN, limit)
        if len(found) < limit and len(chosen) < len(counts):
            rest = [term for term in counts if term not in chosen]
            most = max(limit, _CANDIDATES)
            found += yield from self._read(_patterns(rest), weights, most, limit)
        return list({key_of(message): message for message in found}.values())

    def _counts(self) -> Operation[dict[str, int]]:
        """Return how many messages hold each term, counted up to a number; none that none holds."""
        pipelines: list[list[Stage]] = [
            [
                {"$match": {"scope": self._scope.owner, self._field: _pattern(term)}},
                {"$limit": _MAX_HELD + 1},
                {"$count": "number"},
                {"$set": {"term": {"$literal": term}}},
            ]
            for term in self._terms
        ]
        name = self._database.messages.name
        unions = [{"$unionWith": {"coll": name, "pipeline": each}} for each in pipelines[1:]]
        counted = yield from self._database.messages.aggregate(
            [*pipelines[0], *unions], hint=token_index(self._language)
        )
        numbers = {each["term"]: each["number"] for each in counted}
        return {term: numbers[term] for term in self._terms if term in numbers}

    def _read(
        self, patterns: Sequence[Any], weights: Mapping[str, float], most: int, limit: int
    ) -> Operation[list[MessageDocument]]:
        """Return the best of the first messages that hold one of some tokens."""
        held = f"${self._field}"
        score = [
            {"$cond": [{"$in": [{"$literal": term}, held]}, weight, 0]}
            for term, weight in weights.items()
        ]
        fields = {**_RANKED, "score": {"$sum": score}}
        if self._scope.hint:
            fields["held"] = {"$setIntersection": [{"$literal": self._terms}, held]}
        asked = [{self._field: {"$in": list(patterns)}}, *self._conditions]
        return self._database.messages.aggregate(
            [
                {"$match": {**self._scope.query(), "$and": asked}},
                {"$limit": most},
                {"$project": fields},
                {"$sort": {"score": -1, "_id": 1}},
                {"$limit": max(limit, _CANDIDATES)},
            ],
            hint=self._scope.hint or token_index(self._language),
        )


def _rarest(counts: Mapping[str, int]) -> list[str]:
    """Return the terms by which messages are read: the rarest, while their messages are few."""
    chosen: list[str] = []
    total = 0
    for term in sorted(counts, key=lambda term: counts[term]):
        total += counts[term]
        if chosen and total > _MAX_HELD:
            break
        chosen.append(term)
    return chosen


def _weights(counts: Mapping[str, int]) -> dict[str, float]:
    # How many messages there are is not known; only the order of the weights matters.
    total = 2 * max(counts.values(), default=0)
    return {
        term: math.log1p((total - number + 0.5) / (number + 0.5))
        for term, number in counts.items()
        if not is_beginning(term)
    }


def _patterns(terms: Sequence[str]) -> list[Any]:
    return [_pattern(term) for term in terms]


def _pattern(term: str) -> Any:
    # Not re.compile: its flag for Unicode makes the server read the whole index.
    return Regex(f"^{re.escape(term)}") if is_beginning(term) else term


def _beginnings(term: str) -> list[Any]:
    """Return the patterns of tokens whose words begin with a term.

    The token has lost the word's ending, so it may be shorter than what is given of the word.
    """
    if len(term) < 2 or is_beginning(term[0]):  # noqa: PLR2004
        return []
    least = max(_LEAST_BEGINNING, len(term) - _MAX_ENDING)
    shorter = [term[:length] for length in range(least, len(term))]
    return [Regex(f"^{re.escape(term)}"), *shorter]
