"""Who writes, and for how long: what lets a reservation do without waiting for the disk.

The log of a server is sequential. When an insert is durable, so is what the same server wrote
before it, a reservation that did not wait too. It can have been lost only if the server died in
between, or if another became the primary. Whether that happened is read off the insert's answer: a
primary tells which election made it one. A server that stands alone tells nothing, but needs longer
to be started again than a turn takes.

Behind a router (mongos) sessions and messages may live on different servers, and reservations wait.
"""

import time
from dataclasses import dataclass
from typing import Any

_ALONE = "alone"
_REBIRTH = 0.1  # seconds; a mongod needs several times that to be started and recover its log

Writer = Any
"""The election that made a server the primary, or ``alone``; ``None``: not known."""


def writer_of(answer: dict[str, Any]) -> Writer:
    """Return who wrote, from the answer to an insert."""
    if "electionId" in answer:
        return answer["electionId"]
    return None if "operationTime" in answer else _ALONE


@dataclass(slots=True)
class Tenure:
    """Who wrote last, as far as one client knows."""

    writer: Writer = None


@dataclass(slots=True)
class Reservation:
    """Numbers of a session, reserved but perhaps not yet durable.

    Attributes:
        session: The session's document after it, with the last of the numbers as ``seq``.
        writer: Who was known to write before it was made; ``None`` if it is durable by itself.
        begun_at: When it was asked for.
    """

    session: dict[str, Any]
    writer: Writer
    begun_at: float

    def is_carried_by(self, writer: Writer) -> bool:
        """Whether an insert that this writer has just made durable makes the reservation so too."""
        if self.writer is None:
            return True
        if self.writer != writer:
            return False
        return writer != _ALONE or time.monotonic() - self.begun_at < _REBIRTH

    def is_durable(self) -> None:
        """Note that it need not be asked any more."""
        self.writer = None
