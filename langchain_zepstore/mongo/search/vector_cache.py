"""Vectors that a client has read, so that the next search need not."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from langchain_zepstore.mongo.codecs import MAX_ADD_DURATION

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]

MOST_BYTES = 256 * 1024 * 1024
"""What a client keeps of vectors, at most."""

_MOST_MERGED = 4096  # rows
_MAX_ADD_SECONDS = MAX_ADD_DURATION.total_seconds()
_OVERHEAD = 1024  # bytes of a session's objects


@dataclass(frozen=True, slots=True)
class Rows:
    """Messages of a session, with their vectors in one array.

    Attributes:
        numbers: Their sequence numbers.
        created: When they were said, in milliseconds.
        vectors: Their unit vectors, a row each.
    """

    numbers: Numbers
    created: Numbers
    vectors: Vectors

    def up_to(self, last: int) -> Rows:
        """Return those up to a number; they are in their order."""
        if not len(self.numbers) or self.numbers[-1] <= last:
            return self
        end = int(self.numbers.searchsorted(last, side="right"))
        return Rows(self.numbers[:end], self.created[:end], self.vectors[:end])


@dataclass(frozen=True, slots=True)
class SessionVectors:
    """The vectors of a session's live messages.

    Attributes:
        mark: How the session was marked before they were read; it changes with every change but
            the adding of messages.
        seq: The last number that was looked at.
        undecided: Numbers up to it at which no message was, each with the time when that was first
            seen: one may still be stored there.
        rows: The messages that have a vector.
    """

    mark: Any
    seq: int = 0
    undecided: Mapping[int, float] = field(default_factory=dict)
    rows: tuple[Rows, ...] = ()

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        return _OVERHEAD + sum(
            each.vectors.nbytes + each.numbers.nbytes + each.created.nbytes for each in self.rows
        )

    def missing(self, last: int) -> list[int]:
        """Return the numbers up to the last at which messages have to be looked for."""
        return [*self.undecided, *range(self.seq + 1, last + 1)]

    def extended(
        self, rows: Sequence[Rows], empty: Iterable[int], last: int, *, fenced: int
    ) -> SessionVectors:
        """Return the vectors with those that were found among the missing ones.

        Args:
            rows: What was found.
            empty: The numbers of messages without a vector, and of deleted ones.
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
        return SessionVectors(
            self.mark, max(last, self.seq), undecided, joined([*self.rows, *rows])
        )


class VectorCache:
    """Vectors of one model and one length, by the incarnations of sessions.

    What it holds is never changed, only replaced. Many threads may use it.

    Args:
        dimension: The length of the vectors.
        most_bytes: How much memory it takes at most.
    """

    def __init__(self, dimension: int, most_bytes: int = MOST_BYTES) -> None:
        self.dimension = dimension
        self._most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, tuple[SessionVectors, int]] = OrderedDict()
        self._searches = count()
        self._lock = threading.Lock()

    def begin(self) -> int:
        """Return the number of a search."""
        return next(self._searches)

    def get(self, incarnation: str, search: int) -> SessionVectors | None:
        """Return the vectors of a session, if they are here."""
        with self._lock:
            found = self._entries.get(incarnation)
            if found is None:
                return None
            self._entries[incarnation] = found[0], max(search, found[1])
            self._entries.move_to_end(incarnation)
            return found[0]

    def put(self, incarnation: str, vectors: SessionVectors, search: int) -> None:
        """Keep the vectors of a session, in the place of those that no later search has used.

        Where one search needs more than there is room for, the first ones stay.
        """
        size = vectors.nbytes
        with self._lock:
            self._drop(incarnation)
            while self._bytes + size > self._most_bytes:
                oldest, (_, used) = next(iter(self._entries.items()), ("", (None, search)))
                if used >= search:
                    return
                self._drop(oldest)
            self._entries[incarnation] = vectors, search
            self._bytes += size

    def _drop(self, incarnation: str) -> None:
        if dropped := self._entries.pop(incarnation, None):
            self._bytes -= dropped[0].nbytes


def joined(rows: Sequence[Rows]) -> tuple[Rows, ...]:
    """Return rows with small arrays at the end put together, so that they never become many."""
    import numpy as np  # noqa: PLC0415 - an extra

    parts = [each for each in rows if len(each.numbers)]
    while len(parts) > 1:
        before, last = parts[-2:]
        if len(before.numbers) > min(2 * len(last.numbers), _MOST_MERGED):
            break
        parts[-2:] = [
            Rows(
                np.concatenate([before.numbers, last.numbers]),
                np.concatenate([before.created, last.created]),
                np.concatenate([before.vectors, last.vectors]),
            )
        ]
    return tuple(parts)
