"""What a backend can do: the operations that MongoDB and HTTP both offer, as a contract.

Each is an operation (see ``running``). Ids and counts come checked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from langchain_core.messages import BaseMessage

from langchain_zepstore.models import Memory, Message, Session
from langchain_zepstore.running import Operation, Page

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Newborn:
    """What a session gets if it comes into being with its first memory.

    Attributes:
        user_id: Its user, who is created too if need be.
        metadata: Its metadata.
    """

    user_id: str | None = None
    metadata: dict[str, Any] | None = None


class MessageOperations(Protocol):
    """Adds and reads messages."""

    def add(
        self, session_id: str, memory: Memory, newborn: Newborn | None = None
    ) -> Operation[None]:
        """Store messages at the end of a session, which is created or revived."""

    def read(self, session_id: str, lastn: int | None = None) -> Operation[list[Message]]:
        """Return the last messages, oldest first; all of them without ``lastn``."""

    def read_langchain(
        self, session_id: str, lastn: int | None = None
    ) -> Operation[list[BaseMessage]]:
        """Return the same as LangChain's messages."""

    def page(self, session_id: str, after: Any, limit: int) -> Operation[Page[Message]]:
        """Return the next messages after a page's cursor (``None``: from the first)."""

    def count(self, session_id: str) -> Operation[int]:
        """Return how many messages a session has."""


class DeletionOperations(Protocol):
    """Soft-deletes and undeletes."""

    def delete_session(self, session_id: str) -> Operation[None]:
        """Soft-delete a live session and its messages; ``NotFoundError`` if there is none."""

    def undelete_session(self, session_id: str) -> Operation[Session]:
        """Bring back a session and what its last deletion took; ``NotFoundError`` if nothing."""

    def delete_message(self, session_id: str, uuid: str) -> Operation[None]:
        """Soft-delete a live message; ``NotFoundError`` if there is none."""

    def undelete_message(self, session_id: str, uuid: str) -> Operation[Message]:
        """Bring back a deleted message of a live session; ``NotFoundError`` if there is none."""


class Store(Protocol):
    """A place that holds sessions, over one synchronous or asynchronous connection."""

    @property
    def deletion(self) -> DeletionOperations:
        """Soft-deletes and undeletes."""

    @property
    def messages(self) -> MessageOperations:
        """Adds and reads messages."""


class Backend(Protocol):
    """What stands behind a client's URL: opens stores when they are first needed."""

    def run(self, call: Callable[[Store], Operation[T]]) -> T:
        """Run an operation of the store, synchronously."""

    async def arun(self, call: Callable[[Store], Operation[T]]) -> T:
        """Run an operation of the store on the running event loop."""

    def close(self) -> None:
        """Give back what was opened for synchronous calls, and what belongs to no event loop."""

    async def aclose(self) -> None:
        """Give back everything."""
