"""What a client has read of sessions' messages, so that the next search need not read it again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from langchain_zepstore.mongo.codecs import MAX_ADD_DURATION

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from langchain_zepstore.mongo.search.known_source import Together
    from langchain_zepstore.mongo.search.words import Vocabulary

    Numbers = npt.NDArray[np.int64]

MOST_BYTES = 256 * 1024 * 1024
"""What a client keeps for searches, at most."""

_MOST_MERGED = 4096  # rows
_MAX_ADD_SECONDS = MAX_ADD_DURATION.total_seconds()
_OVERHEAD = 1024  # bytes of a session's objects
_OF_WORDS = 0.25  # of the memory that a vocabulary may take
_MOST_SCOPES = 10_000


class Rows(Protocol):
    """Messages of a session in arrays, such as their vectors."""

    @property
    def numbers(self) -> Numbers:
        """Their sequence numbers."""

    @property
    def nbytes(self) -> int:
        """The memory that they take."""

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Return rows in one."""


R = TypeVar("R", bound=Rows)


@dataclass(frozen=True, slots=True)
class KnownSession(Generic[R]):
    """The live messages of a session, as far as a client has read them.

    Attributes:
        mark: How the session was marked before they were read; it changes with every change but
            the adding of messages.
        seq: The last number that was looked at.
        undecided: Numbers up to it at which no message was, each with the time when that was first
            seen: one may still be stored there.
        rows: The messages.
    """

    mark: Any
    seq: int = 0
    undecided: Mapping[int, float] = field(default_factory=dict)
    rows: tuple[R, ...] = ()

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        return _OVERHEAD + sum(each.nbytes for each in self.rows)

    def missing(self, last: int) -> list[int]:
        """Return the numbers up to the last at which messages have to be looked for."""
        return [*self.undecided, *range(self.seq + 1, last + 1)]

    def extended(
        self, rows: Sequence[R], empty: Iterable[int], last: int, *, fenced: int
    ) -> KnownSession[R]:
        """Return the session with what was found among the missing messages.

        Args:
            rows: What was found.
            empty: The numbers of messages that have no row, and of deleted ones.
            last: The last number that was looked at.
            fenced: The session's ``fenced``, read before: at numbers up to it nothing is stored
                later.
        """
        missing = self.missing(last)
        seen = set(empty).union(*(each.numbers.tolist() for each in rows))
        now = time.monotonic()
        undecided: dict[int, float] = {}
        if len(seen) < len(missing):
            noticed = {number: self.undecided.get(number, now) for number in missing}
            undecided = {
                number: since
                for number, since in noticed.items()
                if number not in seen and number > fenced and now - since < _MAX_ADD_SECONDS
            }
        return KnownSession(self.mark, max(last, self.seq), undecided, joined([*self.rows, *rows]))


class SessionCache:
    """What is known of sessions, by their incarnations and by what was read of them.

    What it holds is never changed, only replaced. Many threads may use it.

    Attributes:
        together: The words that the last search put together, if they are not too many.

    Args:
        most_bytes: How much memory all takes at most, but for ``together``.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.together: Together | None = None
        self._most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[tuple[Hashable, str], tuple[KnownSession[Any], int]] = (
            OrderedDict()
        )
        self._vocabularies: dict[str, Vocabulary] = {}
        self._searched: OrderedDict[Hashable, bool] = OrderedDict()
        self._searches = count()
        self._lock = threading.Lock()

    def begin(self) -> int:
        """Return the number of a search."""
        return next(self._searches)

    def vocabulary(self, language: str) -> Vocabulary:
        """Return the words of a language; one that has grown too large is forgotten."""
        from langchain_zepstore.mongo.search.words import (  # noqa: PLC0415 - slow to import
            Vocabulary,
        )

        with self._lock:
            found = self._vocabularies.get(language)
            if found and self.has_outgrown(found):
                for key in [key for key in self._entries if key[0] is found]:
                    self._drop(key)
                found = None
            if found is None:
                found = self._vocabularies[language] = Vocabulary(language)
            return found

    def has_outgrown(self, vocabulary: Vocabulary) -> bool:
        """Return whether a vocabulary has grown too large to be kept."""
        return vocabulary.nbytes > self._most_bytes * _OF_WORDS

    def is_worth_reading(self, scope: Hashable) -> bool:
        """Return whether a scope was searched by words before, and has room here."""
        with self._lock:
            is_worth = self._searched.pop(scope, None)
            self._searched[scope] = is_worth is None or is_worth
            if len(self._searched) > _MOST_SCOPES:
                self._searched.popitem(last=False)
            return bool(is_worth)

    def give_up(self, scope: Hashable) -> None:
        """Remember that there is no room for all words of a scope."""
        with self._lock:
            self._searched[scope] = False

    def get(self, payload: Hashable, incarnation: str, search: int) -> KnownSession[Any] | None:
        """Return what is known of a session, if it is here.

        Args:
            payload: What was read of its messages, such as vectors of a length.
            incarnation: The session's incarnation.
            search: The search's number.
        """
        key = payload, incarnation
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            self._entries[key] = found[0], max(search, found[1])
            self._entries.move_to_end(key)
            return found[0]

    def put(
        self, payload: Hashable, incarnation: str, known: KnownSession[Any], search: int
    ) -> bool:
        """Keep a session, in the place of those that no later search has used.

        Where one search needs more than there is room for, the first ones stay.

        Returns:
            Whether there was room.
        """
        size = known.nbytes
        with self._lock:
            self._drop((payload, incarnation))
            room = self._most_bytes - sum(each.nbytes for each in self._vocabularies.values())
            while self._bytes + size > room:
                oldest, (_, used) = next(iter(self._entries.items()), (None, (None, search)))
                if oldest is None or used >= search:
                    return False
                self._drop(oldest)
            self._entries[payload, incarnation] = known, search
            self._bytes += size
            return True

    def _drop(self, key: tuple[Hashable, str]) -> None:
        if dropped := self._entries.pop(key, None):
            self._bytes -= dropped[0].nbytes


def joined(rows: Sequence[R]) -> tuple[R, ...]:
    """Return rows with small arrays at the end put together, so that they never become many."""
    parts = [each for each in rows if len(each.numbers)]
    while len(parts) > 1:
        before, last = parts[-2:]
        if len(before.numbers) > min(2 * len(last.numbers), _MOST_MERGED):
            break
        parts[-2:] = [last.together([before, last])]
    return tuple(parts)
