"""What a backend can do: the operations that MongoDB and HTTP both offer, as a contract.

Each is an operation (see ``running``). Ids and counts come checked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from langchain_core.messages import BaseMessage

from langchain_zepstore.models import (
    CreateUserRequest,
    Memory,
    MemorySearchResult,
    Message,
    Session,
    UpdateUserRequest,
    User,
)
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


@dataclass(frozen=True, slots=True)
class Listing:
    """Which sessions a listing shows.

    Attributes:
        user_id: Those of one user.
        metadata: Those whose metadata holds at least this.
        include_deleted: Also the soft-deleted ones.
    """

    user_id: str | None = None
    metadata: dict[str, Any] | None = None
    include_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Sought:
    """What a search looks for, and where.

    Attributes:
        text: The words.
        session_id: In one session.
        user_id: In all sessions of a user; with a session, only if it is that user's.
        limit: How many at most.
        metadata: Only messages whose metadata holds at least this.
        since: Only what was said then or later.
        until: Only what was said then or before.
    """

    text: str
    session_id: str | None
    user_id: str | None
    limit: int
    metadata: dict[str, Any] | None = None
    since: datetime | None = None
    until: datetime | None = None


class SessionOperations(Protocol):
    """Creates, reads, updates and lists sessions."""

    def create(self, session: Session) -> Operation[Session]:
        """Create a session; ``AlreadyExistsError`` if a live one has the id."""

    def get(self, session_id: str) -> Operation[Session]:
        """Return a live session; ``NotFoundError`` if there is none."""

    def find(self, session_id: str) -> Operation[Session | None]:
        """Return a session, live or deleted; ``None`` if there is none."""

    def update(self, session: Session, unset: Sequence[Sequence[str]]) -> Operation[Session]:
        """Merge metadata and remove keys; ``NotFoundError`` if there never was a session."""

    def listed(self, listing: Listing, limit: int, cursor: int) -> Operation[list[Session]]:
        """Return sessions with ids above the cursor, by id; all of them with limit 0."""

    def page(self, listing: Listing, limit: int, cursor: Any) -> Operation[Page[Session]]:
        """Return the page after a page's cursor (``None``: the first), by id."""

    def recent(
        self, limit: int, cursor: str | None, user_id: str | None
    ) -> Operation[Page[Session]]:
        """Return live sessions, the most recently active first."""


class UserOperations(Protocol):
    """Creates, reads, updates, lists and deletes users."""

    def create(self, request: CreateUserRequest) -> Operation[User]:
        """Create a user; ``AlreadyExistsError`` if a live one has the id."""

    def get(self, user_id: str) -> Operation[User]:
        """Return a live user; ``NotFoundError`` if there is none."""

    def update(self, request: UpdateUserRequest) -> Operation[User]:
        """Change the fields that are given; ``NotFoundError`` if there is no live user."""

    def delete(self, user_id: str) -> Operation[None]:
        """Soft-delete a user and the user's sessions; ``NotFoundError`` if there is none."""

    def listed(self, limit: int, cursor: int) -> Operation[list[User]]:
        """Return live users with ids above the cursor, by id; all of them with limit 0."""

    def page(self, limit: int, cursor: Any) -> Operation[Page[User]]:
        """Return the page after a page's cursor (``None``: the first), by id."""

    def sessions(self, user_id: str) -> Operation[list[Session]]:
        """Return the live sessions of a user, by id."""


class MessageOperations(Protocol):
    """Adds and reads messages."""

    def add(
        self, session_id: str, memory: Memory, newborn: Newborn | None = None
    ) -> Operation[None]:
        """Store messages at the end of a session, which is created or revived."""

    def add_langchain(
        self, session_id: str, messages: Sequence[BaseMessage], newborn: Newborn | None = None
    ) -> Operation[None]:
        """Store LangChain's messages at the end of a session, which is created or revived."""

    def read(self, session_id: str, lastn: int | None = None) -> Operation[list[Message]]:
        """Return the last messages, oldest first; all of them without ``lastn``."""

    def read_langchain(
        self, session_id: str, lastn: int | None = None
    ) -> Operation[list[BaseMessage]]:
        """Return the same as LangChain's messages."""

    def page(self, session_id: str, after: Any, limit: int) -> Operation[Page[Message]]:
        """Return the next messages after a page's cursor (``None``: from the first)."""

    def numbered_page(self, session_id: str, limit: int, number: int) -> Operation[list[Message]]:
        """Return a page of messages by its number, from 1, oldest first."""

    def around(self, session_id: str, uuid: str, window: int) -> Operation[list[Message]]:
        """Return a live message with so many before and after it, oldest first."""

    def get(self, session_id: str, uuid: str) -> Operation[Message]:
        """Return one live message; ``NotFoundError`` if there is none."""

    def update_metadata(
        self, session_id: str, uuid: str, metadata: dict[str, Any]
    ) -> Operation[Message]:
        """Merge metadata into a live message's; ``NotFoundError`` if there is none."""

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


class SearchOperations(Protocol):
    """Finds messages."""

    def find(self, sought: Sought) -> Operation[list[MemorySearchResult]]:
        """Return the live messages that match best, the best first."""


class PurgeOperations(Protocol):
    """Removes for good."""

    def purge(self, older_than: timedelta | None) -> Operation[dict[str, int]]:
        """Remove what has been soft-deleted for so long; return how many of each kind."""


class Store(Protocol):
    """A place that holds sessions, over one synchronous or asynchronous connection."""

    @property
    def sessions(self) -> SessionOperations:
        """Creates, reads, updates and lists sessions."""

    @property
    def users(self) -> UserOperations:
        """Creates, reads, updates, lists and deletes users."""

    @property
    def purging(self) -> PurgeOperations:
        """Removes for good."""

    @property
    def deletion(self) -> DeletionOperations:
        """Soft-deletes and undeletes."""

    @property
    def search(self) -> SearchOperations:
        """Finds messages."""

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
