"""Messages by their words: candidates, ranked.

A search asks how many messages hold each of its terms, takes those that hold the rarest, up to a
number, and chooses the best of them by all terms. A term that no message holds finds words that
begin with it. The candidates are found by the index of tokens; or, where a client has read all
messages of a scope, by what it knows of them.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.search_query import SearchQuery
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.driver.errors import MissingIndexError
from langchain_zepstore.mongo.search.candidates import (
    MAX_HELD,
    MOST_CANDIDATES,
    IndexSource,
    Pattern,
    Source,
    pattern_of,
)
from langchain_zepstore.mongo.search.hits import Hit
from langchain_zepstore.mongo.search.index import Backlog, ensure_word_indexes
from langchain_zepstore.mongo.search.known_words import KnownWords
from langchain_zepstore.mongo.search.ranking import (
    Asked,
    Candidates,
    Counts,
    Integers,
    Scores,
    answers,
    asked_in,
    gain,
    ranked,
)
from langchain_zepstore.mongo.search.session_cache import SessionCache
from langchain_zepstore.mongo.search.text_query import TextQuery, parse_text
from langchain_zepstore.mongo.search.tokens import is_beginning
from langchain_zepstore.mongo.search.walk import SessionPages

_MAX_READ = 2500  # messages from which the candidates are chosen
_MAX_BEGUN = 1000  # messages read for words of which only the beginning was given
_LEAST_BEGINNING, _MAX_ENDING = 3, 6  # letters
_DIGITS = 6  # of a score: the order of a sum changes the last ones


class _Searched(NamedTuple):
    source: Source
    asked: Asked
    counts: Counts | None
    found: Candidates


class TextSearch:
    """Searches a database's messages by words.

    Args:
        database: Where the messages are.
        cache: What the client knows of sessions.
    """

    def __init__(self, database: Database, cache: SessionCache) -> None:
        self._database = database
        self._known = KnownWords(database, cache)

    def best(
        self, pages: SessionPages, sought: SearchQuery, near: Sequence[Hit] = ()
    ) -> Operation[list[Hit]]:
        """Return the messages that match a text best, the best first; of equal ones the earlier.

        Args:
            pages: The sessions to choose from.
            sought: The text, and how it is meant.
            near: What was found by its meaning, to be ranked with what is found by its words.
        """
        query = parse_text(sought.text, syntax=sought.syntax)
        source, asked, counts, found = yield from self._found(pages, query, sought.limit)
        if near:
            rows = yield from source.near({hit.key: hit.session_id for hit in near})
            found = found.with_similarity(
                {rows[hit.key]: hit.score for hit in near if hit.key in rows}
            )
        if following := answers(asked, source, found):
            session_ids = dict(zip(source.incarnations, source.session_ids, strict=True))
            after = yield from source.after({key: session_ids[key[0]] for key in following})
            found = Candidates.joined([found, Candidates.of([*after.values()])])
        # Beside similarity, words weigh best by how common they are among the candidates.
        common = None if near else counts
        best, scores = ranked(asked, source, found, sought.similarity_weight, common)
        return _hits(source, best[: sought.limit], scores)

    def _found(self, pages: SessionPages, query: TextQuery, limit: int) -> Operation[_Searched]:
        """Return the messages found, and where."""
        try:
            return (yield from self._searched(pages, query, limit))
        except MissingIndexError:  # dropped meanwhile, perhaps to be made in another language
            self._database.whole.search_language = None
            return (yield from self._searched(pages, query, limit))

    def _searched(self, pages: SessionPages, query: TextQuery, limit: int) -> Operation[_Searched]:
        scope = pages.scope
        language = yield from ensure_word_indexes(self._database)
        asked = asked_in(query.text, language)
        backlog = Backlog(self._database, language, scope.indexed(), scope.hint)
        known = yield from self._known.source(pages, query, asked, backlog)
        source: Source
        if known is not None:
            source = known
        else:
            yield from backlog.index()
            source = IndexSource(self._database, scope, query, asked)
        counts, found = yield from _find(source, asked, limit, is_short=scope.hint is not None)
        return _Searched(source, asked, counts, found)


def _find(
    source: Source, asked: Asked, limit: int, *, is_short: bool
) -> Operation[tuple[Counts | None, Candidates]]:
    """Return how common the terms are, and the candidates but for those after questions.

    Args:
        source: Where they are taken from.
        asked: The words.
        limit: How many messages are wanted.
        is_short: Whether all that hold a term are candidates, for they are few.
    """
    found = Candidates.of([])
    if not asked.terms:
        return None, found
    counts = Counts(0, dict.fromkeys(asked.terms, 0))
    if not is_short:
        counts = yield from source.counts()
    holding, weights = counts.holding, _weights(counts)
    chosen = _rarest(holding)
    held: Collection[str] = holding
    if chosen:
        patterns = [pattern_of(term) for term in chosen]
        found, some = yield from source.read(patterns, weights, max(limit, _MAX_READ), limit)
        held = some if is_short else held
    if absent := [term for term in asked.terms if term not in held]:
        begun = [pattern for term in absent for pattern in _beginnings(term)]
        if begun:
            more, _ = yield from source.read(begun, weights, _MAX_BEGUN, limit)
            found = Candidates.joined([found, more])
    if len(found.rows) < limit and len(chosen) < len(holding):
        rest = [pattern_of(term) for term in holding if term not in chosen]
        more, _ = yield from source.read(rest, weights, max(limit, MOST_CANDIDATES), limit)
        found = Candidates.joined([found, more])
    return counts if counts.messages else None, found


def _hits(source: Source, rows: Integers, scores: Scores) -> list[Hit]:
    sessions, numbers, *_ = source.figures(rows)
    incarnations, session_ids = source.incarnations, source.session_ids
    return [
        Hit((incarnations[session], number), session_ids[session], round(score, _DIGITS))
        for session, number, score in zip(
            sessions.tolist(), numbers.tolist(), scores.tolist(), strict=False
        )
    ]


def _rarest(counts: Mapping[str, int]) -> list[str]:
    """Return the terms by which messages are read: the rarest, while their messages are few."""
    chosen: list[str] = []
    total = 0
    for term in sorted(counts, key=lambda term: counts[term]):
        total += counts[term]
        if chosen and total > MAX_HELD:
            break
        chosen.append(term)
    return chosen


def _weights(counts: Counts) -> dict[str, float]:
    # Else only the order of the weights matters.
    messages = counts.messages or 2 * max(counts.holding.values(), default=0)
    return {
        term: gain(held_by, messages)
        for term, held_by in counts.holding.items()
        if not is_beginning(term)
    }


def _beginnings(term: str) -> list[Pattern]:
    """Return the patterns of tokens whose words begin with a term.

    The token has lost the word's ending, so it may be shorter than what is given of the word.
    """
    if len(term) < 2 or is_beginning(term[0]):  # noqa: PLR2004
        return []
    least = max(_LEAST_BEGINNING, len(term) - _MAX_ENDING)
    shorter = [Pattern(term[:length]) for length in range(least, len(term))]
    return [Pattern(term, begins=True), *shorter]
