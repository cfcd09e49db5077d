"""Reservations that need not wait for the journal, since a later durable write covers them.

A server's journal is sequential. When an insert is durable (``w: "majority", j: true``), so is what
the same server wrote before it, a reservation with ``w: 1`` too. The reservation can have been lost
only if the server died in between, or if another was elected. An insert's answer shows that: a
primary reports its ``electionId``, which names its term. A standalone server reports none; but the
driver knows its process, hears of its death at once, when connections break, and of the next
process before it can send anything there. A turn that takes longer than a second is not trusted to
that.

Behind a router (mongos) sessions and messages may live on different shards, and reservations wait.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_zepstore.mongo.documents import SessionDocument

MAX_TRUSTED_SECONDS = 1.0
BACKOFF_SECONDS = 10.0

Writer = Any
"""The ``electionId`` of a primary, or a standalone server's process; ``None``: not known."""


def writer_of(answer: Mapping[str, Any], process: Any) -> Writer:
    """Return which server wrote.

    Args:
        answer: The answer to an insert.
        process: The server's process as the driver knows it, if it stands alone.
    """
    if "electionId" in answer:
        return answer["electionId"]
    return None if "operationTime" in answer else process


@dataclass(slots=True)
class Reservation:
    """Numbers of a session, reserved but perhaps not yet durable.

    Attributes:
        session: The session's document after it, with the last of the numbers as ``seq``.
        writer: The server known to write before it was made; ``None`` if it is durable by itself.
        begun_at: When it was asked for.
    """

    session: SessionDocument
    writer: Writer
    begun_at: float

    def note_durable(self) -> None:
        """Mark the reservation as durable."""
        self.writer = None


class LastWriter:
    """The server that wrote last, as far as one client knows."""

    def __init__(self) -> None:
        self._writer: Writer = None
        self._paused_until = 0.0

    def get(self) -> Writer:
        """Return the server; ``None`` if reservations had better wait for the journal."""
        return self._writer if time.monotonic() >= self._paused_until else None

    def makes_durable(self, reservation: Reservation, writer: Writer) -> bool:
        """Return whether a durable insert by this server has made a reservation durable."""
        self._writer = writer
        if reservation.writer is None:
            return True
        if reservation.writer != writer:
            return False
        if time.monotonic() - reservation.begun_at >= MAX_TRUSTED_SECONDS:
            # With so much going on, waiting for the journal costs less than confirming.
            self._paused_until = time.monotonic() + BACKOFF_SECONDS
            return False
        reservation.note_durable()
        return True
