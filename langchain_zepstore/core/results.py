"""Results of operations that are no models: pages of long work, and a summary's input."""

from __future__ import annotations

from dataclasses import dataclass, field

from langchain_core.messages import BaseMessage

from langchain_zepstore.models import Message, Summary


@dataclass(frozen=True, slots=True)
class EmbeddingPage:
    """The outcome of making the vectors of a page of messages.

    Attributes:
        total: The number of all messages; only with the first page, else 0.
        seen: The number of messages in the page.
        made: The number of vectors made.
        cursor: The cursor of the next page; ``None`` if this was the last.
    """

    total: int
    seen: int
    made: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class ErasurePage:
    """The outcome of a step of an erasure.

    Attributes:
        counts: The numbers of users, sessions and messages that it removed.
        cursor: The cursor of the next step; ``None`` if this was the last.
    """

    counts: dict[str, int]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class SummaryInput:
    """The input of the next summary of a session.

    Attributes:
        summary: The summary so far.
        messages: The messages after it, oldest first.
        state: Changes when the session is deleted or undeleted.
    """

    summary: Summary | None
    messages: list[Message]
    state: str


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections of one process to its database.

    Attributes:
        opened: How many there are.
        in_use: How many of them a call is using.
    """

    opened: int = 0
    in_use: int = 0


@dataclass(frozen=True, slots=True)
class Resumption:
    """The history that an agent's run resumes from.

    Attributes:
        messages: The last messages before the run, oldest first.
        repeated: Of the given ids that the session has, whether the words are those that it has, or
            was given.
        edited: The first of the given ids whose message the run edits.
        previous: The id of the message before that one; ``None`` if it is the first.
    """

    messages: list[BaseMessage]
    repeated: dict[str, bool] = field(default_factory=dict)
    edited: str | None = None
    previous: str | None = None
