"""Who writes, and for how long: what lets a reservation do without waiting for the disk.

The log of a server is sequential. When an insert is durable, so is what the same server wrote
before it, a reservation that did not wait too. It can have been lost only if the server died in
between, or if another became the primary. Whether that happened is read off the insert's answer,
in which a primary tells the election that made it one. A server that stands alone tells nothing;
but its process is known to the driver, which hears of its death at once, when connections break,
and of the next one before it can send anything there. A turn that takes longer than a second is
not trusted to that.

Behind a router (mongos) sessions and messages may live on different servers, and reservations wait.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_zepstore.mongo.documents import SessionDocument

_TRUST = 1.0  # seconds
_PAUSE = 10.0  # seconds

Writer = Any
"""The election that made a server the primary, or a lone server's process; ``None``: not known."""


def writer_of(answer: Mapping[str, Any], process: Any) -> Writer:
    """Return who wrote.

    Args:
        answer: The answer to an insert.
        process: The server's process as the driver knows it, if it is a lone one.
    """
    if "electionId" in answer:
        return answer["electionId"]
    return None if "operationTime" in answer else process


@dataclass(slots=True)
class Reservation:
    """Numbers of a session, reserved but perhaps not yet durable.

    Attributes:
        session: The session's document after it, with the last of the numbers as ``seq``.
        writer: Who was known to write before it was made; ``None`` if it is durable by itself.
        begun_at: When it was asked for.
    """

    session: SessionDocument
    writer: Writer
    begun_at: float

    def note_durable(self) -> None:
        """Note that it need not be asked any more."""
        self.writer = None


class Tenure:
    """Who wrote last, as far as one client knows."""

    def __init__(self) -> None:
        self._writer: Writer = None
        self._paused_until = 0.0

    def writer(self) -> Writer:
        """Return who is known to write; ``None`` if reservations had better wait."""
        return self._writer if time.monotonic() >= self._paused_until else None

    def carries(self, reservation: Reservation, writer: Writer) -> bool:
        """Whether an insert that this writer has just made durable makes a reservation so too."""
        self._writer = writer
        if reservation.writer is None:
            return True
        if reservation.writer != writer:
            return False
        if time.monotonic() - reservation.begun_at >= _TRUST:
            # With so much going on, waiting for the disk costs less than asking again.
            self._paused_until = time.monotonic() + _PAUSE
            return False
        reservation.note_durable()
        return True
