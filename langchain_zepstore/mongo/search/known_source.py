"""Candidates of a search by words, from what a client has read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

import numpy as np

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.documents import SessionDocument
from langchain_zepstore.mongo.search.candidates import (
    MAX_HELD,
    MOST_CANDIDATES,
    Pattern,
    pattern_of,
)
from langchain_zepstore.mongo.search.ranking import (
    Asked,
    Beginning,
    Candidates,
    Counts,
    Figures,
    Flags,
    Integers,
    MessageKey,
    Scores,
)
from langchain_zepstore.mongo.search.words import Vocabulary, WordRows

_FEW = 12  # chunks that are sought one by one


class Part(NamedTuple):
    """Messages of a session.

    Attributes:
        session: The session.
        rows: The messages.
        allowed: Which of them may be found; ``None``: all.
    """

    session: SessionDocument
    rows: WordRows
    allowed: Flags | None


class Together:
    """The messages of a scope in one, in the order of their keys.

    Attributes:
        rows: The messages.
        allowed: Which of them may be found.
        session_ids: The ids of the sessions.
        session_of: The place of the session that each message is of.
        row_of: The message that each chunk is of.
        spans: Where the messages of each incarnation stand.

    Args:
        parts: The messages.
        none: No messages.
    """

    def __init__(self, parts: Sequence[Part], none: WordRows) -> None:
        self._parts = parts
        parts = sorted(parts, key=lambda part: part.session["uuid"])
        rows = WordRows.together([none, *(part.rows for part in parts)])
        allowed = np.ones(len(rows.numbers), dtype=np.bool_)
        sizes = [len(part.rows.numbers) for part in parts]
        sessions = {part.session["uuid"]: part.session["_id"] for part in parts}
        self.session_ids = [*sessions.values()]
        places = {incarnation: place for place, incarnation in enumerate(sessions)}
        of_parts = [places[part.session["uuid"]] for part in parts]
        self.session_of = np.repeat(np.array(of_parts, dtype=np.int32), sizes)
        self.spans: dict[str, slice] = {}
        for part, (start, end) in zip(parts, pairwise(accumulate(sizes, initial=0)), strict=True):
            incarnation = part.session["uuid"]
            before = self.spans.get(incarnation, slice(start, start))
            self.spans[incarnation] = slice(before.start, end)
            if part.allowed is not None:
                allowed[start:end] = part.allowed
        firsts = {span.start for span in self.spans.values()}
        turns = np.flatnonzero(np.diff(rows.numbers) <= 0) + 1
        if not firsts.issuperset(turns.tolist()):  # messages that had been missing came later
            order = np.lexsort((rows.numbers, self.session_of))
            rows, allowed = rows.taken(order), allowed[order]
        self.rows, self.allowed = rows, allowed
        self.row_of = np.repeat(np.arange(len(allowed), dtype=np.int32), rows.sizes)

    @property
    def nbytes(self) -> int:
        """The memory that it takes beside its parts, about."""
        return self.rows.nbytes + self.session_of.nbytes + self.row_of.nbytes

    def is_of(self, parts: Sequence[Part]) -> bool:
        """Whether it is of the same messages, all of which may be found."""
        return len(parts) == len(self._parts) and all(
            part.rows is mine.rows and part.allowed is None and mine.allowed is None
            for part, mine in zip(parts, self._parts, strict=True)
        )


class KnownSource:
    """The words of all messages of a scope.

    Attributes:
        incarnations: The incarnations of their sessions.
        session_ids: The ids of these.
        speakers: The names of their speakers.

    Args:
        asked: The words that are looked for.
        vocabulary: What the numbers of chunks stand for.
        known: The messages.
        added: How many messages were ever added to their sessions.
        is_short: Whether it is a short session; see ``Source.read``.
    """

    def __init__(
        self, asked: Asked, vocabulary: Vocabulary, known: Together, added: int, *, is_short: bool
    ) -> None:
        self._asked = asked
        self._is_short = is_short
        self._vocabulary = vocabulary
        self._size = len(vocabulary)
        self._known = known
        self._added = added
        self._rows = known.rows
        self.incarnations = [*known.spans]
        self.session_ids = known.session_ids
        self.speakers = vocabulary.speakers
        self._match()

    def _match(self) -> None:
        """Find which messages hold which terms, and how often."""
        terms = list(self._asked.terms)
        self._columns = {pattern_of(term): column for column, term in enumerate(terms)}
        found = [self._found(pattern) for pattern in self._columns]
        stops = self._asked.is_of_stops
        counted = [self._vocabulary.counted(term, stops=stops) for term in terms]
        rows, chunks = self._hits({*chain(*found, *counted)})
        is_first = _is_first(rows)
        at = np.cumsum(is_first) - 1
        # The last row is that of no message, and stands for all that hold no term.
        self._matched = np.append(rows[is_first], len(self._known.allowed))
        self._held = np.zeros((len(self._matched), len(terms)), dtype=np.bool_)
        self._counts = np.zeros((len(self._matched), len(terms)), dtype=np.int32)
        for column in range(len(terms)):
            holds = self._weighted(found[column])[chunks] > 0
            self._held[at[holds], column] = True
            times = self._weighted(counted[column])[chunks]
            self._counts[:, column] = np.bincount(at, times, minlength=len(self._matched))

    def _found(self, pattern: Pattern) -> list[int]:
        return self._vocabulary.found(pattern.text, begins=pattern.begins)

    def _weighted(self, chunks: Iterable[int]) -> Integers:
        """Return how often each chunk of the vocabulary is among some."""
        return np.bincount(np.array([*chunks], dtype=np.int64), minlength=self._size)

    def _hits(self, wanted: Collection[int]) -> tuple[Integers, Integers]:
        """Return the rows in which chunks stand, in their order, and the chunks."""
        if len(wanted) <= _FEW:
            is_hit = np.zeros(len(self._rows.chunks), dtype=np.bool_)
            for chunk in wanted:
                is_hit |= self._rows.chunks == chunk
        else:
            is_hit = (self._weighted(wanted) > 0).take(self._rows.chunks)
        at = np.flatnonzero(is_hit)
        return self._known.row_of[at], self._rows.chunks[at]

    def counts(self) -> Operation[Counts]:
        """Return how many messages hold each term; see ``Source``."""
        numbers = self._held.sum(axis=0).tolist()
        holding = {
            term: min(number, MAX_HELD + 1)
            for term, number in zip(self._asked.terms, numbers, strict=True)
            if number
        }
        return Counts(self._added, holding)
        yield

    def read(
        self,
        patterns: Sequence[Pattern],
        weights: Mapping[str, float],
        most: int,  # noqa: ARG002 - all are chosen from
        limit: int,
    ) -> Operation[tuple[Candidates, set[str]]]:
        """Return the best of all messages that hold one of some tokens; see ``Source``."""
        if self._columns.keys() >= set(patterns):
            columns = [self._columns[pattern] for pattern in patterns]
            rows = self._matched[self._held[:, columns].any(axis=1)]  # the last one never
        else:
            hits, _ = self._hits({*chain.from_iterable(map(self._found, patterns))})
            rows = hits[_is_first(hits)]
        rows = rows[self._known.allowed[rows]]
        held = self._held[self._places(rows)]
        scores = np.zeros(len(rows))
        for column, term in enumerate(self._asked.terms):
            scores += held[:, column] * weights.get(term, 0.0)
        best = _best(scores, max(limit, MOST_CANDIDATES))
        return Candidates.of(rows[best], scores[best]), self._terms_in(held[best])
        yield

    def _terms_in(self, held: Flags) -> set[str]:
        """Return the terms that messages of a short session hold."""
        if not self._is_short:
            return set()
        terms = list(self._asked.terms)
        return {terms[column] for column in np.nonzero(held)[1].tolist()}

    def near(self, keys: Mapping[MessageKey, str]) -> Operation[dict[MessageKey, int]]:
        """Return the rows of messages that were found by meaning; see ``Source``."""
        return self._at(keys)
        yield

    def after(self, keys: Mapping[MessageKey, str]) -> Operation[dict[MessageKey, int]]:
        """Return the rows of messages that follow others; see ``Source``."""
        return {key: row for key, row in self._at(keys).items() if self._known.allowed[row]}
        yield

    def _at(self, keys: Iterable[MessageKey]) -> dict[MessageKey, int]:
        """Return the rows of messages; nothing of those that are not known."""
        sessions: dict[str, list[int]] = defaultdict(list)
        for incarnation, number in keys:
            sessions[incarnation].append(number)
        found: dict[MessageKey, int] = {}
        for incarnation, wanted in sessions.items():
            span = self._known.spans.get(incarnation, slice(0, 0))
            numbers = self._rows.numbers[span]
            for number, at in zip(wanted, numbers.searchsorted(wanted).tolist(), strict=True):
                if at < len(numbers) and numbers[at] == number:
                    found[incarnation, number] = span.start + at
        return found

    def _places(self, rows: Integers) -> Integers:
        """Return where rows stand among those that hold a term; behind them if they hold none."""
        at = np.searchsorted(self._matched[:-1], rows)
        return np.where(self._matched[at] == rows, at, len(self._matched) - 1)

    def figures(self, rows: Integers) -> Figures:
        """Return what messages are ranked by; see ``ranking.Messages``."""
        _, words, stops, speakers, asks = self._rows.figures[rows].T
        return Figures(
            self._known.session_of[rows],
            self._rows.numbers[rows],
            speakers,
            asks > 0,
            self._counts[self._places(rows)],
            words + stops if self._asked.is_of_stops else words,
        )

    def count_beginnings(self, rows: Integers, beginning: Beginning) -> Integers:
        """Return how many words of messages begin so; see ``ranking.Messages``."""
        numbers = self._vocabulary.begun(beginning)
        hits, chunks = self._hits(set(numbers))
        times = np.bincount(hits, self._weighted(numbers)[chunks], len(self._known.allowed))
        return times[rows].astype(np.int64)


def _is_first(rows: Integers) -> Flags:
    """Return which of ascending numbers are not the same as the one before."""
    is_first = np.ones(len(rows), dtype=np.bool_)
    is_first[1:] = rows[1:] != rows[:-1]
    return is_first


def _best(scores: Scores, limit: int) -> Integers:
    """Return where the best scores stand; of equal ones the first."""
    if len(scores) <= limit:
        return np.arange(len(scores))
    least = np.partition(scores, -limit)[-limit]
    above = np.flatnonzero(scores > least)
    return np.concatenate([above, np.flatnonzero(scores == least)[: limit - len(above)]])
