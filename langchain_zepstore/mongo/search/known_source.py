"""Candidates of a search by words, from what a client has read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, compress, pairwise, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.documents import SessionDocument
from langchain_zepstore.mongo.search.candidates import (
    MAX_HELD,
    MOST_CANDIDATES,
    Pattern,
    pattern_of,
)
from langchain_zepstore.mongo.search.ranking import Asked, Beginning, Candidate, MessageKey
from langchain_zepstore.mongo.search.words import Vocabulary, WordRows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from langchain_zepstore.mongo.search.session_cache import Numbers

    Counts = npt.NDArray[np.signedinteger[Any]]
    Allowed = npt.NDArray[np.bool_]

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
    allowed: Allowed | None


class Together:
    """The messages of a scope in one, in the order of their keys.

    Attributes:
        rows: The messages.
        allowed: Which of them may be found.
        ids: The incarnation and the id of the session of each part.
        part_of: The part that each message is of.
        row_of: The message that each chunk is of.
        spans: Where the messages of each incarnation stand.

    Args:
        parts: The messages.
        none: No messages.
    """

    def __init__(self, parts: Sequence[Part], none: WordRows) -> None:
        import numpy as np  # noqa: PLC0415 - an extra

        self._parts = parts
        parts = sorted(parts, key=lambda part: part.session["uuid"])
        rows = WordRows.together([none, *(part.rows for part in parts)])
        allowed = np.ones(len(rows.numbers), dtype=np.bool_)
        ends = np.cumsum([0, *(len(part.rows.numbers) for part in parts)])
        self.part_of = np.repeat(np.arange(len(parts)), np.diff(ends))
        self.ids: list[tuple[str, str]] = []
        self.spans: dict[str, slice] = {}
        for part, (start, end) in zip(parts, pairwise(ends.tolist()), strict=True):
            incarnation = part.session["uuid"]
            before = self.spans.get(incarnation, slice(start, start))
            self.spans[incarnation] = slice(before.start, end)
            self.ids.append((incarnation, part.session["_id"]))
            if part.allowed is not None:
                allowed[start:end] = part.allowed
        firsts = {span.start for span in self.spans.values()}
        turns = np.flatnonzero(np.diff(rows.numbers) <= 0) + 1
        if not firsts.issuperset(turns.tolist()):  # messages that had been missing came later
            lengths = [span.stop - span.start for span in self.spans.values()]
            session_of = np.repeat(np.arange(len(lengths)), lengths)
            order = np.lexsort((rows.numbers, session_of))
            rows, allowed = rows.taken(order), allowed[order]
        self.rows, self.allowed = rows, allowed
        self.row_of = np.repeat(np.arange(len(allowed), dtype=np.int32), rows.sizes)

    @property
    def nbytes(self) -> int:
        """The memory that it takes beside its parts, about."""
        return self.rows.nbytes + self.part_of.nbytes + self.row_of.nbytes

    def is_of(self, parts: Sequence[Part]) -> bool:
        """Whether it is of the same messages, all of which may be found."""
        return len(parts) == len(self._parts) and all(
            part.rows is mine.rows and part.allowed is None and mine.allowed is None
            for part, mine in zip(parts, self._parts, strict=True)
        )


class KnownSource:
    """The words of all messages of a scope.

    Args:
        asked: The words that are looked for.
        vocabulary: What the numbers of chunks stand for.
        known: The messages.
        is_short: Whether it is a short session; see ``Candidate.held``.
    """

    def __init__(
        self, asked: Asked, vocabulary: Vocabulary, known: Together, *, is_short: bool
    ) -> None:
        self._asked = asked
        self._is_short = is_short
        self._vocabulary = vocabulary
        self._size = len(vocabulary)
        self._known = known
        self._rows = known.rows
        self._begun: dict[tuple[Beginning, ...], list[tuple[str, Counts]]] = {}
        self._match()

    def _match(self) -> None:
        """Find which messages hold which terms, and how often."""
        import numpy as np  # noqa: PLC0415 - an extra

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

    def _weighted(self, chunks: Iterable[int]) -> Counts:
        """Return how often each chunk of the vocabulary is among some."""
        import numpy as np  # noqa: PLC0415 - an extra

        return np.bincount(np.array([*chunks], dtype=np.int64), minlength=self._size)

    def _hits(self, wanted: Collection[int]) -> tuple[Counts, Counts]:
        """Return the rows in which chunks stand, in their order, and the chunks."""
        import numpy as np  # noqa: PLC0415 - an extra

        if len(wanted) <= _FEW:
            is_hit = np.zeros(len(self._rows.chunks), dtype=np.bool_)
            for chunk in wanted:
                is_hit |= self._rows.chunks == chunk
        else:
            is_hit = (self._weighted(wanted) > 0).take(self._rows.chunks)
        at = np.flatnonzero(is_hit)
        return self._known.row_of[at], self._rows.chunks[at]

    def counts(self) -> Operation[dict[str, int]]:
        """Return how many messages hold each term; see ``Source``."""
        numbers = self._held.sum(axis=0).tolist()
        return {
            term: min(number, MAX_HELD + 1)
            for term, number in zip(self._asked.terms, numbers, strict=True)
            if number
        }
        yield

    def read(
        self,
        patterns: Sequence[Pattern],
        weights: Mapping[str, float],
        most: int,  # noqa: ARG002 - all are chosen from
        limit: int,
    ) -> Operation[list[Candidate]]:
        """Return the best of all messages that hold one of some tokens; see ``Source``."""
        import numpy as np  # noqa: PLC0415 - an extra

        if self._columns.keys() >= set(patterns):
            columns = [self._columns[pattern] for pattern in patterns]
            rows = self._matched[self._held[:, columns].any(axis=1)]  # the last one never
        else:
            hits, _ = self._hits({*chain.from_iterable(map(self._found, patterns))})
            rows = hits[_is_first(hits)]
        rows = rows[self._known.allowed[rows]]
        at = self._places(rows)
        scores = np.zeros(len(rows))
        for column, term in enumerate(self._asked.terms):
            scores += self._held[at, column] * weights.get(term, 0.0)
        best = _best(scores, max(limit, MOST_CANDIDATES))
        return self._candidates(rows[best], scores[best].tolist())
        yield

    def at(self, keys: Mapping[MessageKey, str], *, filtered: bool) -> Operation[list[Candidate]]:
        """Return the live messages at keys; see ``Source``."""
        import numpy as np  # noqa: PLC0415 - an extra

        sessions: dict[str, list[int]] = defaultdict(list)
        for incarnation, number in keys:
            sessions[incarnation].append(number)
        found = [np.zeros(0, dtype=np.int64)]
        for incarnation, wanted in sessions.items():
            span = self._known.spans.get(incarnation, slice(0, 0))
            numbers = self._rows.numbers[span]
            at = numbers.searchsorted(wanted)
            at = at[at < len(numbers)]
            found.append(span.start + at[np.isin(numbers[at], wanted)])
        rows = np.concatenate(found)
        if filtered:
            rows = rows[self._known.allowed[rows]]
        return self._candidates(rows, [None] * len(rows))
        yield

    def _places(self, rows: Numbers) -> Numbers:
        """Return where rows stand among those that hold a term; behind them if they hold none."""
        import numpy as np  # noqa: PLC0415 - an extra

        at = np.searchsorted(self._matched[:-1], rows)
        return np.where(self._matched[at] == rows, at, len(self._matched) - 1)

    def _candidates(self, rows: Numbers, scores: Sequence[float | None]) -> list[Candidate]:
        """Return the messages of rows, with what the search gives them."""
        at = self._places(rows)
        _, words, stops, speakers, asks = self._rows.figures[rows].T
        lengths = words + stops if self._asked.is_of_stops else words
        said = map(
            _KnownText,
            repeat(self),
            rows.tolist(),
            (asks > 0).tolist(),
            self._counts[at].tolist(),
            lengths.tolist(),
        )
        ids = [self._known.ids[part] for part in self._known.part_of[rows].tolist()]
        held: Iterable[Collection[str]] = repeat(())
        if self._is_short:
            held = [[*compress(self._asked.terms, each)] for each in self._held[at].tolist()]
        return [
            *map(
                Candidate,
                zip(
                    (incarnation for incarnation, _ in ids),
                    self._rows.numbers[rows].tolist(),
                    strict=True,
                ),
                said,
                scores,
                map(self._vocabulary.speakers.__getitem__, speakers.tolist()),
                repeat(None),
                (session_id for _, session_id in ids),
                held,
            )
        ]

    def begun(self, terms: tuple[Beginning, ...]) -> list[tuple[str, Counts]]:
        """Return how many words of each message begin with terms, where any does."""
        import numpy as np  # noqa: PLC0415 - an extra

        if terms not in self._begun:
            self._begun[terms] = []
            for term in terms:
                numbers = self._vocabulary.begun(term)
                rows, chunks = self._hits(set(numbers))
                if len(rows):
                    times = np.bincount(
                        rows, self._weighted(numbers)[chunks], len(self._known.allowed)
                    )
                    self._begun[terms].append((term.term, times))
        return self._begun[terms]


class _KnownText(NamedTuple):
    """The words of a message whose text is not at hand; see ``ranking.Said``."""

    source: KnownSource
    row: int
    asks: bool
    counts: list[int]
    length: int

    def counted(self, _: Asked) -> tuple[list[int], int]:
        return self.counts, self.length

    def counted_beginnings(self, terms: tuple[Beginning, ...]) -> dict[str, int]:
        begun = self.source.begun(terms)
        return {term: int(times[self.row]) for term, times in begun if times[self.row]}


def _is_first(rows: Counts) -> Allowed:
    """Return which of ascending numbers are not the same as the one before."""
    import numpy as np  # noqa: PLC0415 - an extra

    is_first = np.ones(len(rows), dtype=np.bool_)
    is_first[1:] = rows[1:] != rows[:-1]
    return is_first


def _best(scores: npt.NDArray[np.float64], limit: int) -> Numbers:
    """Return where the best scores stand; of equal ones the first."""
    import numpy as np  # noqa: PLC0415 - an extra

    if len(scores) <= limit:
        return np.arange(len(scores))
    least = np.partition(scores, -limit)[-limit]
    above = np.flatnonzero(scores > least)
    return np.concatenate([above, np.flatnonzero(scores == least)[: limit - len(above)]])
