"""Candidates of a search by words, from what a client has read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from langchain_zepstore.core.batches import batches
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
from langchain_zepstore.mongo.search.tokens import MAX_TERMS
from langchain_zepstore.mongo.search.words import Vocabulary, WordRows, places_of

_FEW = 8  # chunks that are faster sought one by one

Bits = npt.NDArray[np.unsignedinteger[Any]]


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
        starts: Where the chunks of each message begin.
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
        self.starts = rows.starts
        self._row_of = np.repeat(np.arange(len(allowed), dtype=np.int32), rows.sizes)
        self._filled = np.flatnonzero(rows.sizes)

    @property
    def nbytes(self) -> int:
        """The memory that it takes beside its parts, about."""
        return self.rows.nbytes + self.session_of.nbytes + self._row_of.nbytes

    def bits(self, of_chunks: Bits) -> Bits:
        """Return the bits that the chunks of each message have together."""
        bits = np.zeros(len(self.allowed), dtype=of_chunks.dtype)
        wanted = np.flatnonzero(of_chunks)
        if len(wanted) <= _FEW:
            for chunk in wanted:
                bits[self._row_of[np.flatnonzero(self.rows.chunks == chunk)]] |= of_chunks[chunk]
        elif len(self._filled):
            each = of_chunks.take(self.rows.chunks)
            bits[self._filled] = np.bitwise_or.reduceat(each, self.starts[self._filled])
        return bits

    def counts(self, rows: Integers, times: Sequence[Integers]) -> Integers:
        """Return how often messages hold each of some words, a column for each.

        Args:
            rows: The messages.
            times: How often each chunk of the vocabulary is each word.
        """
        sizes = self.rows.sizes[rows]
        row_of = np.repeat(np.arange(len(rows)), sizes)
        chunks = self.rows.chunks[places_of(self.starts[rows], sizes)]
        counts = np.zeros((len(rows), len(times)), dtype=np.int64)
        for column, each in enumerate(times):
            counts[:, column] = np.bincount(row_of, each[chunks], minlength=len(rows))
        return counts

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
        added: How many messages were ever added to their sessions; 0 in one session.
        is_short: Whether it is a short session; see ``Source.read``.
    """

    def __init__(
        self, asked: Asked, vocabulary: Vocabulary, known: Together, added: int, *, is_short: bool
    ) -> None:
        self._asked = asked
        self._is_short = is_short
        self._vocabulary = vocabulary
        self._known = known
        self._added = added
        self.incarnations = [*known.spans]
        self.session_ids = known.session_ids
        self.speakers = vocabulary.speakers
        patterns = [pattern_of(term) for term in asked.terms]
        self._bit_of = {pattern: 1 << place for place, pattern in enumerate(patterns)}
        self._held = self._bits_of(patterns)
        counted = [vocabulary.counted(term, stops=asked.is_of_stops) for term in asked.terms]
        self._times = [self._times_of(chunks) for chunks in counted]

    def _bits_of(self, patterns: Collection[Pattern]) -> Bits:
        """Return which tokens each message has, a bit for each pattern."""
        found = [self._vocabulary.found(each.text, begins=each.begins) for each in patterns]
        of_chunks = np.zeros(len(self._vocabulary), dtype=np.min_scalar_type((1 << len(found)) - 1))
        for place, chunks in enumerate(found):
            of_chunks[chunks] |= of_chunks.dtype.type(1 << place)
        return self._known.bits(of_chunks)

    def _times_of(self, chunks: Sequence[int]) -> Integers:
        """Return how often each chunk of the vocabulary is among some."""
        return np.bincount(np.array(chunks, dtype=np.int64), minlength=len(self._vocabulary))

    def counts(self) -> Operation[Counts]:
        """Return how many messages hold each term; see ``Source``."""
        holding = {
            term: min(number, MAX_HELD + 1)
            for term, bit in zip(self._asked.terms, self._bit_of.values(), strict=True)
            if (number := int(np.count_nonzero(_has(self._held, bit))))
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
        if self._bit_of.keys() >= set(patterns):
            bits = sum(self._bit_of[pattern] for pattern in set(patterns))
            is_found = _has(self._held, bits)
        else:
            is_found = self._any_of(patterns)
        [rows] = np.nonzero(is_found & self._known.allowed)
        held = self._held[rows]
        scores = np.zeros(len(rows))
        for term, bit in zip(self._asked.terms, self._bit_of.values(), strict=True):
            if weight := weights.get(term):
                scores += _has(held, bit) * weight
        best = _best(scores, max(limit, MOST_CANDIDATES))
        return Candidates.of(rows[best], scores[best]), self._terms_in(held[best])
        yield

    def _any_of(self, patterns: Sequence[Pattern]) -> Flags:
        """Return which messages have one of some tokens."""
        is_found = np.zeros(len(self._known.allowed), dtype=np.bool_)
        for some in batches(patterns, MAX_TERMS):
            is_found |= self._bits_of(some) != 0
        return is_found

    def _terms_in(self, held: Bits) -> set[str]:
        """Return the terms that messages of a short session hold."""
        bits = int(np.bitwise_or.reduce(held)) if self._is_short else 0
        terms = zip(self._asked.terms, self._bit_of.values(), strict=True)
        return {term for term, bit in terms if bits & bit}

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
            numbers = self._known.rows.numbers[span]
            for number, at in zip(wanted, numbers.searchsorted(wanted).tolist(), strict=True):
                if at < len(numbers) and numbers[at] == number:
                    found[incarnation, number] = span.start + at
        return found

    def figures(self, rows: Integers) -> Figures:
        """Return what messages are ranked by; see ``ranking.Messages``."""
        known = self._known
        _, words, stops, speakers, asks = known.rows.figures[rows].T
        return Figures(
            known.session_of[rows],
            known.rows.numbers[rows],
            speakers,
            asks > 0,
            known.counts(rows, self._times),
            words + stops if self._asked.is_of_stops else words,
        )

    def count_beginnings(self, rows: Integers, beginning: Beginning) -> Integers:
        """Return how many words of messages begin so; see ``ranking.Messages``."""
        times = self._times_of(self._vocabulary.begun(beginning))
        return self._known.counts(rows, [times])[:, 0]


def _has(held: Bits, bits: int) -> Flags:
    """Return which messages have one of some bits."""
    has: Flags = (held & held.dtype.type(bits)) != 0
    return has


def _best(scores: Scores, limit: int) -> Integers:
    """Return where the best scores stand; of equal ones the first."""
    if len(scores) <= limit:
        return np.arange(len(scores))
    least = np.partition(scores, -limit)[-limit]
    above = np.flatnonzero(scores > least)
    return np.concatenate([above, np.flatnonzero(scores == least)[: limit - len(above)]])
