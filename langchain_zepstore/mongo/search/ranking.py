"""Which of the messages that were found match best. Pure functions over arrays.

MongoDB's text score does not know how rare a word is, nor what stands beside a message. Here
messages that were found are scored by BM25. A question that names a speaker is rather
answered by that speaker, so what the speaker says counts more. What is said before and after
counts too: a message gets a part of the scores of its neighbours, more of a question that it
answers, and a part of its session's best, for a session has its subjects. A message that asks is
less of an answer. And to a query that asks, the turn after a question that was found is a result,
though it holds none of the words.

Where messages were found by meaning too, their similarity is added before neighbours and sessions
get their parts: a message that is about the subject in other words lends weight in the same way.

The weights lie on a plateau that was measured on LoCoMo's conversations, and that weights chosen
on all but one keep for that one; ``python -m benchmarks.search`` shows what they gain. That of
similarity is for about the 200 messages nearest in meaning, embedded with their speakers' names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from langchain_zepstore.mongo.search.tokens import (
    folded,
    is_beginning,
    terms_of,
    tokenize,
    words_of,
)

_SATURATION, _LENGTH = 1.0, 0.4  # k1 and b of BM25
_OF_SIMILARITY = 0.3  # of the best score by words
_NAMED = 1.4  # times what a speaker says whom the query names
_BESIDE = ((-2, 0.2), (-1, 0.25), (1, 0.25), (2, 0.2))
_OF_QUESTION = 0.4  # which a message answers, and beside what neighbours get
_OF_SESSION = 0.7  # of the mean of its two best
_ASKING = 0.8  # times what a question would get
_ASKS = re.compile(r"[?？؟]\W*$")  # noqa: RUF001 - question marks of other scripts
_END = 20  # letters; where a question mark must stand

_LEAST_BEGINNING = 2  # letters of a word

MAX_RANKED = 16_384
"""Characters of a message that are ranked."""

MessageKey = tuple[str, int]
"""A session's incarnation, and a number in it."""

Scores = npt.NDArray[np.float64]
Integers = npt.NDArray[np.signedinteger[Any]]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Asked:
    """The words that a query asks for.

    Attributes:
        text: The query.
        language: The language of the index.
        terms: Its distinct tokens.
        is_of_stops: Whether it has nothing but stop words.
    """

    text: str
    language: str
    terms: dict[str, None]
    is_of_stops: bool


def asked_in(text: str, language: str) -> Asked:
    """Return the words that a query asks for."""
    terms = dict.fromkeys(terms_of(text, language))
    is_of_stops = terms.keys().isdisjoint(words_of(text, language))
    return Asked(text, language, terms, is_of_stops)


class Beginning(NamedTuple):
    """A term that no candidate holds, sought at the beginning of words.

    Attributes:
        letters: How it is written without case and accents.
        pattern: Finds where it begins a word of a text without case and accents.
    """

    letters: str
    pattern: re.Pattern[str]


def count_terms(text: str, asked: Asked) -> tuple[list[int], int]:
    """Return how often each term is in a text, and the number of all its tokens."""
    words = words_of(text[:MAX_RANKED], asked.language)
    if asked.is_of_stops:
        words += tokenize(text[:MAX_RANKED], asked.language)[1]
    held = [word for word in words if word in asked.terms]
    return [*map(held.count, asked.terms)] if held else [0] * len(asked.terms), len(words)


def does_ask(text: str) -> bool:
    """Return whether a text ends with a question mark."""
    return _ASKS.search(text[-_END:]) is not None


class Figures(NamedTuple):
    """What messages are ranked by, a row for each.

    Attributes:
        sessions: The places of their sessions among the source's.
        numbers: Their numbers there.
        speakers: The places of their speakers among the source's.
        asks: Whether they end with a question mark.
        counts: How often they hold each term, a column for each.
        lengths: The numbers of all their tokens.
    """

    sessions: Integers
    numbers: Integers
    speakers: Integers
    asks: Flags
    counts: Integers
    lengths: Integers


class Messages(Protocol):
    """The messages that candidates are rows of."""

    @property
    def incarnations(self) -> Sequence[str]:
        """The incarnations of their sessions."""

    @property
    def speakers(self) -> Sequence[str]:
        """The names of their speakers; empty where the role is none."""

    def figures(self, rows: Integers) -> Figures:
        """Return what messages are ranked by."""

    def count_beginnings(self, rows: Integers, beginning: Beginning) -> Integers:
        """Return how many words of messages begin so."""


class Counts(NamedTuple):
    """How common words are.

    Attributes:
        messages: How many messages a user has, about; 0 where only a session is searched.
        holding: How many of them hold each term, up to a number; none that none holds.
    """

    messages: int
    holding: Mapping[str, int]


class Candidates(NamedTuple):
    """Messages that may be results, or stand beside one.

    Attributes:
        rows: Which they are, each once.
        found: What the index gave them; 0 if it guesses that a word may begin so; not a number if
            it did not find them.
        similarity: How near their meaning is to the query's; not a number if they were not found
            by meaning.
    """

    rows: Integers
    found: Scores
    similarity: Scores

    @classmethod
    def of(
        cls, rows: Sequence[int] | Integers, found: Sequence[float] | Scores | None = None
    ) -> Candidates:
        """Return messages, found by words or not."""
        unknown = np.full(len(rows), np.nan)
        scores = unknown if found is None else np.asarray(found, dtype=np.float64)
        return cls(np.asarray(rows, dtype=np.int64), scores, unknown)

    def with_similarity(self, similarity: Mapping[int, float]) -> Candidates:
        """Return them with those that were found by meaning, by their rows."""
        rows = np.fromiter(similarity, dtype=np.int64, count=len(similarity))
        near = Candidates.of(rows)._replace(similarity=np.fromiter(similarity.values(), np.float64))
        both = Candidates.joined([self, near])
        at = np.searchsorted(both.rows, near.rows)
        both.similarity[at] = near.similarity
        return both

    @classmethod
    def joined(cls, parts: Iterable[Candidates]) -> Candidates:
        """Return candidates in one, each as it was first."""
        rows, found, similarity = map(np.concatenate, zip(*parts, strict=True))
        _, first = np.unique(rows, return_index=True)
        return cls(rows[first], found[first], similarity[first])


def answers(asked: Asked, messages: Messages, candidates: Candidates) -> list[MessageKey]:
    """Return the keys after questions that were found, if a question was asked.

    Those that are candidates are left out.
    """
    if not does_ask(asked.text):
        return []
    figures = messages.figures(candidates.rows)
    beside = _Beside(figures)
    _, is_candidate = beside.at(1)
    after = figures.asks & ~np.isnan(candidates.found) & ~is_candidate
    sessions, numbers = figures.sessions[after].tolist(), (figures.numbers[after] + 1).tolist()
    return [
        (messages.incarnations[session], number)
        for session, number in zip(sessions, numbers, strict=True)
    ]


def ranked(
    asked: Asked,
    messages: Messages,
    candidates: Candidates,
    of_similarity: float | None = None,
    counts: Counts | None = None,
) -> tuple[Integers, Scores]:
    """Return the rows of the messages found, and of answers to them, with their scores.

    The best come first; of equal ones what the index found better, then the earlier.

    Args:
        asked: What was looked for.
        messages: The messages.
        candidates: Those that were found, and what answers them.
        of_similarity: What the best similarity is worth, of the best score by words; as measured,
            if not given.
        counts: How common the terms are; among the candidates, if not given.
    """
    weight = _OF_SIMILARITY if of_similarity is None else of_similarity
    rows, found, similarity = candidates
    figures = messages.figures(rows)
    own = _by_words(asked, messages, rows, figures, counts or Counts(len(rows), {}))
    own = _with_similarity(own, similarity, weight)
    beside = _Beside(figures)
    total = own + _OF_SESSION * beside.best_of_sessions(own)
    for step, part in _BESIDE:
        at, is_there = beside.at(step)
        total += np.where(is_there, part * own[at], 0.0)
    before, is_there = beside.at(-1)
    is_after_question = is_there & figures.asks[before]
    total += np.where(is_after_question, _OF_QUESTION * own[before], 0.0)
    total *= np.where(figures.asks, _ASKING, 1.0)
    # What the index gave 0 is a guess at words that begin so; none does if it has no score.
    is_result = ~np.isnan(similarity) | (found > 0) | (~np.isnan(found) & (own > 0))
    if does_ask(asked.text):
        is_result |= is_after_question & ~np.isnan(found[before])
    [results] = np.nonzero(is_result)
    order = np.lexsort(
        (
            figures.numbers[results],
            _places_in_order(messages.incarnations, figures.sessions[results]),
            -np.nan_to_num(found[results]),
            -total[results],
        )
    )
    best = results[order]
    return rows[best], total[best]


class _Beside:
    """Candidates by their sessions and numbers."""

    def __init__(self, figures: Figures) -> None:
        steps = max(abs(step) for step, _ in _BESIDE)
        numbers = figures.numbers.astype(np.int64)
        span = int(numbers.max(initial=0)) + 2 * steps + 1
        _, self._sessions = np.unique(figures.sessions, return_inverse=True)
        self._keys = self._sessions * span + numbers + steps
        self._order = np.argsort(self._keys)
        self._sorted = self._keys[self._order]

    def at(self, step: int) -> tuple[Integers, Flags]:
        """Return which stands so many numbers after each, and whether there is one."""
        wanted = self._keys + step
        at = np.searchsorted(self._sorted, wanted)
        at[at == len(at)] = 0
        return self._order[at], self._sorted[at] == wanted

    def best_of_sessions(self, scores: Scores) -> Scores:
        """Return the mean of the two best scores of the session of each."""
        order = np.lexsort((-scores, self._sessions))
        sessions, descending = self._sessions[order], scores[order]
        [firsts] = np.nonzero(np.diff(sessions, prepend=-1))
        best = descending[firsts]
        seconds = np.append(descending[1:], 0.0)[firsts]
        is_alone = np.diff(firsts, append=len(sessions)) == 1
        return ((best + np.where(is_alone, 0.0, seconds)) / 2)[self._sessions]


def _places_in_order(names: Sequence[str], places: Integers) -> Integers:
    """Return numbers that order places as the names there."""
    used, at = np.unique(places, return_inverse=True)
    named = [names[place] for place in used.tolist()]
    order = sorted(range(len(named)), key=named.__getitem__)
    ranks = np.empty(len(used), dtype=np.int64)
    ranks[order] = np.arange(len(used))
    return ranks[at]


def _with_similarity(own: Scores, similarity: Scores, of_similarity: float) -> Scores:
    is_near = ~np.isnan(similarity)
    if not is_near.any():
        return own
    lowest, most = similarity[is_near].min(), similarity[is_near].max()
    parts = (similarity - lowest) / (most - lowest) if most > lowest else np.ones(len(own))
    return own + np.where(is_near, of_similarity * (own.max() or 1.0) * parts, 0.0)


def _by_words(
    asked: Asked, messages: Messages, rows: Integers, figures: Figures, common: Counts
) -> Scores:
    """Return the scores by BM25; the mean length is that of the candidates."""
    counts, lengths = figures.counts, figures.lengths.astype(np.float64)
    is_named = np.zeros(len(rows), dtype=np.bool_)
    for speaker in np.unique(figures.speakers).tolist():
        of_name, length = count_terms(messages.speakers[speaker], asked)
        if length:
            is_of_speaker = figures.speakers == speaker
            lengths = lengths + length * is_of_speaker
            if any(of_name):
                is_named |= is_of_speaker
                counts = counts + np.outer(is_of_speaker, of_name)
    mean = lengths.mean() if len(lengths) else 0.0
    norms = _SATURATION * (1 - _LENGTH + _LENGTH * lengths / (mean or 1.0))
    scores = np.zeros(len(rows))
    for term, column in zip(asked.terms, counts.T, strict=True):
        times = column
        if not times.any() and (beginning := _beginning(term)):
            times = messages.count_beginnings(rows, beginning)
        if found := int(np.count_nonzero(times)):
            scores += (
                gain(common.holding.get(term, found), common.messages) * times / (times + norms)
            )
    return np.where(is_named, scores * _NAMED, scores)


def gain(held_by: int, number: int) -> float:
    """Return what a term is worth that some of so many messages hold; the rarer, the more."""
    others = max(number - held_by, 0)
    return math.log1p((others + 0.5) / (held_by + 0.5)) * (_SATURATION + 1)


def _beginning(term: str) -> Beginning | None:
    letters = folded(term)  # none of a lone mark
    if not letters or not (is_beginning(term) or len(term) >= _LEAST_BEGINNING):
        return None
    start = "" if is_beginning(term) else r"(?<![^\W_])"
    return Beginning(letters, re.compile(start + re.escape(letters)))
